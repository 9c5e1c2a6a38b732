"""Who reads a study now, and whose a study is. Others may sign it all the same."""

from sqlalchemy import Column, DateTime, ForeignKey, Index, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from xraygpt_core.models.base import metadata, moment

reading_claims = Table(
    "reading_claims",
    metadata,
    Column("study_id", UUID, ForeignKey("studies.id"), primary_key=True),
    # Null for a session that no key opened.
    Column("key_id", UUID, ForeignKey("api_keys.id")),
    Column("name", Text, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    Index(None, "until"),
)

assignments = Table(
    "assignments",
    metadata,
    Column("study_id", UUID, ForeignKey("studies.id"), primary_key=True),
    Column("key_id", UUID, ForeignKey("api_keys.id")),
    Column("name", Text, nullable=False),
    Column("assigned_by", Text, nullable=False),
    moment("at", now=True),
    Index("ix_assignments_name", "name", "study_id"),
)
