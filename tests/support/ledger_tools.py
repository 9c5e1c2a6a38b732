"""What the ledger tests share: short words for the steps of a study's life, on real services.

Time is never waited for: a lease, a pause or a grace is ended by writing into the database.
"""

import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import pytest

from tests.support.api_keys import create_api_key
from tests.support.study_steps import complete_ingest, settle
from xraygpt_core.ledger.access.api_keys import check_api_key
from xraygpt_core.ledger.backlogs import change
from xraygpt_core.ledger.backlogs.change_statements import WINDOW
from xraygpt_core.ledger.backlogs.progress import add_page, create_backlog, listings
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.studies.images import IngestedImage
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.studies.register import ObjectRef, Registered, register_objects
from xraygpt_core.ledger.studies.review import Signer, Verdict, review_summary
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.studies.summarise import SummariseInput, complete_summary, summarise_input
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, KeyKind, Lane, ReasonCode, ReviewState

T = TypeVar("T")
_numbers = count(1)


def put(ledger: Ledger, key: str | None = None, etag: str = "e1", lane: Lane = Lane.ROUTINE, **more: Any) -> Registered:
    """Register one object; without a key it is one nobody has seen."""
    ref = ObjectRef("source", key or f"key-{next(_numbers)}", etag, **more)
    return register_objects(ledger, [ref], lane, actor="test")[0]


def begun(
    ledger: Ledger, images: int, *, whole: bool = True, prefix: str = "archive/"
) -> tuple[UUID, list[Registered]]:
    """A backlog and its images; listed to its end, or not yet."""
    backlog_id = create_backlog(ledger, "source", prefix, Lane.BACKLOG, None)
    listing = next(one for one in listings(ledger) if one.backlog_id == backlog_id)
    refs = [ObjectRef("source", f"{prefix}{number}", "e") for number in range(images)]
    add_page(ledger, listing, refs, next_after=f"{prefix}{images}", last=whole)
    return backlog_id, [put(ledger, ref.key, "e", Lane.BACKLOG) for ref in refs]


def film(study: str | None = "study-1", **changes: Any) -> IngestedImage:
    """What ingest found in a DICOM file; every film has pixels of its own unless told otherwise."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "study_pseudonym": study,
        "patient_pseudonym": "patient-1" if study else None,
        "accession_pseudonym": "accession-1" if study else None,
        "sop_pseudonym": f"sop-{number}" if study else None,
        "view": "PA",
        "modality": "DX",
        "kind": "dicom",
        "rows": 2000,
        "columns": 2000,
        "pixel_sha256": f"pixels-{number}",
        "normalised_key": f"normalised/{number}",
        "normalised_sha256": f"sha-{number}",
        "preview_key": f"preview/{number}",
        "preview_sha256": f"preview-sha-{number}",
        "expected_images": None,
        "flags": (),
    }
    return IngestedImage(**(values | changes))


def picture(**changes: Any) -> IngestedImage:
    """A bare PNG: no study, no patient, no rest to wait for."""
    return film(None, **({"kind": "picture", "view": None, "modality": None} | changes))


def rows(ledger: Ledger, sql: str, **values: Any) -> list[dict[str, Any]]:
    """Look into the database."""
    with ledger.work() as work:
        return [dict(row) for row in work.rows(sql, values)]


def one(ledger: Ledger, sql: str, **values: Any) -> Any:
    """The only value of the only row of a query."""
    (row,) = rows(ledger, sql, **values)
    (value,) = row.values()
    return value


def do(ledger: Ledger, sql: str, **values: Any) -> int:
    """Change the database behind the ledger's back."""
    with ledger.work() as work:
        return work.run(sql, values)


def job_of(ledger: Ledger, kind: JobKind, subject: UUID) -> UUID:
    """The newest job of this kind for this image, study, turn or run."""
    job_id: UUID = rows(
        ledger,
        "SELECT id FROM jobs WHERE kind = :kind AND subject = :subject ORDER BY id DESC LIMIT 1",
        kind=kind,
        subject=subject,
    )[0]["id"]
    return job_id


def job(ledger: Ledger, job_id: UUID) -> dict[str, Any]:
    """A job's row."""
    return rows(ledger, "SELECT * FROM jobs WHERE id = :id", id=job_id)[0]


_TO_THE_FRONT = """
    UPDATE jobs SET place = -1 - place, not_before = NULL
    WHERE id = :id AND state = 'queued' AND (not_before IS NULL OR :early AND not_before <> 'infinity')
    RETURNING lane_rank
"""


def claim(
    ledger: Ledger, job_id: UUID, kind: JobKind, worker: str = "worker-1", *, early: bool = False
) -> Claim | None:
    """Claim this job as a worker does: by its queue, where it stands first for the moment. None: it is not ready.

    If its lease is over, the dispatcher queues it before.

    Args:
        early: a pause is over now.
    """
    moved = rows(ledger, _TO_THE_FRONT, id=job_id, early=early)
    if not moved and tick(ledger).requeued:
        moved = rows(ledger, _TO_THE_FRONT, id=job_id, early=early)
    if not moved:
        return None
    taken = claim_next(ledger, [(kind, Lane.of_rank(moved[0]["lane_rank"]))], worker)
    do(ledger, "UPDATE jobs SET place = -1 - place WHERE id = :id", id=job_id)
    if not taken:  # cancelled since
        return None
    assert taken[0].job_id == job_id
    return taken[0]


def take(ledger: Ledger, kind: JobKind, subject: UUID, worker: str = "worker-1") -> Claim:
    """Claim the newest job of this kind; it must be there to be taken, now or after its pause."""
    job_id = job_of(ledger, kind, subject)
    taken = claim(ledger, job_id, kind, worker, early=True)
    assert taken is not None, f"the {kind} job cannot be claimed: {job(ledger, job_id)}"
    return taken


def expire(ledger: Ledger, job_id: UUID) -> None:
    """End a lease, as if its worker had been silent for too long."""
    do(
        ledger,
        "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE id = :id AND state = 'running'",
        id=job_id,
    )


def ingest(ledger: Ledger, registered: Registered, image: IngestedImage | None = None) -> UUID:
    """Read an image; returns the study it belongs to."""
    complete_ingest(ledger, take(ledger, JobKind.INGEST, registered.image_id), image or film())
    return study_of(ledger, registered.image_id)


def reject(ledger: Ledger, registered: Registered, reason: ReasonCode = ReasonCode.BLANK) -> None:
    """Turn an image away."""
    reject_image(ledger, take(ledger, JobKind.INGEST, registered.image_id), reason, "as the test says")


def study_of(ledger: Ledger, image_id: UUID) -> UUID:
    """The study an image is in now."""
    with ledger.work() as work:
        row = work.row("SELECT study_id FROM images WHERE id = :id", {"id": image_id})
        assert row is not None
        return resolve(work, row["study_id"])


def settle_now(ledger: Ledger, study_id: UUID) -> None:
    """Run the settle job of the study's newest revision."""
    settle(ledger, take(ledger, JobKind.SETTLE, study_id))


def new_summary(text: str = "Findings: clear lungs. Impression: normal.", bundle: str = "demo") -> NewSummary:
    """What an engine wrote."""
    return NewSummary(text, "clear lungs", "normal", bundle, "f" * 64, {"seed": 1}, tokens=9, batch_size=2)


def start_summary(ledger: Ledger, study_id: UUID) -> tuple[Claim, SummariseInput]:
    """Claim the study's newest summarise job and ask what is to be done."""
    taken = take(ledger, JobKind.SUMMARISE, study_id)
    given = summarise_input(ledger, taken)
    assert given is not None
    return taken, given


def summarise(ledger: Ledger, study_id: UUID, **changes: str) -> UUID:
    """Summarise a settled study; returns the summary's id."""
    taken, given = start_summary(ledger, study_id)
    return complete_summary(ledger, taken, given, new_summary(**changes))


def whole_study(ledger: Ledger, image: IngestedImage | None = None, key: str | None = None) -> tuple[Registered, UUID]:
    """One object all the way to its summary; returns it and its study."""
    registered = put(ledger, key)
    study_id = ingest(ledger, registered, image or film(f"study-{next(_numbers)}"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    return registered, study_id


def signer(ledger: Ledger, name: str = "Dr. R", kind: KeyKind = KeyKind.PERSON) -> Signer:
    """Somebody with a new key of their own."""
    return Signer(check_api_key(ledger, create_api_key(ledger, name, kind)))


def sign(ledger: Ledger, summary_id: UUID, state: ReviewState, text: str | None = None) -> None:
    """Let a new program, which looks at nothing, review a summary."""
    program = signer(ledger, f"program {next(_numbers)}", KeyKind.PROGRAM)
    review_summary(ledger, summary_id, Verdict(state, text, "as the test says"), program)


def state_of(ledger: Ledger, study_id: UUID) -> str:
    """A study's stored state."""
    return str(one(ledger, "SELECT state FROM studies WHERE id = :id", id=study_id))


def image_state(ledger: Ledger, image_id: UUID) -> tuple[str, str | None]:
    """An image's stored state and reason."""
    (row,) = rows(ledger, "SELECT state, reason_code FROM images WHERE id = :id", id=image_id)
    return row["state"], row["reason_code"]


def together(*bodies: Callable[[], T]) -> list[T | BaseException]:
    """Run these at the same moment, each in a thread; what each returned or raised, in order."""
    start = threading.Barrier(len(bodies))
    results: list[Any] = [None] * len(bodies)

    def run(place: int, body: Callable[[], T]) -> None:
        start.wait()
        try:
            results[place] = body()
        except Exception as error:  # noqa: BLE001  # the test looks at it
            results[place] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
        assert not thread.is_alive(), "it does not end"
    return results


def until_it_waits(ledger: Ledger, body: Callable[[], T]) -> Callable[[], T]:
    """Run this in a thread until it waits for a lock that somebody holds, or is done; what waits for its result."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(body())
        except Exception as error:  # noqa: BLE001  # the test looks at it
            results.append(error)

    def end() -> T:
        thread.join(60)
        (result,) = no_errors(results)
        return result

    thread = threading.Thread(target=run)
    thread.start()
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while thread.is_alive() and not one(ledger, waits):
        thread.join(0.01)
    return end


def no_errors(results: Sequence[T | BaseException]) -> list[T]:
    """The results, if nobody raised."""
    good = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        good.append(result)
    return good


def windows_of(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a backlog be changed so many images at a time."""
    for name, sql in vars(change).copy().items():
        if isinstance(sql, str):
            small = sql.replace(f"LIMIT {WINDOW}", f"LIMIT {count}")
            monkeypatch.setattr(change, name, small.replace(f"OFFSET {WINDOW - 1}", f"OFFSET {count - 1}"))
