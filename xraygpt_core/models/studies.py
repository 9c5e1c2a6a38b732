"""Studies, their images, where they came from, the texts about them, and what people say about those."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import flags_column, id_column, metadata, moment

studies = Table(
    "studies",
    metadata,
    id_column(),
    # A provisional study whose image moved to the study it belongs to. Every reader follows it.
    Column("alias_of", UUID, ForeignKey("studies.id")),
    Column("uid_pseudonym", Text),
    Column("patient_pseudonym", Text),
    # PatientID without its issuer, where one is named; NULL: patient_pseudonym is that already.
    Column("patient_id_pseudonym", Text),
    Column("accession_pseudonym", Text),
    # What else its images carry: further accession numbers, the patient without or with the issuer.
    Column("other_pseudonyms", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("lane_rank", SmallInteger, nullable=False),
    Column("place", BigInteger, nullable=False, server_default="0"),
    Column("state", Text, nullable=False),
    Column("reason_code", Text),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("expected_images", Integer),
    Column("chosen_image", UUID),
    Column("view", Text),
    flags_column(),
    moment("received_at", now=True),
    moment("last_image_at"),
    moment("finished_at"),
    moment("purged_at"),
    Index(None, "alias_of", postgresql_where=text("alias_of IS NOT NULL")),
    # Two patients may share a StudyInstanceUID; each has a study of their own.
    Index(
        "ix_studies_uid_pseudonym",
        "uid_pseudonym",
        "patient_pseudonym",
        unique=True,
        postgresql_where=text("uid_pseudonym IS NOT NULL"),
    ),
    Index(None, "patient_pseudonym", postgresql_where=text("patient_pseudonym IS NOT NULL")),
    Index(None, "accession_pseudonym", postgresql_where=text("accession_pseudonym IS NOT NULL")),
    Index(None, "other_pseudonyms", postgresql_using="gin", postgresql_where=text("other_pseudonyms <> '{}'")),
    Index(None, "received_at"),
    Index("ix_studies_kept", "received_at", postgresql_where=text("purged_at IS NULL AND alias_of IS NULL")),
)

images = Table(
    "images",
    metadata,
    id_column(),
    Column("study_id", UUID, ForeignKey("studies.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("reason_code", Text),
    Column("view", Text),
    # How the pixels came about: states.Origin. Settle reads it.
    Column("origin", SmallInteger, nullable=False, server_default=text("0")),
    Column("modality", Text),
    Column("kind", Text),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("sop_pseudonym", Text),
    # What its own header says, as in studies. Images of older versions did not keep it: names_read is false.
    Column("patient_pseudonym", Text),
    Column("patient_id_pseudonym", Text),
    Column("accession_pseudonym", Text),
    Column("names_read", Boolean, nullable=False, server_default=text("false")),
    Column("pixel_sha256", Text),
    Column("normalised_key", Text),
    Column("normalised_sha256", Text),
    Column("preview_key", Text),
    Column("preview_sha256", Text),
    # The same SOPInstanceUID with equal pixels is one image: this row points at the one that counts.
    Column("duplicate_of", UUID),
    flags_column(),
    moment("received_at", now=True),
    moment("finished_at"),
    Index(None, "study_id"),
    Index(None, "normalised_sha256", postgresql_where=text("normalised_sha256 IS NOT NULL")),
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
    moment("seen_at", now=True),
    moment("deleted_at"),
    UniqueConstraint("bucket", "key", "etag"),
)

# Whose header could not be read again while the pseudonymisation key was replaced: known under the key before.
unrotated_images = Table(
    "unrotated_images",
    metadata,
    Column("image_id", UUID, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("study_id", UUID, nullable=False),
    Column("image_id", UUID, nullable=False),
    moment("purged_at", now=True),
)

summaries = Table(
    "summaries",
    metadata,
    id_column(),
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
    flags_column(),
    # Sentences of the model's own text that contradict each other: [{kind, one, other}].
    Column("consistency", JSONB, nullable=False, server_default="[]"),
    # The study's, repeated here so that one index has the drafts in the order in which they are read.
    Column("lane_rank", SmallInteger, nullable=False, server_default="1"),
    Column("review_state", Text, nullable=False, server_default="draft"),
    Column("reviewed_by", Text),
    moment("reviewed_at"),
    Column("edited_summary", Text),
    moment("summarised_at", now=True),
    moment("superseded_at"),
    Index(None, "study_id"),
    Index("ix_summaries_current", "study_id", unique=True, postgresql_where=text("superseded_at IS NULL")),
    Index(None, "summarised_at"),
    Index(None, "bundle", "summarised_at"),
    Index(
        "ix_summaries_awaiting",
        "lane_rank",
        "summarised_at",
        "id",
        postgresql_where=text("superseded_at IS NULL AND review_state = 'draft'"),
    ),
    Index(
        "ix_summaries_signed",
        "reviewed_at",
        "id",
        postgresql_where=text("superseded_at IS NULL AND review_state <> 'draft'"),
    ),
)

# Rows that are only added: a trigger refuses everything else but a purge.
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
    Column("lease_epoch", BigInteger),
    Column("bundle", Text),
    Column("bundle_sha256", Text),
    Column("provenance", JSONB),
    flags_column(),
    # Where the answer contradicts the summary it is about, or itself: [{kind, one, other}].
    Column("consistency", JSONB, nullable=False, server_default="[]"),
    moment("asked_at", now=True),
    moment("answered_at"),
    UniqueConstraint("study_id", "position"),
)
