"""Signed studies and pauses through every phase of a run, with the rights that the worker has."""

from uuid import UUID

from tests.support.ledger_tools import sign, summarise
from tests.support.planned_runs import normalised
from tests.support.training_lab import Lab
from xraygpt_core.ledger.studies.exclude import exclude_study
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.files import run_files
from xraygpt_core.ledger.training.phases import phases
from xraygpt_core.ledger.training.waiting import pause_run, resume_run
from xraygpt_core.states import JobKind, ReviewState

PLAN, PREPARE, ENCODE, TRAIN = JobKind.PLAN, JobKind.PREPARE, JobKind.ENCODE, JobKind.TRAIN
SIGNED = {"name": "ours", "reader": "ledger", "select": "reviewed since 2020-01-01"}


def signed(lab: Lab, count: int) -> list[UUID]:
    """Studies that a radiologist corrected."""
    ids = []
    for number in range(count):
        study_id = lab.bench.settled(number, png=normalised(number))
        summary_id = summarise(lab.bench.ledger, study_id)
        sign(lab.bench.ledger, summary_id, ReviewState.EDITED, f"Signed text {number}.")
        ids.append(study_id)
    return ids


def test_signed_studies_are_trained_on_unless_excluded_and_a_purge_takes_the_report(lab: Lab) -> None:
    lab.features.announce()
    studies = signed(lab, 6)
    exclude_study(lab.bench.ledger, studies[0])
    run_id = lab.start(SIGNED, examples=99)
    lab.do_all(PLAN)
    assert "excluded 1" in (lab.state(run_id).problem or "")
    texts = lab.bench.rows("SELECT pair FROM training_texts")
    assert sorted(row["pair"]["text"] for row in texts) == [f"Signed text {number}." for number in range(1, 6)]
    assert {row["pair"]["set_name"] for row in texts} == {"ours"}
    lab.do_all(ENCODE, TRAIN)
    assert lab.state(run_id).state == "done"
    assert "report.html" in {one.name for one in run_files(lab.bench.ledger, run_id)}
    purge_study(lab.bench.ledger, studies[1], lab.bench.store.delete)
    assert "report.html" not in {one.name for one in run_files(lab.bench.ledger, run_id)}
    assert not [key for key in lab.bench.keys(lab.bench.settings.derived_bucket) if key.startswith("reports/")]


def test_a_run_waits_in_every_phase_and_goes_on(lab: Lab) -> None:
    lab.features.announce()
    run_id = lab.start(lab.in_folder("archive", range(3)))
    ledger = lab.bench.ledger
    assert phases(ledger, run_id) is None
    pause_run(ledger, run_id)
    assert lab.do_all(PLAN) == 0
    resume_run(ledger, run_id)
    lab.do_all(PLAN)
    pause_run(ledger, run_id)
    lab.do_all(PREPARE, ENCODE)
    found = phases(ledger, run_id)
    assert found is not None
    assert (found.planned, found.prepared, found.dropped, found.encoded) == (3, 3, 0, 3)
    assert lab.state(run_id).state == "paused"
    lab.do_all(TRAIN)
    assert (lab.state(run_id).state, lab.state(run_id).step) == ("paused", 0)
    assert lab.do_all(TRAIN) == 0
    resume_run(ledger, run_id)
    lab.do_all(TRAIN)
    assert lab.state(run_id).state == "done"
