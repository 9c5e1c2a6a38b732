"""Jobs and what surrounds them: the installation, the timeline, backlogs, training runs."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import id_column, metadata, moment, tail_of_id

installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    Column("hmac_fingerprint", Text),
    # While one key takes the place of another: the one before, and the last image whose header was read again.
    Column("hmac_old_fingerprint", Text),
    Column("hmac_rotated_until", UUID),
    # Of the key that seals numbers, where that is switched on.
    Column("sealing_fingerprint", Text),
    Column("tombstone_salt", Text, nullable=False),
    Column("served_bundle", Text),
    Column("served_run", UUID),
    Column("previous_bundle", Text),
    Column("previous_run", UUID),
    Column("served_encoder", Text),  # the digest of the encoder that GPU workers last loaded
    # The roles of the films that the served bundle looks at; NULL until a GPU worker has loaded it.
    Column("served_images", ARRAY(Text)),
    Column("served_clinical", Boolean),  # whether it reads the hospital's words; NULL likewise
    moment("created_at", now=True),
    # Whether the analysts' views show the day a film was taken, or its year alone.
    Column("analyst_dates", Boolean, nullable=False, server_default=text("false")),
)

jobs = Table(
    "jobs",
    metadata,
    id_column(),
    Column("kind", Text, nullable=False),
    Column("subject", UUID, nullable=False),
    Column("revision", Integer),
    Column("key", Text, nullable=False),
    Column("lane_rank", SmallInteger, nullable=False),
    Column("place", BigInteger, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    Column("lease_epoch", BigInteger, nullable=False, server_default="0"),
    moment("lease_until"),
    moment("not_before"),
    Column("claimed_by", Text),
    Column("last_error", Text),
    moment("created_at", now=True),
    moment("started_at"),
    moment("finished_at"),
    UniqueConstraint("kind", "key"),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="running_has_lease"),
    Index(None, "subject"),
    Index(
        "ix_jobs_ready",
        "kind",
        "lane_rank",
        "place",
        "id",
        postgresql_where=text("state = 'queued' AND not_before IS NULL"),
    ),
    Index("ix_jobs_later", "not_before", postgresql_where=text("state = 'queued' AND not_before IS NOT NULL")),
    Index("ix_jobs_running", "kind", "lane_rank", postgresql_where=text("state = 'running'")),
    Index("ix_jobs_dead", "id", postgresql_where=text("state = 'dead'")),
    Index("ix_jobs_tail", tail_of_id, postgresql_where=text("state = 'dead'")),
    # For the rollups. A heartbeat changes no column of an index, so it writes none.
    Index("ix_jobs_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("study_id", UUID, nullable=False),
    Column("image_id", UUID),
    Column("job_id", UUID),
    Column("what", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("attempt", Integer),
    Column("epoch", BigInteger),
    Column("detail", JSONB),
    moment("at", now=True),
    Index(None, "study_id", "id"),
)

backlogs = Table(
    "backlogs",
    metadata,
    id_column(),
    Column("bucket", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    moment("since"),
    Column("lane_rank", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("start_after", Text, nullable=False, server_default=""),
    Column("listed", BigInteger, nullable=False, server_default="0"),
    Column("problem", Text),
    Column("changing", UUID),
    moment("created_at", now=True),
    moment("listed_at"),
    moment("finished_at"),
)

backlog_images = Table(
    "backlog_images",
    metadata,
    Column("backlog_id", UUID, primary_key=True),
    Column("image_id", UUID, primary_key=True),
)

training_runs = Table(
    "training_runs",
    metadata,
    id_column(),
    Column("stage", Text, nullable=False),
    Column("config", JSONB, nullable=False),
    Column("parent_run", UUID, ForeignKey("training_runs.id")),
    Column("base_bundle", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Integer, nullable=False, server_default="0"),
    Column("steps", Integer),
    Column("loss", Float),
    Column("samples_per_s", Float),
    Column("checkpoint_prefix", Text),
    Column("checkpoint_step", Integer),
    Column("result_prefix", Text),
    Column("bundle", Text),
    moment("created_at", now=True),
    moment("finished_at"),
    Column("encoder", Text),  # the digest of its encoder, once it is planned
    Column("pairs", Integer),
    Column("problem", Text),  # why it cannot go on, in our own words
    Column("problems_key", Text),  # the table of them, with files and lines
    # Since when a person wants it to wait; its worker writes a checkpoint and lets go of it.
    moment("paused_at"),
    # Why it ended, or the last attempt did: a word of states.Failure, and a sentence of ours.
    Column("failure", Text),
    Column("failure_says", Text),
    # What it waits for, if not for its turn: ``device``.
    Column("waits_for", Text),
    # The loss on pairs that are not trained on, last and before the first step; and with another patient's films.
    Column("held_out", Float),
    Column("swapped", Float),
    Column("first_held_out", Float),
)

training_points = Table(
    "training_points",
    metadata,
    Column("run_id", UUID, ForeignKey("training_runs.id"), primary_key=True),
    Column("lease_epoch", BigInteger, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("loss", Float),
    Column("samples_per_s", Float),
    moment("at", now=True),
    Column("held_out", Float),
    Column("swapped", Float),
)

# What a run leaves for people: films and texts stand in some of it, so only a trainer sees it.
training_files = Table(
    "training_files",
    metadata,
    Column("run_id", UUID, ForeignKey("training_runs.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    moment("at", now=True),
)

# Studies that no run may be given; with the images they had, which may move to another study.
training_exclusions = Table(
    "training_exclusions",
    metadata,
    Column("study_id", UUID, primary_key=True),
    Column("image_ids", ARRAY(UUID), nullable=False),
    moment("excluded_at", now=True),
)

# Which studies of this system a run was given: if one is purged, the run's files are.
training_used = Table(
    "training_used",
    metadata,
    Column("study_id", UUID, primary_key=True),
    Column("run_id", UUID, ForeignKey("training_runs.id"), primary_key=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("status", Integer),
    Column("body", JSONB),
    moment("created_at", now=True),
)
