"""What ``python -m workers.repair`` does to films that an older version joined by their StudyInstanceUID alone."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.worker_bench import Bench, make_film
from workers.consumer import Consumer
from workers.ingest import Ingest
from workers.repair import Repair, main
from workers.settle import Settle
from xraygpt_core.dicom.sandbox import header_sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.ledger.studies.read import lookup
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind

# What a version knew that asked for the StudyInstanceUID alone.
JOIN = """
    WITH home AS (SELECT min(id::text)::uuid AS id FROM studies), moved AS (
        UPDATE images SET study_id = home.id, names_read = false, patient_pseudonym = NULL, accession_pseudonym = NULL,
               flags = '{}' FROM home
    ), never AS (
        DELETE FROM jobs USING home WHERE kind IN ('settle', 'summarise') AND subject <> home.id
    )
    UPDATE studies SET alias_of = home.id, uid_pseudonym = NULL, patient_pseudonym = NULL, accession_pseudonym = NULL,
           revision = 0, state = 'received', flags = '{}', chosen_image = NULL
    FROM home WHERE studies.id <> home.id
"""


@pytest.fixture
def ingest(bench: Bench) -> Iterator[Callable[[], None]]:
    """Does every open ingest and settle job in this process, as a worker would."""
    work = Ingest(bench.context, load_pseudonymiser(bench.settings))
    bodies = {JobKind.INGEST: work, JobKind.SETTLE: Settle(bench.context)}
    yield Consumer(bench.context, queues_of(JobKind.SETTLE, JobKind.INGEST), bodies)
    work.close()


@pytest.fixture
def repair(bench: Bench) -> Iterator[Repair]:
    """What the command does once it has its services."""
    with header_sandbox(Limits(10**6, 30.0, 2**30)) as sandbox:
        yield Repair(bench.ledger, bench.store, load_pseudonymiser(bench.settings), sandbox)


def test_studies_of_two_patients_are_shown_and_then_taken_apart(
    bench: Bench, ingest: Callable[[], None], repair: Repair
) -> None:
    def sent(number: int) -> Registered:
        return bench.register(f"incoming/{number}.dcm", make_film(number, study="1.2.3"))

    first, second, third = sent(1), sent(2), sent(3)
    ingest()
    with bench.ledger.work() as work:
        work.run(JOIN)
    bench.client.delete_object(Bucket=bench.settings.bucket, Key="incoming/3.dcm")

    report = repair.run(apply=False)
    assert report.lines()[1] == f"  to a study of their own: {second.image_id}"
    (shown,) = report.document()["found"]
    assert shown["study_id"] == str(first.study_id)
    assert shown["leave"] == [{"study_id": None, "images": [str(second.image_id)]}]
    assert shown["unread"] == {str(third.image_id): "no longer in the bucket"}
    assert bench.value("SELECT count(DISTINCT study_id) FROM images") == 1

    done = repair.run(apply=True).document()
    assert (done["applied"], done["studies"], done["images"], done["found"]) == (True, 1, 2, [shown])
    ingest()
    names = load_pseudonymiser(bench.settings)
    for number, registered in ((1, first), (2, second)):
        assert lookup(bench.ledger, "patient", names.patient(f"PHANTOM{number}") or "") == [registered.study_id]
        assert lookup(bench.ledger, "accession", names.accession(f"A{number}") or "") == [registered.study_id]
    assert bench.value("SELECT count(*) FROM studies WHERE state = 'queued'") == 2


def test_a_setting_that_is_missing_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XRAYGPT_DATABASE_URL", raising=False)
    assert main([]) == 1
    assert "XRAYGPT_DATABASE_URL" in capsys.readouterr().err
