"""The tables. ``migrations/`` is their history; a test holds the two equal.

Patient data stands in one place: the columns ``bucket``, ``key`` of ``object_keys`` (and the prefix of a ``backlogs``
row). No view shows them.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

# The newest migration. Processes refuse to work on another; a test holds this equal to migrations/.
SCHEMA_VERSION = "0001"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[object]:
    return Column("id", UUID, primary_key=True)


def _moment(name: str, *, now: bool = False) -> Column[object]:
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=not now, server_default=default)


def _flags() -> Column[object]:
    return Column("flags", ARRAY(Text), nullable=False, server_default=text("'{}'"))


installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    Column("hmac_fingerprint", Text),
    Column("tombstone_salt", Text, nullable=False),
    Column("served_bundle", Text),
    Column("served_run", UUID),
    Column("previous_bundle", Text),
    Column("previous_run", UUID),
    _moment("created_at", now=True),
)

studies = Table(
    "studies",
    metadata,
    _id(),
    # A provisional study whose image moved to the study it belongs to. Every reader follows it.
    Column("alias_of", UUID, ForeignKey("studies.id")),
    Column("uid_pseudonym", Text, unique=True),
    Column("patient_pseudonym", Text),
    Column("accession_pseudonym", Text),
    Column("lane_rank", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason_code", Text),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("expected_images", Integer),
    Column("chosen_image", UUID),
    Column("view", Text),
    _flags(),
    _moment("received_at", now=True),
    _moment("last_image_at"),
    _moment("finished_at"),
    _moment("purged_at"),
    Index(None, "alias_of", postgresql_where=text("alias_of IS NOT NULL")),
    Index(None, "patient_pseudonym"),
    Index(None, "accession_pseudonym"),
    Index(None, "received_at"),
)

images = Table(
    "images",
    metadata,
    _id(),
    Column("study_id", UUID, ForeignKey("studies.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("reason_code", Text),
    Column("view", Text),
    Column("modality", Text),
    Column("kind", Text),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("sop_pseudonym", Text),
    Column("pixel_sha256", Text),
    Column("normalised_key", Text),
    Column("normalised_sha256", Text),
    Column("preview_key", Text),
    # The same SOPInstanceUID with equal pixels is one image: this row points at the one that counts.
    Column("duplicate_of", UUID),
    _flags(),
    _moment("received_at", now=True),
    _moment("finished_at"),
    Index(None, "study_id"),
)

object_keys = Table(
    "object_keys",
    metadata,
    Column("image_id", UUID, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("version_id", Text),
    Column("sequencer", Text),
    Column("size", BigInteger),
    # When this content was last announced; among the images of one key the last announced one counts.
    _moment("seen_at", now=True),
    _moment("deleted_at"),
    UniqueConstraint("bucket", "key", "etag"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("study_id", UUID, nullable=False),
    Column("image_id", UUID, nullable=False),
    _moment("purged_at", now=True),
)

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),
    Column("subject", UUID, nullable=False),
    Column("key", Text, nullable=False),
    Column("lane_rank", SmallInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    Column("lease_epoch", BigInteger, nullable=False, server_default="0"),
    _moment("lease_until"),
    _moment("not_before"),
    _moment("rung_at"),
    Column("claimed_by", Text),
    Column("last_error", Text),
    _moment("created_at", now=True),
    _moment("started_at"),
    _moment("finished_at"),
    UniqueConstraint("kind", "key"),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="running_has_lease"),
    Index(None, "subject"),
    Index("ix_jobs_unrung", "kind", "lane_rank", "id", postgresql_where=text("state = 'queued' AND rung_at IS NULL")),
    Index(
        "ix_jobs_rung",
        "kind",
        "lane_rank",
        "rung_at",
        postgresql_where=text("state = 'queued' AND rung_at IS NOT NULL"),
    ),
    Index("ix_jobs_leased", "lease_until", postgresql_where=text("state = 'running'")),
    Index("ix_jobs_dead", "finished_at", postgresql_where=text("state = 'dead'")),
)

summaries = Table(
    "summaries",
    metadata,
    _id(),
    Column("study_id", UUID, ForeignKey("studies.id"), nullable=False),
    Column("image_id", UUID, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("job_id", UUID, nullable=False, unique=True),
    Column("lease_epoch", BigInteger, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("bundle_sha256", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("findings", Text),
    Column("impression", Text),
    Column("provenance", JSONB, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("batch_size", Integer, nullable=False),
    _flags(),
    Column("review_state", Text, nullable=False, server_default="draft"),
    Column("reviewed_by", Text),
    _moment("reviewed_at"),
    Column("edited_summary", Text),
    _moment("summarised_at", now=True),
    _moment("superseded_at"),
    Index(None, "study_id"),
    Index("ix_summaries_current", "study_id", unique=True, postgresql_where=text("superseded_at IS NULL")),
    Index(None, "summarised_at"),
    Index(None, "bundle", "summarised_at"),
)

chat_turns = Table(
    "chat_turns",
    metadata,
    _id(),
    Column("study_id", UUID, ForeignKey("studies.id"), nullable=False),
    Column("summary_id", UUID, ForeignKey("summaries.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False, server_default=""),
    Column("lease_epoch", BigInteger),
    Column("bundle", Text),
    Column("bundle_sha256", Text),
    Column("provenance", JSONB),
    _moment("asked_at", now=True),
    _moment("answered_at"),
    UniqueConstraint("study_id", "position"),
)

training_runs = Table(
    "training_runs",
    metadata,
    _id(),
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
    _moment("created_at", now=True),
    _moment("finished_at"),
)

training_points = Table(
    "training_points",
    metadata,
    Column("run_id", UUID, ForeignKey("training_runs.id"), primary_key=True),
    Column("lease_epoch", BigInteger, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("loss", Float),
    Column("samples_per_s", Float),
    _moment("at", now=True),
)

backlogs = Table(
    "backlogs",
    metadata,
    _id(),
    Column("bucket", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    _moment("since"),
    Column("lane_rank", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("start_after", Text, nullable=False, server_default=""),
    Column("listed", BigInteger, nullable=False, server_default="0"),
    _moment("created_at", now=True),
    _moment("listed_at"),
    _moment("finished_at"),
)

backlog_images = Table(
    "backlog_images",
    metadata,
    Column("backlog_id", UUID, ForeignKey("backlogs.id", ondelete="CASCADE"), primary_key=True),
    Column("image_id", UUID, primary_key=True),
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
    _moment("at", now=True),
    Index(None, "study_id", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    _moment("created_at", now=True),
    _moment("revoked_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("status", Integer),
    Column("body", JSONB),
    _moment("created_at", now=True),
)
