"""What ingest keeps of a film's header, and what ``python -m workers.facts`` fills in of films read before."""

from collections.abc import Callable, Iterator
from datetime import date, time
from uuid import UUID

import pytest

from tests.support.worker_bench import Bench, make_film
from workers.consumer import Consumer
from workers.facts import fill_facts, main
from workers.ingest import Ingest
from workers.refill import RefillReport
from workers.settle import Settle
from xraygpt_core.dicom.sandbox import facts_sandbox
from xraygpt_core.dicom.types import HeaderFacts, Limits, StatedFacts
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.ledger.studies.fill_facts import store_facts, unasked_films
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind

HEADER = {
    "AcquisitionDate": "20210304",
    "AcquisitionTime": "050607",
    "ImageLaterality": "L",
    "ImagerPixelSpacing": [0.5, 0.25],
}
KEPT = "acquired_on, acquired_time, laterality, spacing_mm, spacing_at, facts_read, rows, columns"
FACTS = {
    "acquired_on": date(2021, 3, 4),
    "acquired_time": time(5, 6, 7),
    "laterality": "L",
    "spacing_mm": [0.5, 0.25],
    "spacing_at": "detector",
    "facts_read": True,
    "rows": 256,
    "columns": 256,
}
NOTHING = dict.fromkeys(FACTS) | {"facts_read": False}
# As an older version left them.
FORGET = """
    UPDATE images SET acquired_on = NULL, acquired_time = NULL, laterality = NULL, spacing_mm = NULL, spacing_at = NULL,
           facts_read = false
"""


@pytest.fixture
def ingested(bench: Bench) -> Iterator[Callable[..., Registered]]:
    """Sends a film and reads it, as a worker would."""
    work = Ingest(bench.context, load_pseudonymiser(bench.settings))
    bodies = {JobKind.INGEST: work, JobKind.SETTLE: Settle(bench.context)}
    do = Consumer(bench.context, queues_of(JobKind.SETTLE, JobKind.INGEST), bodies)

    def send(number: int, **header: object) -> Registered:
        registered = bench.register(f"incoming/{number}.dcm", make_film(number, **header))
        do()
        return registered

    yield send
    work.close()


@pytest.fixture
def fill(bench: Bench) -> Iterator[Callable[[], RefillReport]]:
    with facts_sandbox(Limits(10**6, 30.0, 2**30)) as sandbox:
        yield lambda: fill_facts(bench.ledger, bench.store, sandbox)


def kept(bench: Bench, image_id: UUID) -> dict[str, object]:
    return bench.rows(f"SELECT {KEPT} FROM images WHERE id = :id", id=image_id)[0]


def test_ingest_keeps_what_the_header_says_until_a_purge(bench: Bench, ingested: Callable[..., Registered]) -> None:
    image = ingested(1, **HEADER)
    assert kept(bench, image.image_id) == FACTS

    purge_study(bench.ledger, image.study_id, lambda _: None)

    assert kept(bench, image.image_id) == NOTHING


def test_films_of_older_versions_are_filled_in_once(
    bench: Bench, ingested: Callable[..., Registered], fill: Callable[[], RefillReport]
) -> None:
    first = ingested(1, **HEADER)
    gone, second = ingested(2, **HEADER), ingested(3, PatientOrientation=["F", "L"], **HEADER)
    bench.rows(f"{FORGET} RETURNING id")
    bench.rows("UPDATE images SET rows = 256, columns = 256 RETURNING id")
    bench.client.delete_object(Bucket=bench.settings.bucket, Key="incoming/2.dcm")

    report = fill()

    assert (report.filled, report.exit_code) == (2, UNFINISHED)
    assert report.lines() == [f"not read: image {gone.image_id} (no longer in the bucket)", "2 films filled in, 1 not"]
    assert kept(bench, first.image_id) == FACTS
    assert kept(bench, second.image_id) == FACTS | {"spacing_mm": [0.25, 0.5]}
    assert fill().document() == {"filled": 0, "left": report.left}


def test_a_film_that_was_filled_in_or_purged_meanwhile_is_left_alone(
    bench: Bench, ingested: Callable[..., Registered]
) -> None:
    done, purged = ingested(1), ingested(2)
    bench.rows(f"{FORGET} RETURNING id")
    films = unasked_films(bench.ledger, UUID(int=0))
    stated = StatedFacts(HeaderFacts(date(2021, 3, 4), None, None, (0.5, 0.25), "detector"), 256, 256, exchanged=True)
    purge_study(bench.ledger, purged.study_id, lambda _: None)

    assert [store_facts(bench.ledger, dict.fromkeys(films, stated)) for _ in range(2)] == [1, 0]

    assert kept(bench, done.image_id)["spacing_mm"] == [0.25, 0.5]
    assert kept(bench, purged.image_id) == NOTHING
    assert store_facts(bench.ledger, {}) == 0


def test_a_setting_that_is_missing_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XRAYGPT_DATABASE_URL", raising=False)

    assert main([]) == 1
    assert "XRAYGPT_DATABASE_URL" in capsys.readouterr().err
