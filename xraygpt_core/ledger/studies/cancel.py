"""A person cancels a study: its open work stops."""

from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.jobs.outcomes import cancel_jobs
from xraygpt_core.ledger.jobs.timeline import by_person, note, person
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger, Work

_CANCEL_STUDY = """
    UPDATE studies SET state = 'cancelled', reason_code = NULL, revision = revision + 1, finished_at = clock_timestamp()
    WHERE id = :id
"""

_CANCEL_IMAGES = """
    UPDATE images SET state = 'cancelled', finished_at = clock_timestamp()
    WHERE study_id = :id AND state IN ('received', 'accepted', 'dead')
"""


def cancel_study(ledger: Ledger, study_id: UUID) -> None:
    """Stop all open work of a study. What is summarised stays summarised and cannot be cancelled.

    Raises:
        NotFound: no such study.
        Conflict: it is summarised, rejected or cancelled already.
    """

    def body(work: Work) -> None:
        home = stop_work(work, study_id)
        row = work.row("SELECT state FROM studies WHERE id = :id", {"id": home})
        if row is None or row["state"] in {"summarised", "rejected", "cancelled"}:
            raise Conflict(f"the study is {row['state'] if row else 'gone'} already")
        work.run(_CANCEL_STUDY, {"id": home})
        work.run(_CANCEL_IMAGES, {"id": home})
        cancel_jobs(work, home)  # what was added while we waited for the study
        note(work, home, "cancelled", who=person(work), detail=by_person(work))
        record(work, "study cancelled", study=home)

    repeating(ledger, body)


def stop_work(work: Work, study_id: UUID) -> UUID:
    """Cancel a study's jobs, then lock the study: jobs are locked before studies everywhere.

    Returns:
        The study itself; if it became an alias while we waited, the study it leads to.

    Raises:
        NotFound: no such study.
    """
    work.by_index()
    home = resolve(work, study_id)
    cancel_jobs(work, home)
    work.row("SELECT id FROM studies WHERE id = :id FOR UPDATE", {"id": home})
    moved = resolve(work, home)
    if moved != home:
        work.row("SELECT id FROM studies WHERE id = :id FOR UPDATE", {"id": moved})
    return moved
