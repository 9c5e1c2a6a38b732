"""The findings that each text names, as the labeller reads them: rows of their own, so that SQL can ask for them."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Integer, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from xraygpt_core.models.base import metadata, moment

# A summary's own text, a review's correction, or an answer of the chat; a text without a finding has a row here, too.
labelled_texts = Table(
    "labelled_texts",
    metadata,
    Column("source", Text, primary_key=True),
    Column("source_id", UUID, primary_key=True),
    Column("labeller", Text, nullable=False),
    moment("at", now=True),
    CheckConstraint("source IN ('draft', 'review', 'answer')", name="known_source"),
)

finding_labels = Table(
    "finding_labels",
    metadata,
    Column("source", Text, primary_key=True),
    Column("source_id", UUID, primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("finding", Text, nullable=False),
    Column("side", Text),
    Column("zone", Text),
    Column("status", Text, nullable=False),
    # The words that say so: [words_from, words_to) in the text, in characters.
    Column("words_from", Integer, nullable=False),
    Column("words_to", Integer, nullable=False),
    CheckConstraint("side IN ('left', 'right')", name="known_side"),
    CheckConstraint("zone IN ('upper', 'mid', 'lower')", name="known_zone"),
    CheckConstraint("status IN ('present', 'absent', 'uncertain')", name="known_status"),
    ForeignKeyConstraint(
        ["source", "source_id"], ["labelled_texts.source", "labelled_texts.source_id"], ondelete="CASCADE"
    ),
)
