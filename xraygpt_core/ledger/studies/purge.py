"""A study is purged: all that was kept of it goes, and a tombstone without content keeps it from coming back."""

from collections.abc import Callable, Sequence
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.card.labels import FORGET_LABELS_OF_SUMMARIES, FORGET_LABELS_OF_TURNS
from xraygpt_core.ledger.jobs.fence import Claim, repeating
from xraygpt_core.ledger.jobs.outcomes import cancel_jobs
from xraygpt_core.ledger.jobs.timeline import by_person, note, person
from xraygpt_core.ledger.studies.cancel import stop_work
from xraygpt_core.ledger.studies.header_names import forget_headers
from xraygpt_core.ledger.studies.objects import digest
from xraygpt_core.ledger.training.files import forget_files
from xraygpt_core.ledger.training.forget import forget_study
from xraygpt_core.ledger.transaction import Ledger, Work

# Two studies may share a derived object: purged at once, each would leave it to the other. So purges take turns.
_TAKE_TURNS = "SELECT pg_advisory_xact_lock(1347768903)"  # "PURG" in ASCII; no other lock of this database has it

_BURY_KEYS = """
    DELETE FROM object_keys WHERE image_id IN (SELECT id FROM images WHERE study_id = :id)
    RETURNING image_id, bucket, key, etag
"""
_BURY = """
    INSERT INTO tombstones (digest, study_id, image_id) VALUES (:digest, :study, :image) ON CONFLICT DO NOTHING
"""

# OFFSET keeps the planner from making a join of it, which it would turn into a walk where it believes a table empty.
_DERIVED = """
    SELECT DISTINCT k.key FROM images i CROSS JOIN LATERAL (VALUES (i.normalised_key), (i.preview_key)) k (key)
    WHERE i.study_id = :id AND k.key IS NOT NULL AND NOT EXISTS (
        SELECT FROM images o WHERE o.normalised_sha256 = i.normalised_sha256 AND o.study_id <> :id OFFSET 0)
    UNION SELECT i.deep_key FROM images i
    WHERE i.study_id = :id AND i.deep_key IS NOT NULL AND NOT EXISTS (
        SELECT FROM images o WHERE o.deep_sha256 = i.deep_sha256 AND o.study_id <> :id OFFSET 0)
    UNION ALL SELECT clinical_key FROM images WHERE study_id = :id AND clinical_key IS NOT NULL
"""

_FORGET_STORY = """
    DELETE FROM timeline
    WHERE study_id = ANY (ARRAY(SELECT CAST(:id AS uuid) UNION ALL SELECT id FROM studies WHERE alias_of = :id))
"""

# Of the study, and of its films: a comparison may have found these in the study that this one was taken from.
_FORGET_SHADOWS = (
    "DELETE FROM shadow_drafts WHERE study_id = :id",
    "DELETE FROM shadow_drafts WHERE image_id = ANY (ARRAY(SELECT id FROM images WHERE study_id = :id))",
)

# In this order. The trigger that keeps reviews lets them go once their study is marked as purged. A review that is
# being written holds its summary: it comes before the purge, or finds nothing.
_FORGET_TEXTS = (
    "UPDATE studies SET purged_at = clock_timestamp() WHERE id = :id",
    *FORGET_LABELS_OF_TURNS,
    "DELETE FROM chat_turns WHERE study_id = :id",
    "DELETE FROM reading_claims WHERE study_id = :id",
    "DELETE FROM assignments WHERE study_id = :id",
    *_FORGET_SHADOWS,
    "SELECT id FROM summaries WHERE study_id = :id ORDER BY id FOR UPDATE",
    *FORGET_LABELS_OF_SUMMARIES,
    "DELETE FROM reviews WHERE summary_id = ANY (ARRAY(SELECT id FROM summaries WHERE study_id = :id))",
    "DELETE FROM summaries WHERE study_id = :id",
    _FORGET_STORY,
)

_FORGET_IMAGES = """
    UPDATE images SET state = 'cancelled', reason_code = NULL, view = NULL, modality = NULL, kind = NULL, rows = NULL,
           columns = NULL, sop_pseudonym = NULL, pixel_sha256 = NULL, normalised_key = NULL, normalised_sha256 = NULL,
           preview_key = NULL, preview_sha256 = NULL, clinical_key = NULL, clinical_sha256 = NULL, duplicate_of = NULL,
           flags = '{}', patient_pseudonym = NULL, patient_id_pseudonym = NULL, accession_pseudonym = NULL,
           acquired_on = NULL, acquired_time = NULL, laterality = NULL, spacing_mm = NULL, spacing_at = NULL,
           facts_read = false, deep_key = NULL, deep_sha256 = NULL, deep_scale = NULL, deep_window = NULL
    WHERE study_id = :id
"""

_FORGET_STUDY = """
    UPDATE studies SET state = 'cancelled', reason_code = NULL, revision = revision + 1,
           finished_at = clock_timestamp(), uid_pseudonym = NULL, patient_pseudonym = NULL, patient_id_pseudonym = NULL,
           accession_pseudonym = NULL, other_pseudonyms = '{}', view = NULL, chosen_image = NULL,
           chosen_lateral = NULL, chosen_prior = NULL, flags = '{}'
    WHERE id = :id
"""

# The clock stands still for the statement, so that the index knows where the old ones end.
_EXPIRED = """
    SELECT id FROM studies
    WHERE purged_at IS NULL AND alias_of IS NULL
      AND received_at < statement_timestamp() - make_interval(days => :days)
    ORDER BY received_at LIMIT :limit
"""

_ORPHANED = """
    SELECT key FROM unnest(CAST(:keys AS text[])) AS key
    WHERE NOT EXISTS (SELECT FROM object_keys WHERE image_id = :image_id)
      AND NOT EXISTS (SELECT FROM images WHERE key IN (normalised_key, preview_key, deep_key, clinical_key))
"""


def purge_study(ledger: Ledger, study_id: UUID, delete: Callable[[str], None]) -> None:
    """Forget a study: texts, turns, pseudonyms and object keys, and what runs were to be trained on.

    Args:
        delete: removes an object from the derived bucket; called for each key that no other study refers to, maybe
            twice. It runs before the commit: a purge that stops in the middle leaves a study that can be purged again,
            never a picture that no row refers to.

    Raises:
        NotFound: no such study.
        Unavailable: the bucket does not answer; the study is still there.
    """

    def body(work: Work) -> None:
        work.row(_TAKE_TURNS)
        home = stop_work(work, study_id)
        if work.row("SELECT id FROM studies WHERE id = :id AND purged_at IS NOT NULL", {"id": home}):
            record(work, "study purged", study=home, detail={"again": True})
            return
        derived = [row["key"] for row in work.rows(_DERIVED, {"id": home})]
        derived += forget_files(work, home)
        derived += forget_study(work, home)
        _bury_keys(work, home)
        forget_headers(work, home)
        for sql in (*_FORGET_TEXTS, _FORGET_IMAGES, _FORGET_STUDY):
            work.run(sql, {"id": home})
        cancel_jobs(work, home)  # what was added while we waited for the study
        note(work, home, "purged", who=person(work), detail=by_person(work))
        record(work, "study purged", study=home)
        for key in derived:
            delete(key)

    repeating(ledger, body)


def expired_studies(ledger: Ledger, *, limit: int = 100) -> list[UUID]:
    """Studies older than the retention setting, oldest first; none if it is 0."""
    if not ledger.settings.retention_days:
        return []
    with ledger.work() as work:
        rows = work.rows(_EXPIRED, {"days": ledger.settings.retention_days, "limit": limit})
    return [row["id"] for row in rows]


def orphaned_keys(ledger: Ledger, claim: Claim, keys: Sequence[str]) -> list[str]:
    """Those of these derived keys that no row refers to: the image was purged while it was read.

    Derived objects are named by content, so what another study has too is not among them.
    """
    with ledger.work() as work:
        return [row["key"] for row in work.rows(_ORPHANED, {"keys": list(keys), "image_id": claim.subject})]


def _bury_keys(work: Work, study_id: UUID) -> None:
    salt = work.row("SELECT tombstone_salt FROM installation")
    for row in work.rows(_BURY_KEYS, {"id": study_id}):
        sealed = digest(salt["tombstone_salt"] if salt else "", row["bucket"], row["key"], row["etag"])
        work.run(_BURY, {"digest": sealed, "study": study_id, "image": row["image_id"]})
