"""Two models side by side on the same films: what was asked, and their texts, which no list and no card shows."""

from sqlalchemy import ARRAY, CheckConstraint, Column, Float, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import id_column, metadata, moment

comparisons = Table(
    "comparisons",
    metadata,
    id_column(),
    Column("first_bundle", Text, nullable=False),
    Column("first_sha256", Text, nullable=False),
    Column("second_bundle", Text, nullable=False),
    Column("second_sha256", Text, nullable=False),
    # The filters that chose the studies, and a hash of the question as it was typed: the same one goes on.
    Column("chosen", JSONB, nullable=False),
    Column("asked", Text, nullable=False),
    Column("begun_by", Text, nullable=False),
    moment("begun_at", now=True),
    CheckConstraint("first_sha256 <> second_sha256", name="two_bundles"),
)

# A row for each text that is to be written: the film is fixed when the comparison begins.
shadow_drafts = Table(
    "shadow_drafts",
    metadata,
    Column("comparison_id", UUID, ForeignKey("comparisons.id"), primary_key=True),
    Column("study_id", UUID, ForeignKey("studies.id"), primary_key=True),
    Column("bundle_sha256", Text, primary_key=True),
    Column("bundle", Text, nullable=False),
    Column("image_id", UUID, nullable=False),
    Column("image_sha256", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("text", Text),
    Column("findings", Text),
    Column("impression", Text),
    # What the text names, and which version of the rules says so; null until it is labelled.
    Column("asserted", ARRAY(Text)),
    Column("uncertain", ARRAY(Text)),
    Column("labeller", Text),
    Column("consistency", JSONB, nullable=False, server_default="[]"),
    Column("tokens", Integer),
    # Of the machine that wrote it, since the text before: their sum is how long they all took.
    Column("seconds", Float),
    Column("provenance", JSONB),
    # The films and the sealed words that the bundle is shown beside the frontal film, by their hashes.
    Column("beside", JSONB, nullable=False, server_default="{}"),
    moment("at"),
    CheckConstraint("state IN ('open', 'written', 'taken', 'failed')", name="known_state"),
    CheckConstraint("(state IN ('written', 'taken')) = (text IS NOT NULL)", name="written_has_text"),
    CheckConstraint("(state = 'failed') = (reason IS NOT NULL)", name="failed_has_reason"),
    Index(None, "study_id"),
    Index(None, "image_id"),
    Index("ix_shadow_drafts_open", "comparison_id", postgresql_where=text("state = 'open'")),
)
