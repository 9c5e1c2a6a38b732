"""Adds what a training run's data pass through before it trains: shards of images, their features, and its texts.

A shard is known by its content, so runs share it; so are features, by shard and encoder.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE training_shards (
        id UUID NOT NULL,
        digest TEXT NOT NULL,
        images INTEGER NOT NULL,
        addresses_key TEXT,
        prepared_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT pk_training_shards PRIMARY KEY (id),
        CONSTRAINT uq_training_shards_digest UNIQUE (digest)
    )
    """,
    """
    CREATE TABLE training_images (
        shard_id UUID NOT NULL,
        position INTEGER NOT NULL,
        sha256 TEXT,
        dropped TEXT,
        CONSTRAINT pk_training_images PRIMARY KEY (shard_id, position),
        CONSTRAINT fk_training_images_shard_id_training_shards FOREIGN KEY (shard_id) REFERENCES training_shards (id),
        CONSTRAINT ck_training_images_one_outcome CHECK (sha256 IS NULL OR dropped IS NULL)
    )
    """,
    "CREATE INDEX ix_training_images_sha256 ON training_images (sha256) WHERE sha256 IS NOT NULL",
    """
    CREATE TABLE training_run_shards (
        run_id UUID NOT NULL,
        position INTEGER NOT NULL,
        shard_id UUID NOT NULL,
        texts_key TEXT,
        CONSTRAINT pk_training_run_shards PRIMARY KEY (run_id, position),
        CONSTRAINT fk_training_run_shards_run_id_training_runs FOREIGN KEY (run_id) REFERENCES training_runs (id),
        CONSTRAINT fk_training_run_shards_shard_id_training_shards FOREIGN KEY (shard_id)
            REFERENCES training_shards (id)
    )
    """,
    "CREATE INDEX ix_training_run_shards_shard_id ON training_run_shards (shard_id)",
    """
    CREATE TABLE training_texts (
        run_id UUID NOT NULL,
        shard INTEGER NOT NULL,
        position INTEGER NOT NULL,
        pair JSONB NOT NULL,
        CONSTRAINT pk_training_texts PRIMARY KEY (run_id, shard, position),
        CONSTRAINT fk_training_texts_run_id_training_runs FOREIGN KEY (run_id) REFERENCES training_runs (id)
    )
    """,
    """
    CREATE TABLE training_features (
        id UUID NOT NULL,
        shard_id UUID NOT NULL,
        encoder TEXT NOT NULL,
        left_to_trainer BOOLEAN DEFAULT false NOT NULL,
        key TEXT,
        encoded_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_training_features PRIMARY KEY (id),
        CONSTRAINT uq_training_features_shard_id_encoder UNIQUE (shard_id, encoder),
        CONSTRAINT fk_training_features_shard_id_training_shards FOREIGN KEY (shard_id)
            REFERENCES training_shards (id),
        CONSTRAINT ck_training_features_encoded_has_key CHECK ((encoded_at IS NULL) = (key IS NULL))
    )
    """,
)

_COLUMNS = (
    "ALTER TABLE training_runs ADD COLUMN encoder TEXT, ADD COLUMN pairs INTEGER, ADD COLUMN problem TEXT, "
    "ADD COLUMN problems_key TEXT",
    "ALTER TABLE installation ADD COLUMN served_encoder TEXT",
)


def upgrade() -> None:
    """The tables, and what a run and the installation keep beside them."""
    for statement in (*_TABLES, *_COLUMNS):
        op.execute(statement)


def downgrade() -> None:
    """As it was."""
    for table in ("features", "texts", "run_shards", "images", "shards"):
        op.execute(f"DROP TABLE training_{table}")
    op.execute(
        "ALTER TABLE training_runs DROP COLUMN encoder, DROP COLUMN pairs, DROP COLUMN problem, "
        "DROP COLUMN problems_key"
    )
    op.execute("ALTER TABLE installation DROP COLUMN served_encoder")
