"""What people may do to a study: cancel it, purge it, summarise it again, replay what died."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.ledger.fallout import revision_of
from xraygpt_core.ledger.fence import repeating
from xraygpt_core.ledger.jobs import add_job
from xraygpt_core.ledger.objects import digest
from xraygpt_core.ledger.read import resolve
from xraygpt_core.ledger.serving import served_in
from xraygpt_core.ledger.timeline import note
from xraygpt_core.states import JobKind, Lane, StudyState

# Any constant that nothing else in this database uses: "PURG" in ASCII.
_PURGING = 0x50555247

_CANCEL_JOBS = """
    UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = clock_timestamp()
    WHERE state IN ('queued', 'running', 'dead') AND (
        subject = :id OR subject IN (SELECT id FROM images WHERE study_id = :id)
        OR subject IN (SELECT id FROM chat_turns WHERE study_id = :id))
"""

_CLOSE_STUDY = """
    UPDATE studies SET state = 'cancelled', reason_code = NULL, revision = revision + 1, finished_at = clock_timestamp()
    WHERE id = :id
"""

# A worker may still write with the former bundle after another was promoted: then the same is asked once more, about
# the summary that is current now.
_RESUMMARISE = """
    SELECT s.id, s.revision, k.key || CASE WHEN EXISTS (
               SELECT FROM jobs j WHERE j.kind = 'summarise' AND j.key = k.key AND j.state = 'done'
           ) THEN COALESCE(':' || m.id, '') ELSE '' END AS key
    FROM studies s CROSS JOIN LATERAL (SELECT s.id || ':' || s.revision || ':' || CAST(:bundle AS text) AS key) k
    LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
    WHERE s.alias_of IS NULL AND s.chosen_image IS NOT NULL AND s.state IN ('summarised', 'dead')
      AND (m.bundle IS DISTINCT FROM :bundle)
      AND NOT EXISTS (SELECT FROM jobs j WHERE j.kind = 'settle' AND j.key = s.id || ':' || s.revision
                      AND j.state = 'dead')
      AND (CAST(:ids AS uuid[]) IS NULL OR s.id = ANY(CAST(:ids AS uuid[])))
      AND (CAST(:from_bundle AS text) IS NULL OR m.bundle = :from_bundle)
      AND (CAST(:since AS timestamptz) IS NULL OR s.received_at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR s.received_at < :until)
      AND (CAST(:view AS text) IS NULL OR s.view = :view)
    ORDER BY s.id
"""


def cancel_study(ledger: Ledger, study_id: UUID) -> None:
    """Stop all open work of a study. What is summarised stays summarised and cannot be cancelled.

    Raises:
        NotFound: no such study.
        Conflict: it is summarised, rejected or cancelled already.
    """

    def body(work: Work) -> None:
        home = resolve(work, study_id)
        work.run(_CANCEL_JOBS, {"id": home})
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
        work.run(_CANCEL_JOBS, {"id": home})  # what was added while we waited for the study
        note(work, home, "cancelled", who="person")

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
        home = resolve(work, study_id)
        # Two studies may share a derived object; purged together, each would leave it to the other.
        work.row("SELECT pg_advisory_xact_lock(:key)", {"key": _PURGING})
        work.run(_CANCEL_JOBS, {"id": home})
        home = _lock(work, home)
        if work.row("SELECT id FROM studies WHERE id = :id AND purged_at IS NOT NULL", {"id": home}):
            return
        _bury_keys(work, home)
        derived = _derived_keys(work, home)
        work.run("DELETE FROM chat_turns WHERE study_id = :id", {"id": home})
        work.run("DELETE FROM summaries WHERE study_id = :id", {"id": home})
        work.run(
            "DELETE FROM timeline WHERE study_id = :id OR study_id IN (SELECT id FROM studies WHERE alias_of = :id)",
            {"id": home},
        )
        work.run(
            "UPDATE images SET state = 'cancelled', reason_code = NULL, view = NULL, modality = NULL, kind = NULL, "
            "rows = NULL, columns = NULL, sop_pseudonym = NULL, pixel_sha256 = NULL, normalised_key = NULL, "
            "normalised_sha256 = NULL, preview_key = NULL, duplicate_of = NULL, flags = '{}' WHERE study_id = :id",
            {"id": home},
        )
        work.run(_CLOSE_STUDY, {"id": home})
        work.run(
            "UPDATE studies SET uid_pseudonym = NULL, patient_pseudonym = NULL, accession_pseudonym = NULL, "
            "view = NULL, chosen_image = NULL, flags = '{}', purged_at = clock_timestamp() WHERE id = :id",
            {"id": home},
        )
        work.run(_CANCEL_JOBS, {"id": home})  # what was added while we waited for the study
        note(work, home, "purged", who="person")
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


def _derived_keys(work: Work, study_id: UUID) -> list[str]:
    """Derived objects have keys made from content, so another study may share them; those stay."""
    rows = work.rows(
        "SELECT DISTINCT k.key FROM images i CROSS JOIN LATERAL (VALUES (i.normalised_key), (i.preview_key)) k (key) "
        "WHERE i.study_id = :id AND k.key IS NOT NULL AND NOT EXISTS (SELECT FROM images o "
        "WHERE o.study_id <> :id AND o.normalised_sha256 = i.normalised_sha256)",
        {"id": study_id},
    )
    return [row["key"] for row in rows]


def expired_studies(ledger: Ledger, *, limit: int = 100) -> list[UUID]:
    """Studies older than the retention setting, oldest first; none if it is 0."""
    if not ledger.settings.retention_days:
        return []
    with ledger.work() as work:
        rows = work.rows(
            "SELECT id FROM studies WHERE purged_at IS NULL AND alias_of IS NULL "
            "AND received_at < clock_timestamp() - make_interval(days => :days) ORDER BY received_at LIMIT :limit",
            {"days": ledger.settings.retention_days, "limit": limit},
        )
    return [row["id"] for row in rows]


def resummarise(
    ledger: Ledger,
    *,
    study_ids: Sequence[UUID] | None,
    bundle: str | None,
    from_bundle: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    view: str | None = None,
) -> int:
    """Queue new summaries on the backlog lane, once per (study, revision, bundle). Returns how many were queued.

    Raises:
        Conflict: another bundle than the served one is asked for.
    """

    def body(work: Work) -> int:
        served = served_in(work).name
        if bundle is not None and bundle != served:
            raise Conflict(f"the workers serve {served!r}: promote {bundle!r} first, then ask again")
        values: dict[str, Any] = {"bundle": served, "from_bundle": from_bundle, "since": since, "until": until}
        ids = None if study_ids is None else [resolve(work, study_id) for study_id in study_ids]
        rows = work.rows(_RESUMMARISE, values | {"view": view, "ids": ids})
        return sum(_summarise_again(ledger, work, row["id"], row["revision"], row["key"]) for row in rows)

    return repeating(ledger, body)


def _summarise_again(ledger: Ledger, work: Work, study_id: UUID, revision: int, key: str) -> bool:
    added = add_job(
        work,
        JobKind.SUMMARISE,
        study_id,
        key,
        Lane.BACKLOG,
        max_attempts=ledger.settings.max_attempts,
        ring=False,
    )
    if added is not None:
        _reopen_study(work, study_id, revision, StudyState.QUEUED)
    return added is not None


def replay_dead(ledger: Ledger, *, job_ids: Sequence[UUID] | None = None, reason: str | None = None) -> int:
    """Give dead jobs fresh attempts; epochs go on counting. Returns how many.

    Args:
        job_ids: these; None means all, or all whose error contains ``reason``.
    """

    def body(work: Work) -> int:
        rows = work.rows(
            "UPDATE jobs SET state = 'queued', attempts = 0, not_before = NULL, finished_at = NULL "
            "WHERE state = 'dead' AND (CAST(:ids AS uuid[]) IS NULL OR id = ANY(CAST(:ids AS uuid[]))) "
            "AND (CAST(:reason AS text) IS NULL OR strpos(last_error, :reason) > 0) RETURNING kind, subject, key",
            {"ids": list(job_ids) if job_ids is not None else None, "reason": reason},
        )
        for row in rows:
            _reopen(work, JobKind(row["kind"]), row["subject"], row["key"])
        return len(rows)

    return repeating(ledger, body)


def _reopen(work: Work, kind: JobKind, subject: UUID, key: str) -> None:
    match kind:
        case JobKind.INGEST:
            work.run(
                "UPDATE images SET state = 'received', finished_at = NULL WHERE id = :id AND state = 'dead'",
                {"id": subject},
            )
        case JobKind.SETTLE:
            _reopen_study(work, subject, revision_of(key), StudyState.WAITING)
        case JobKind.SUMMARISE:
            _reopen_study(work, subject, revision_of(key), StudyState.QUEUED)
        case JobKind.CHAT:
            work.run("UPDATE chat_turns SET state = 'queued', answer = '' WHERE id = :id", {"id": subject})
        case JobKind.TRAIN:
            work.run("UPDATE training_runs SET state = 'queued', finished_at = NULL WHERE id = :id", {"id": subject})


def _reopen_study(work: Work, study_id: UUID, revision: int, state: StudyState) -> None:
    """A dead study goes on, if this is what it died of: a job of an older revision has nothing to say any more."""
    work.run(
        "UPDATE studies SET state = :state, finished_at = NULL "
        "WHERE id = :id AND state = 'dead' AND revision = :revision",
        {"id": study_id, "state": state, "revision": revision},
    )
