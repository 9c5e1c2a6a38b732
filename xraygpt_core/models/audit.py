"""The audit of every act: rows that are only added, those that wait for their seal, and the seals.

A trigger refuses every other change.

No column refers to another table: what was done to a study outlives the study.
"""

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, Identity, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, JSONB, UUID

from xraygpt_core.models.base import metadata, moment

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    moment("at", now=True),
    Column("what", Text, nullable=False),
    # Of the key or person, or of the part of the system that acts by itself.
    Column("actor", Text, nullable=False),
    Column("key_id", UUID),
    Column("session_id", UUID),
    Column("address", Text),
    Column("study_id", UUID),
    Column("subject", UUID),
    # Where an act shows or finds several: a page of a list, a look-up.
    Column("studies", ARRAY(UUID)),
    Column("outcome", Text, nullable=False, server_default="done"),
    Column("detail", JSONB),
    Index(None, "study_id", postgresql_where=text("study_id IS NOT NULL")),
    CheckConstraint("outcome IN ('done', 'refused', 'failed')", name="known_outcome"),
)

# In the transaction that writes an audit row its id stands here too, until a seal takes it.
audit_open = Table("audit_open", metadata, Column("id", BigInteger, primary_key=True, autoincrement=False))

audit_seals = Table(
    "audit_seals",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    moment("at", now=True),
    Column("ids", INT8MULTIRANGE, nullable=False),
    Column("rows", BigInteger, nullable=False),
    # SHA-256 of each row, 32 bytes after 32 bytes, in the order of the ids: they tell which row was changed.
    Column("row_digests", LargeBinary, nullable=False),
    Column("previous", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index(None, "at"),
)
