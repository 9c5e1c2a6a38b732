"""What is wrong with a run's sets and films: dropped with a reason, made again, or said."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.planned_runs import DROPPED, ENCODE, PLAN, PREPARE, TRAIN
from tests.support.training_lab import Lab, table
from tests.support.worker_bench import make_film
from workers.training import Training
from xraygpt_core.ledger.training.files import LOG, run_file
from xraygpt_core.ledger.training.runs import create_run


@pytest.mark.parametrize("content", [None, b"overwritten"])
def test_features_that_the_bucket_lost_are_made_again(lab: Lab, content: bytes | None) -> None:
    lab.start(lab.in_bucket("hospital", range(5)))
    lab.do_all(PLAN, PREPARE, ENCODE)
    key = lab.bench.value("SELECT key FROM training_features")
    if content is None:
        lab.bench.store.delete(key)
    else:
        lab.bench.store.put(key, content, "application/octet-stream")
    lab.do_all(TRAIN)
    assert lab.bench.value("SELECT state FROM training_runs") == "done"
    again = lab.bench.value("SELECT key FROM training_features")
    assert hashlib.sha256(lab.bench.store.get(again)).hexdigest() in again


def test_a_film_that_the_bucket_lost_ends_the_run_and_says_so(lab: Lab) -> None:
    run_id = lab.start(lab.in_bucket("hospital", range(5)))
    lab.do_all(PLAN, PREPARE, ENCODE)
    lab.bench.store.delete(lab.bench.value("SELECT key FROM training_features"))
    for key in lab.bench.keys(lab.bench.settings.derived_bucket):
        if key.startswith("training/images/"):
            lab.bench.store.delete(key)
    lab.do(TRAIN)
    assert "not in the derived bucket any more" in lab.bench.value("SELECT last_error FROM jobs WHERE kind = 'train'")
    assert lab.state(run_id).state != "done"


def test_why_films_cannot_be_encoded_stands_in_the_run_and_the_words_of_the_process_in_its_log(
    lab: Lab, tmp_path: Path
) -> None:
    with lab.bench.ledger.work() as work:
        work.run("UPDATE installation SET served_encoder = NULL")
    run_id = lab.start(lab.in_folder("archive", range(3)))
    lab.do_all(PLAN, PREPARE)
    program = tmp_path / "program.py"
    program.write_text("import sys; print('DOE: the film 1 cannot be read'); sys.exit(1)")
    lab.bodies[TRAIN] = Training(lab.context, [str(program)])
    lab.do(TRAIN)
    run = lab.state(run_id)
    assert (run.state, run.failure) == ("dead", "bad_data")
    assert "DOE" not in str(run)
    assert b"DOE" in lab.bench.store.get(run_file(lab.bench.ledger, run_id, LOG).key)


def test_a_run_whose_films_lie_elsewhere_says_so_before_its_last_attempt(lab: Lab) -> None:
    run_id = create_run(lab.bench.ledger, "stage1", {"steps": 1, "films": "/etc"}, None)
    lab.do(TRAIN)
    run = lab.state(run_id)
    assert (run.state, run.failure) == ("running", "unknown")
    assert run.failure_says == "the run's films are no folder below the worker's XRAYGPT_TRAINING_DATA"


def test_sets_that_nobody_planned_are_not_left_to_the_process(lab: Lab) -> None:
    run_id = create_run(lab.bench.ledger, "stage1", {"steps": 1}, None)
    with lab.bench.ledger.work() as work:
        sets = [{"name": "x", "reader": "table", "path": "/etc"}]
        work.run("UPDATE training_runs SET config = CAST(:config AS jsonb)",
                 {"config": json.dumps({"steps": 1, "mixture": {"sets": sets}})})  # fmt: skip
    lab.do(TRAIN)
    assert lab.state(run_id).failure_says == "the run's sets were never planned: start it again"


def test_a_film_that_cannot_be_read_is_dropped_with_its_reason(lab: Lab) -> None:
    films = lab.in_folder("archive", range(30))
    (lab.root / "archive" / "films" / "DOE-7.dcm").write_bytes(b"no film")
    run_id = lab.start(films)
    lab.do_all(PLAN)
    (lab.root / "archive" / "films" / "DOE-8.dcm").write_bytes(b"changed since it was planned")
    lab.do_all(PREPARE)
    dropped = lab.bench.rows(DROPPED)
    assert dropped == [{"position": 7, "dropped": "not_dicom_or_image"}, {"position": 8, "dropped": "replaced"}]
    assert lab.state(run_id).state == "dead"  # 2 of 30 are more than a twentieth
    assert "2 of 30" in lab.bench.value("SELECT problem FROM training_runs")


def test_a_dropped_film_is_listed_with_file_and_line_for_trainers_and_counted_for_the_report(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = lab.in_folder("archive", range(30))
    (lab.root / "archive" / "films" / "DOE-7.dcm").write_bytes(b"no film")
    told = []
    write = Path.write_text

    def seen(path: Path, text: str, *given: Any, **more: Any) -> int:
        if path.name == "problems.jsonl":
            told.append(json.loads(text))
        return write(path, text, *given, **more)

    monkeypatch.setattr(Path, "write_text", seen)
    run_id = lab.start(films)
    lab.do_all(PLAN, PREPARE, ENCODE, TRAIN)
    assert lab.state(run_id).state == "done"
    assert [one["counts"]["film not_dicom_or_image"] for one in told] == [1]
    problem, key = lab.bench.rows("SELECT problem, problems_key FROM training_runs")[0].values()
    assert "film not_dicom_or_image 1" in problem
    assert "DOE" not in problem
    listed = json.loads(lab.bench.store.get(key))["problems"]
    assert [(one["set"], one["where"]) for one in listed if one["kind"] == "not_dicom_or_image"] == [
        ("archive", "pairs.jsonl, line 8")
    ]


def test_one_bad_film_ends_no_run(lab: Lab) -> None:
    films = lab.in_folder("archive", range(5))
    (lab.root / "archive" / "films" / "DOE-1.dcm").write_bytes(b"no film")
    run_id = lab.start(films)
    lab.do_all(PLAN, PREPARE, ENCODE, TRAIN)
    assert lab.state(run_id).state == "done"


def test_a_bad_set_ends_its_run_with_counts_in_the_ledger_and_files_and_lines_elsewhere(lab: Lab) -> None:
    films = lab.in_folder("archive", range(4))
    (lab.root / "archive" / "pairs.jsonl").write_text(table(range(3)) + "{broken DOE^JOHN\n")
    run_id = lab.start(films)
    lab.do_all(PLAN)
    assert lab.state(run_id).state == "dead"
    (row,) = lab.bench.rows("SELECT r.problem, r.problems_key, j.last_error FROM training_runs r, jobs j")
    assert row["problem"] == "its sets cannot be trained on: broken_json 1"
    assert "DOE" not in row["last_error"]
    assert "archive" not in row["last_error"]
    told = json.loads(lab.bench.store.get(row["problems_key"]))
    assert [one["where"] for one in told["problems"]] == ["pairs.jsonl, line 4"]
    assert not [key for key in lab.bench.keys(lab.bench.settings.derived_bucket) if key.startswith("training/texts")]


@pytest.mark.parametrize(
    "path",
    ["../outside/pairs.jsonl", "/etc/passwd", "nowhere/pairs.jsonl", "s3://another/sets/pairs.jsonl", "s3://source"],
)
def test_a_set_that_lies_elsewhere_is_not_read(lab: Lab, path: str) -> None:
    (lab.root.parent / "outside").mkdir()
    (lab.root.parent / "outside" / "pairs.jsonl").write_text(table(range(2)))
    run_id = lab.start({"name": "archive", "reader": "table", "path": path})
    lab.do_all(PLAN)
    assert lab.state(run_id).state == "dead"
    assert "unreadable_file 1" in lab.bench.value("SELECT problem FROM training_runs")


def test_a_lateral_film_and_a_link_that_leads_out_are_dropped(lab: Lab) -> None:
    films = lab.in_folder("archive", range(4), lambda seed: make_film(seed, view="LATERAL" if seed == 1 else "PA"))
    lab.start(films)
    lab.do_all(PLAN)
    secret = lab.root.parent / "secret.dcm"
    film = lab.root / "archive" / "films" / "DOE-2.dcm"
    secret.write_bytes(film.read_bytes())
    film.unlink()
    film.symlink_to(secret)
    lab.do_all(PREPARE)
    assert lab.bench.rows(DROPPED) == [
        {"position": 1, "dropped": "no_frontal_view"},
        {"position": 2, "dropped": "missing"},
    ]
