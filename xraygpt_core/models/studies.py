"""Studies, their images, where they came from, the texts about them, and what people say about those."""

from sqlalchemy import (
    ARRAY,
    DOUBLE_PRECISION,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import flags_column, id_column, metadata, moment, tail_of_id

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
    # What the model is shown beside it, where the served bundle looks at more films. The prior is another study's.
    Column("chosen_lateral", UUID),
    Column("chosen_prior", UUID),
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
    Index("ix_studies_tail", tail_of_id),
    Index(None, "flags", postgresql_using="gin", postgresql_where=text("flags <> '{}'")),
    Index("ix_studies_view", "view", "received_at"),
    Index("ix_studies_lane", "lane_rank", "received_at"),
    Index("ix_studies_prior", "chosen_prior", postgresql_where=text("chosen_prior IS NOT NULL")),
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
    # What was known when the film was asked for, sealed: an object that only the GPU worker opens.
    Column("clinical_key", Text),
    Column("clinical_sha256", Text),
    # The same SOPInstanceUID with equal pixels is one image: this row points at the one that counts.
    Column("duplicate_of", UUID),
    flags_column(),
    moment("received_at", now=True),
    moment("finished_at"),
    # What the header says, where it does; images of older versions were not asked: facts_read is false. The day and the
    # time are patient data: settle and the routes of readers and leads read them. The spacing is that of ``rows`` and
    # ``columns`` as they stand here: millimetres between rows, between columns; at the patient or at the detector.
    Column("acquired_on", Date),
    Column("acquired_time", Time),
    Column("laterality", Text),
    Column("spacing_mm", ARRAY(REAL)),
    Column("spacing_at", Text),
    Column("facts_read", Boolean, nullable=False, server_default=text("false")),
    # The copy in 16 bits, where one is kept: the film's value at code 0 and what each further code adds; centre and
    # width of the window, in the film's values, that the 8-bit picture has.
    Column("deep_key", Text),
    Column("deep_sha256", Text),
    Column("deep_scale", ARRAY(DOUBLE_PRECISION)),
    Column("deep_window", ARRAY(DOUBLE_PRECISION)),
    CheckConstraint("cardinality(deep_scale) = 2", name="two_of_scale"),
    CheckConstraint("cardinality(deep_window) = 2", name="two_of_window"),
    CheckConstraint("laterality IN ('L', 'R')", name="known_side"),
    CheckConstraint("cardinality(spacing_mm) = 2", name="two_spacings"),
    CheckConstraint("spacing_at IN ('patient', 'detector')", name="known_plane"),
    Index(None, "study_id"),
    Index(None, "normalised_sha256", postgresql_where=text("normalised_sha256 IS NOT NULL")),
    Index(None, "deep_sha256", postgresql_where=text("deep_sha256 IS NOT NULL")),
    Index("ix_images_acquired_on", "acquired_on", "id", postgresql_where=text("acquired_on IS NOT NULL")),
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
    # The other films that the model saw.
    Column("lateral_image", UUID),
    Column("prior_image", UUID),
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
    # Where the model says that it saw what it names, in fractions of the film: [{phrase, boxes}].
    Column("grounding", JSONB, nullable=False, server_default="[]"),
    # What the model thought before its text, if it thinks aloud; no part of the text.
    Column("reasoning", Text),
    # The study's, repeated here so that one index has the drafts in the order in which they are read.
    Column("lane_rank", SmallInteger, nullable=False, server_default="1"),
    Column("review_state", Text, nullable=False, server_default="draft"),
    Column("reviewed_by", Text),
    moment("reviewed_at"),
    Column("edited_summary", Text),
    moment("summarised_at", now=True),
    moment("superseded_at"),
    # Findings that the text names as it stands, corrected or not; null until it is labelled.
    Column("asserted", ARRAY(Text)),
    Column("uncertain", ARRAY(Text)),
    Index(None, "study_id"),
    Index(
        None,
        "asserted",
        postgresql_using="gin",
        postgresql_where=text("superseded_at IS NULL AND asserted <> '{}'"),
    ),
    *(
        Index(
            None,
            name,
            postgresql_using="gin",
            postgresql_where=text(f"superseded_at IS NULL AND {name} <> '{{}}'"),
        )
        for name in ("uncertain", "flags")
    ),
    # The text as it stands, corrected or not.
    Index(
        "ix_summaries_words",
        text("to_tsvector('simple'::regconfig, COALESCE(edited_summary, summary))"),
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
        postgresql_where=text("superseded_at IS NULL"),
    ),
    Index("ix_summaries_current_bundle", "bundle", postgresql_where=text("superseded_at IS NULL")),
    Index(
        "ix_summaries_reviewed",
        *("review_state", "lane_rank", "reviewed_at"),
        postgresql_where=text("superseded_at IS NULL AND review_state <> 'draft'"),
    ),
    Index(
        "ix_summaries_reviewer",
        "reviewed_by",
        "reviewed_at",
        postgresql_where=text("superseded_at IS NULL AND review_state <> 'draft'"),
    ),
    # Signatures that were taken back: few, and their signers look for them.
    Index(
        "ix_summaries_withdrawn",
        "study_id",
        postgresql_where=text("superseded_at IS NULL AND review_state = 'draft' AND reviewed_at IS NOT NULL"),
    ),
    Index("ix_summaries_current", "study_id", unique=True, postgresql_where=text("superseded_at IS NULL")),
    Index(None, "summarised_at"),
    Index(None, "bundle", "summarised_at"),
    Index("ix_summaries_tail", tail_of_id),
    Index("ix_summaries_prior", "prior_image", postgresql_where=text("prior_image IS NOT NULL")),
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
