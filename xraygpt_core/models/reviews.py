"""What people say about summaries: rows that are only added. A trigger refuses everything else but a purge."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import id_column, metadata, moment

reviews = Table(
    "reviews",
    metadata,
    id_column(),
    # Its study is the summary's, and stands there alone: a study that is taken apart takes its reviews along.
    Column("summary_id", UUID, ForeignKey("summaries.id"), nullable=False),
    # 1, 2, 3 … within the summary: a clock may be set back, this order may not.
    Column("position", Integer, nullable=False),
    Column("action", Text, nullable=False),
    # The correction that this act stands for; null where that is the model's own text, and for what is taken back.
    Column("text", Text),
    Column("reason", Text),
    # As signed: the key's own name, or the person for whom a program spoke.
    Column("reviewer", Text, nullable=False),
    # Null for what was reviewed before keys were kept with it.
    Column("key_id", UUID, ForeignKey("api_keys.id")),
    Column("key_name", Text),
    Column("key_kind", Text),
    # What was on the screen.
    Column("seen", JSONB),
    moment("at", now=True),
    UniqueConstraint("summary_id", "position"),
    CheckConstraint("action IN ('accepted', 'edited', 'rejected', 'draft', 'undone')", name="known_action"),
    CheckConstraint("action <> 'edited' OR text IS NOT NULL", name="edited_has_text"),
)
