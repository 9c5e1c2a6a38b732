"""A run on somebody's films, from its sets to its result, with a real ledger and bucket and the real bodies."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.planned_runs import ENCODE, PLAN, PREPARE, TRAIN
from tests.support.training_lab import Lab, table
from tests.support.vision_server import vision_bundle
from workers.corpora import CorpusBuilder
from workers.encode import Encode
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.training.runs import cancel_run
from xraygpt_core.ledger.training.waiting import pause_run, resume_run
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.states import JobKind


def test_a_run_on_films_of_the_bucket_and_of_a_folder_is_planned_prepared_encoded_and_trained(lab: Lab) -> None:
    run_id = lab.start(lab.in_bucket("hospital", range(6)), lab.in_folder("archive", range(10, 14)))
    assert lab.state(run_id).state == "planning"
    assert lab.do_all(PLAN) == 1
    assert lab.state(run_id).state == "preparing"
    assert lab.do_all(PREPARE) == 2
    assert lab.state(run_id).state == "encoding"
    assert lab.do_all(ENCODE) == 2
    assert lab.state(run_id).state == "queued"
    lab.do_all(TRAIN)
    assert lab.state(run_id).state == "done"
    assert lab.weights()[0].startswith(b"projector after 4 on ")
    images = lab.bench.rows("SELECT sha256, dropped FROM training_images")
    assert len(images) == 10
    assert all(row["sha256"] and row["dropped"] is None for row in images)


def test_a_gpu_worker_with_another_bundle_leaves_the_features_to_the_trainer(lab: Lab) -> None:
    run_id = lab.start(lab.in_folder("archive", range(3)))
    lab.do_all(PLAN, PREPARE)
    assert lab.state(run_id).state == "encoding"
    lab.features._digest = "f" * 64  # another bundle was promoted meanwhile
    lab.do_all(ENCODE)
    assert lab.state(run_id).state == "queued"


def test_where_a_server_has_the_model_there_is_no_encoder_and_runs_go_on_without_it(lab: Lab, tmp_path: Path) -> None:
    waiting = lab.start(lab.in_folder("archive", range(3)))
    lab.do_all(PLAN, PREPARE)
    assert lab.state(waiting).state == "encoding"
    served = Encode(lab.context, vision_bundle(tmp_path / "models", "http://127.0.0.1:8000/v1"))
    served.announce()
    lab.bodies[ENCODE] = served
    lab.do_all(ENCODE)
    assert lab.state(waiting).state == "queued"
    following = lab.start(lab.in_folder("another", range(3, 6)))
    lab.do_all(PLAN, PREPARE)
    assert lab.state(following).state == "queued"  # nothing is waited for


def test_the_training_worker_encodes_what_no_gpu_worker_can_and_the_weights_are_the_same(lab: Lab) -> None:
    films = lab.in_folder("archive", range(3))
    with lab.bench.ledger.work() as work:
        work.run("UPDATE installation SET served_encoder = NULL")  # no GPU worker ever loaded this encoder
    run_id = lab.start(films)
    lab.do_all(PLAN, PREPARE)
    assert lab.state(run_id).state == "queued"  # nothing is waited for
    assert ("encode", "queued") not in lab.jobs()
    lab.do_all(TRAIN)
    (features,) = lab.bench.rows("SELECT key, encoder FROM training_features")
    assert features["encoder"] == encoder_digest(lab.bundle)
    assert features["key"] in lab.bench.keys(lab.bench.settings.derived_bucket)
    with lab.bench.ledger.work() as work:
        work.run("UPDATE training_features SET key = NULL, encoded_at = NULL")
    lab.features.announce()
    lab.start(films)
    lab.do_all(PLAN)
    assert lab.do_all(ENCODE) == 1
    lab.do_all(TRAIN)
    first, second = lab.weights()
    assert first == second


def test_a_run_that_is_paused_while_the_training_worker_encodes_is_handed_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.bench.ledger.work() as work:
        work.run("UPDATE installation SET served_encoder = NULL")
    run_id = lab.start(lab.in_folder("archive", range(3)))
    lab.do_all(PLAN, PREPARE)
    monkeypatch.setattr("workers.corpora._LOOK_SECONDS", -1.0)
    picture = CorpusBuilder._picture

    def paused_meanwhile(builder: CorpusBuilder, *given: Any) -> None:
        if lab.state(run_id).paused_at is None:
            pause_run(lab.bench.ledger, run_id)
        picture(builder, *given)

    monkeypatch.setattr(CorpusBuilder, "_picture", paused_meanwhile)
    lab.do(TRAIN)
    assert lab.state(run_id).state == "paused"
    monkeypatch.undo()
    resume_run(lab.bench.ledger, run_id)
    lab.do_all(TRAIN)
    assert lab.state(run_id).state == "done"


def test_runs_on_the_same_films_prepare_and_encode_them_once(lab: Lab) -> None:
    hospital, archive = lab.in_bucket("hospital", range(4)), lab.in_folder("archive", range(10, 13))
    first = lab.start(hospital)
    lab.do_all(PLAN, PREPARE, ENCODE, TRAIN)
    second = lab.start(hospital, archive)
    lab.do_all(PLAN)
    assert lab.do_all(PREPARE) == 1
    assert lab.do_all(ENCODE) == 1
    third = lab.start(hospital, archive)
    lab.do_all(PLAN)
    assert lab.state(third).state == "queued"
    lab.do_all(TRAIN)
    assert {lab.state(one).state for one in (first, second, third)} == {"done"}
    one, two, three = lab.weights()
    assert one != two == three


def test_two_runs_that_wait_for_one_shard_both_go_on_when_it_is_there(lab: Lab) -> None:
    films = lab.in_folder("archive", range(3))
    runs = [lab.start(films), lab.start(films)]
    assert lab.do_all(PLAN) == 2
    assert lab.do_all(PREPARE) == 1
    assert {lab.state(one).state for one in runs} == {"encoding"}
    assert lab.do_all(ENCODE) == 1
    assert {lab.state(one).state for one in runs} == {"queued"}


def test_a_new_text_for_the_same_films_is_another_set_and_needs_no_new_features(lab: Lab) -> None:
    lab.start(lab.in_folder("archive", range(3)))
    lab.do_all(PLAN, PREPARE, ENCODE, TRAIN)
    (lab.root / "archive" / "pairs.jsonl").write_text(table(range(3)).replace("clear", "hazy"))
    lab.start({"name": "archive", "reader": "table", "path": "archive/pairs.jsonl"})
    lab.do_all(PLAN)
    assert ("prepare", "queued") not in lab.jobs()
    lab.do_all(TRAIN)
    assert len(set(lab.weights())) == 2
    assert lab.bench.value("SELECT count(*) FROM training_features") == 1


def test_a_dead_shard_ends_its_run_and_a_replay_goes_on_with_it(lab: Lab) -> None:
    run_id = lab.start(lab.in_folder("archive", range(3)))
    lab.do_all(PLAN)
    key = lab.bench.value("SELECT addresses_key FROM training_shards")
    addresses = lab.bench.store.get(key)
    lab.bench.store.put(key, b"something else", "text/plain")
    lab.do_all(PREPARE)
    assert lab.state(run_id).state == "dead"
    assert "could not be prepared" in lab.bench.value("SELECT problem FROM training_runs")
    lab.bench.store.put(key, addresses, "text/plain")
    assert replay_dead(lab.bench.ledger) == 1
    assert lab.state(run_id).state == "preparing"
    lab.do_all(PREPARE, ENCODE, TRAIN)
    assert lab.state(run_id).state == "done"


def test_a_cancelled_run_takes_the_jobs_with_it_that_no_other_run_needs(lab: Lab) -> None:
    shared, own = lab.in_folder("archive", range(3)), lab.in_folder("own", range(10, 12))
    first, second = lab.start(shared, own), lab.start(shared)
    lab.do_all(PLAN)
    cancel_run(lab.bench.ledger, first)
    assert lab.jobs() == {("plan", "done"): 2, ("prepare", "queued"): 1, ("prepare", "cancelled"): 1}
    lab.do_all(PREPARE, ENCODE, TRAIN)
    assert lab.state(second).state == "done"
    third = lab.start(own)  # the cancelled shard is wanted again
    lab.do_all(PLAN, PREPARE, ENCODE, TRAIN)
    assert lab.state(third).state == "done"


@pytest.mark.parametrize("phase", [(), (PLAN,), (PLAN, PREPARE)])
def test_a_run_is_cancelled_in_every_phase_and_leaves_no_open_job(lab: Lab, phase: tuple[JobKind, ...]) -> None:
    run_id = lab.start(lab.in_folder("archive", range(3)))
    for kind in phase:
        lab.do_all(kind)
    cancel_run(lab.bench.ledger, run_id)
    assert lab.state(run_id).state == "cancelled"
    assert not [one for one in lab.jobs() if one[1] in ("queued", "running")]


def test_a_worker_that_drains_hands_a_shard_back_and_another_goes_on_with_the_next_film(lab: Lab) -> None:
    lab.start(lab.in_folder("archive", range(4)))
    lab.do_all(PLAN)
    normalise = lab.films._normalise

    def two_films(data: bytes) -> bytes:
        if lab.bench.context.draining.is_set() or len(seen) == 1:
            lab.context.draining.set()
        seen.append(data)
        return normalise(data)

    seen: list[bytes] = []
    lab.films._normalise = two_films  # type: ignore[method-assign]
    lab.do(PREPARE)
    assert lab.bench.value("SELECT count(*) FROM training_images WHERE sha256 IS NOT NULL") == 2
    assert lab.bench.rows("SELECT state, attempts FROM jobs WHERE kind = 'prepare'") == [
        {"state": "queued", "attempts": 0}
    ]
    lab.context.draining.clear()
    lab.films._normalise = normalise  # type: ignore[method-assign]
    assert lab.do_all(PREPARE) == 1
    assert len(seen) == 2
