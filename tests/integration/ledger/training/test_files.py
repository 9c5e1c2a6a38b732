"""What a run leaves for people: one file of each name counts, and none outlives a study that is in it."""

import pytest

from tests.support.ledger_tools import one, rows, take, whole_study
from xraygpt_core.errors import LeaseLost, NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.files import LOG, REPORT, keep_file, note_used, run_file, run_files
from xraygpt_core.ledger.training.runs import cancel_run, create_run
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind

pytestmark = pytest.mark.usefixtures("sound")


def claimed(ledger: Ledger) -> Claim:
    return take(ledger, JobKind.TRAIN, create_run(ledger, "stage1", {}, None))


def test_the_last_file_of_a_name_counts_and_the_one_before_may_go(ledger: Ledger) -> None:
    got = claimed(ledger)
    assert keep_file(ledger, got, REPORT, "reports/a", "a" * 64, 3) is None
    assert keep_file(ledger, got, REPORT, "reports/a", "a" * 64, 3) is None
    assert keep_file(ledger, got, REPORT, "reports/b", "b" * 64, 4) == "reports/a"
    keep_file(ledger, got, LOG, "reports/log", "c" * 64, 5)
    assert [(file.name, file.key, file.bytes) for file in run_files(ledger, got.subject)] == [
        ("log.txt", "reports/log", 5),
        ("report.html", "reports/b", 4),
    ]


def test_a_worker_that_lost_the_run_leaves_no_file(ledger: Ledger) -> None:
    got = claimed(ledger)
    cancel_run(ledger, got.subject)
    with pytest.raises(LeaseLost):
        keep_file(ledger, got, REPORT, "reports/a", "a" * 64, 3)
    assert run_files(ledger, got.subject) == []


def test_what_is_not_there_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        run_files(ledger, new_id())
    with pytest.raises(NotFound, match=r"no report\.html"):
        run_file(ledger, claimed(ledger).subject, REPORT)


def test_every_look_is_in_the_audit(ledger: Ledger) -> None:
    got = claimed(ledger)
    keep_file(ledger, got, REPORT, "reports/a", "a" * 64, 3)
    acting = ledger.acting(Actor("Dr. T"))
    run_files(acting, got.subject)
    run_file(acting, got.subject, REPORT)
    found = rows(ledger, "SELECT what, detail FROM audit WHERE subject = :id ORDER BY id", id=got.subject)
    assert found == [
        {"what": "run files listed", "detail": None},
        {"what": "run file read", "detail": {"file": "report.html"}},
    ]


def test_a_purged_study_takes_the_files_of_its_runs_along_and_lets_no_new_one_come(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    given, other = claimed(ledger), claimed(ledger)
    for got in (given, other):
        keep_file(ledger, got, REPORT, f"reports/{got.subject}", "a" * 64, 3)
    note_used(ledger, given.subject, [study_id])
    note_used(ledger, given.subject, [study_id])
    deleted: list[str] = []
    purge_study(ledger, study_id, deleted.append)
    assert f"reports/{given.subject}" in deleted
    assert f"reports/{other.subject}" not in deleted
    assert run_files(ledger, given.subject) == []
    assert keep_file(ledger, given, REPORT, "reports/later", "b" * 64, 3) == "reports/later"
    assert run_files(ledger, given.subject) == []
    assert one(ledger, "SELECT count(*) FROM training_files") == 1
