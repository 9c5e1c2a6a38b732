"""What people may do to a study: cancel it, purge it."""

from collections.abc import Callable
from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.jobs.outcomes import cancel_jobs
from xraygpt_core.ledger.jobs.timeline import by_person, note, person
from xraygpt_core.ledger.studies.objects import digest
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger, Work

# Any constant that nothing else in this database uses: "PURG" in ASCII.
_PURGING = 0x50555247

# A review that is being written holds its summary: it comes before the purge, or finds nothing.
_HOLD_TEXTS = "SELECT id FROM summaries WHERE study_id = :id ORDER BY id FOR UPDATE"

_FORGET_REVIEWS = "DELETE FROM reviews WHERE summary_id = ANY (ARRAY(SELECT id FROM summaries WHERE study_id = :id))"

_FORGET_STORY = """
    DELETE FROM timeline
    WHERE study_id = ANY (ARRAY(SELECT CAST(:id AS uuid) UNION ALL SELECT id FROM studies WHERE alias_of = :id))
"""

# OFFSET keeps the planner from making a join of it, which it would turn into a walk where it believes a table empty.
_DERIVED = """
    SELECT DISTINCT k.key FROM images i CROSS JOIN LATERAL (VALUES (i.normalised_key), (i.preview_key)) k (key)
    WHERE i.study_id = :id AND k.key IS NOT NULL AND NOT EXISTS (
        SELECT FROM images o WHERE o.normalised_sha256 = i.normalised_sha256 AND o.study_id <> :id OFFSET 0)
"""

# The clock stands still for the statement, so that the index knows where the old ones end.
_EXPIRED = """
    SELECT id FROM studies
    WHERE purged_at IS NULL AND alias_of IS NULL
      AND received_at < statement_timestamp() - make_interval(days => :days)
    ORDER BY received_at LIMIT :limit
"""

_CLOSE_STUDY = """
    UPDATE studies SET state = 'cancelled', reason_code = NULL, revision = revision + 1, finished_at = clock_timestamp()
    WHERE id = :id
"""


def cancel_study(ledger: Ledger, study_id: UUID) -> None:
    """Stop all open work of a study. What is summarised stays summarised and cannot be cancelled.

    Raises:
        NotFound: no such study.
        Conflict: it is summarised, rejected or cancelled already.
    """

    def body(work: Work) -> None:
        work.by_index()
        home = resolve(work, study_id)
        cancel_jobs(work, home)
        home = _lock(work, home)
        row = work.row("SELECT state FROM studies WHERE id = :id", {"id": home})
        if row is None or row["state"] in {"summarised", "rejected", "cancelled"}:
            raise Conflict(f"the study is {row['state'] if row else 'gone'} already")
        work.run(_CLOSE_STUDY, {"id": home})
        work.run(
            "UPDATE images SET state = 'cancelled', finished_at = clock_timestamp() "
            "WHERE study_id = :id AND state IN ('received', 'accepted', 'dead')",
            {"id": home},
        )
        cancel_jobs(work, home)  # what was added while we waited for the study
        note(work, home, "cancelled", who=person(work), detail=by_person(work))
        record(work, "study cancelled", study=home)

    repeating(ledger, body)


def purge_study(ledger: Ledger, study_id: UUID, delete: Callable[[str], None]) -> None:
    """Forget a study: texts, turns, pseudonyms and object keys. A content-free tombstone keeps it from coming back.

    Args:
        delete: removes an object from the derived bucket; called for each key that nothing else refers to, maybe
            twice. It runs before the commit: pictures go first, and whoever stops in the middle leaves a study that
            can be purged again, never a picture that nobody knows of.

    Raises:
        NotFound: no such study.
        Unavailable: the bucket does not answer; the study is still there.
    """

    def body(work: Work) -> None:
        work.by_index()
        home = resolve(work, study_id)
        # Two studies may share a derived object; purged together, each would leave it to the other.
        work.row("SELECT pg_advisory_xact_lock(:key)", {"key": _PURGING})
        cancel_jobs(work, home)
        home = _lock(work, home)
        if work.row("SELECT id FROM studies WHERE id = :id AND purged_at IS NOT NULL", {"id": home}):
            record(work, "study purged", study=home, detail={"again": True})
            return
        _bury_keys(work, home)
        derived = _derived_keys(work, home)
        _forget_texts(work, home)
        work.run(
            "UPDATE images SET state = 'cancelled', reason_code = NULL, view = NULL, modality = NULL, kind = NULL, "
            "rows = NULL, columns = NULL, sop_pseudonym = NULL, pixel_sha256 = NULL, normalised_key = NULL, "
            "normalised_sha256 = NULL, preview_key = NULL, preview_sha256 = NULL, duplicate_of = NULL, flags = '{}', "
            "patient_pseudonym = NULL, patient_id_pseudonym = NULL, accession_pseudonym = NULL WHERE study_id = :id",
            {"id": home},
        )
        work.run(_CLOSE_STUDY, {"id": home})
        work.run(
            "UPDATE studies SET uid_pseudonym = NULL, patient_pseudonym = NULL, patient_id_pseudonym = NULL, "
            "accession_pseudonym = NULL, other_pseudonyms = '{}', view = NULL, chosen_image = NULL, flags = '{}' "
            "WHERE id = :id",
            {"id": home},
        )
        cancel_jobs(work, home)  # what was added while we waited for the study
        note(work, home, "purged", who=person(work), detail=by_person(work))
        record(work, "study purged", study=home)
        for key in derived:
            delete(key)

    repeating(ledger, body)


def _lock(work: Work, study_id: UUID) -> UUID:
    """Lock a study; if it became an alias while we waited, the study it leads to."""
    work.row("SELECT id FROM studies WHERE id = :id FOR UPDATE", {"id": study_id})
    home = resolve(work, study_id)
    if home != study_id:
        work.row("SELECT id FROM studies WHERE id = :id FOR UPDATE", {"id": home})
    return home


def _bury_keys(work: Work, study_id: UUID) -> None:
    salt = work.row("SELECT tombstone_salt FROM installation")
    for row in work.rows(
        "DELETE FROM object_keys WHERE image_id IN (SELECT id FROM images WHERE study_id = :id) "
        "RETURNING image_id, bucket, key, etag",
        {"id": study_id},
    ):
        sealed = digest(salt["tombstone_salt"] if salt else "", row["bucket"], row["key"], row["etag"])
        work.run(
            "INSERT INTO tombstones (digest, study_id, image_id) VALUES (:digest, :study, :image) "
            "ON CONFLICT DO NOTHING",
            {"digest": sealed, "study": study_id, "image": row["image_id"]},
        )


def _forget_texts(work: Work, study_id: UUID) -> None:
    """Everything that was written about a study. What guards the reviews lets them go once it is marked as purged."""
    work.run("UPDATE studies SET purged_at = clock_timestamp() WHERE id = :id", {"id": study_id})
    work.run("DELETE FROM chat_turns WHERE study_id = :id", {"id": study_id})
    work.rows(_HOLD_TEXTS, {"id": study_id})
    work.run(_FORGET_REVIEWS, {"id": study_id})
    work.run("DELETE FROM summaries WHERE study_id = :id", {"id": study_id})
    work.run(_FORGET_STORY, {"id": study_id})


def _derived_keys(work: Work, study_id: UUID) -> list[str]:
    """Derived objects have keys made from content, so another study may share them; those stay."""
    return [row["key"] for row in work.rows(_DERIVED, {"id": study_id})]


def expired_studies(ledger: Ledger, *, limit: int = 100) -> list[UUID]:
    """Studies older than the retention setting, oldest first; none if it is 0."""
    if not ledger.settings.retention_days:
        return []
    with ledger.work() as work:
        rows = work.rows(_EXPIRED, {"days": ledger.settings.retention_days, "limit": limit})
    return [row["id"] for row in rows]
