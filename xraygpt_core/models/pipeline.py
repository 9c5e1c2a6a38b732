"""What a training run's data pass through before it trains. Texts of people stand in ``training_texts`` alone."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import id_column, metadata, moment

# At most 512 images, in an order. Its digest is of their addresses and versions, or of the images themselves.
training_shards = Table(
    "training_shards",
    metadata,
    id_column(),
    Column("digest", Text, nullable=False),
    Column("images", Integer, nullable=False),
    Column("addresses_key", Text),  # None: the images are the ledger's own
    moment("prepared_at"),
    moment("created_at", now=True),
    UniqueConstraint("digest"),
)

# Neither: still to be prepared. The normalised picture's hash, or the reason why it is not trained on.
training_images = Table(
    "training_images",
    metadata,
    Column("shard_id", UUID, ForeignKey("training_shards.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("sha256", Text),
    Column("dropped", Text),
    CheckConstraint("sha256 IS NULL OR dropped IS NULL", name="one_outcome"),
    Index(None, "sha256", postgresql_where=text("sha256 IS NOT NULL")),
)

training_run_shards = Table(
    "training_run_shards",
    metadata,
    Column("run_id", UUID, ForeignKey("training_runs.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("shard_id", UUID, ForeignKey("training_shards.id"), nullable=False),
    Column("texts_key", Text),  # None: they stand in training_texts
    Index(None, "shard_id"),
)

# Of signed studies: a purge takes them out one by one. ``shard`` is the position of the run's shard.
training_texts = Table(
    "training_texts",
    metadata,
    Column("run_id", UUID, ForeignKey("training_runs.id"), primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("pair", JSONB, nullable=False),
)

training_features = Table(
    "training_features",
    metadata,
    id_column(),
    Column("shard_id", UUID, ForeignKey("training_shards.id"), nullable=False),
    Column("encoder", Text, nullable=False),
    Column("left_to_trainer", Boolean, nullable=False, server_default=text("false")),
    Column("key", Text),
    moment("encoded_at"),
    UniqueConstraint("shard_id", "encoder"),
    CheckConstraint("(encoded_at IS NULL) = (key IS NULL)", name="encoded_has_key"),
)
