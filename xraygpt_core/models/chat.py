"""Questions about a study, and what was answered."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import flags_column, id_column, metadata, moment, tail_of_id

chat_turns = Table(
    "chat_turns",
    metadata,
    id_column(),
    Column("study_id", UUID, ForeignKey("studies.id"), nullable=False),
    Column("summary_id", UUID, ForeignKey("summaries.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False, server_default=""),
    # ``rule``: one of our own sentences, before the model was asked.
    Column("answered_by", Text, nullable=False, server_default="model"),
    Column("lease_epoch", BigInteger),
    Column("bundle", Text),
    Column("bundle_sha256", Text),
    Column("provenance", JSONB),
    flags_column(),
    # Where the answer contradicts the summary it is about, or itself: [{kind, one, other}].
    Column("consistency", JSONB, nullable=False, server_default="[]"),
    Column("reasoning", Text),
    moment("asked_at", now=True),
    moment("answered_at"),
    UniqueConstraint("study_id", "position"),
    CheckConstraint("answered_by IN ('model', 'rule')", name="known_answerer"),
    Index("ix_chat_turns_tail", tail_of_id),
)
