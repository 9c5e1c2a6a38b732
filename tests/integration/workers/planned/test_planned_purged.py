"""Signed studies in a run, what a purge takes out of it, and who may do what."""

import json
from pathlib import Path

import pytest

from tests.support.planned_runs import DROPPED, ENCODE, PLAN, PREPARE, TRAIN, ledger_of, signed_studies
from tests.support.training_lab import Lab
from tests.support.worker_bench import make_film
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.runs import cancel_run


def test_a_film_of_a_purged_study_is_not_read_again_where_a_set_names_its_object(lab: Lab) -> None:
    spec = lab.in_bucket("hospital", range(5))
    known = lab.bench.register("sets/hospital/films/DOE-3.dcm", make_film(3))
    purge_study(lab.bench.ledger, known.study_id, lab.bench.store.delete)
    lab.start(spec)
    lab.do_all(PLAN, PREPARE)
    assert lab.bench.rows(DROPPED) == [{"position": 3, "dropped": "purged"}]


def test_signed_studies_need_no_preparing_and_a_purge_takes_them_out(lab: Lab) -> None:
    pairs = signed_studies(lab, range(6))
    lab.signed = lambda *_: pairs
    spec = {"name": "ours", "reader": "ledger", "select": "reviewed since 2026-01-01"}
    run_id = lab.start(spec)
    lab.do_all(PLAN)
    assert lab.state(run_id).state == "encoding"
    lab.do_all(ENCODE)
    (before,) = lab.bench.rows("SELECT key FROM training_features")
    purge_study(lab.bench.ledger, lab.bench.value("SELECT id FROM studies ORDER BY id LIMIT 1"), lab.bench.store.delete)
    assert lab.bench.value("SELECT count(*) FROM training_texts") == 5
    assert before["key"] not in lab.bench.keys(lab.bench.settings.derived_bucket)
    assert lab.bench.rows("SELECT position, dropped FROM training_images WHERE sha256 IS NULL") == [
        {"position": 0, "dropped": "purged"}
    ]
    lab.do_all(TRAIN)
    assert lab.state(run_id).state == "done"
    assert lab.bench.value("SELECT count(*) FROM training_images WHERE sha256 IS NOT NULL") == 5


def test_a_study_that_is_purged_between_its_reading_and_the_plan_is_not_trained_on(lab: Lab) -> None:
    pairs = signed_studies(lab, range(3))
    purge_study(lab.bench.ledger, lab.bench.value("SELECT id FROM studies ORDER BY id LIMIT 1"), lab.bench.store.delete)
    lab.signed = lambda *_: pairs
    lab.start({"name": "ours", "reader": "ledger", "select": "reviewed since 2026-01-01"})
    lab.do_all(PLAN)
    assert lab.bench.value("SELECT count(*) FROM training_texts") == 2
    assert lab.bench.value("SELECT dropped FROM training_images WHERE position = 0") == "purged"


def test_what_is_not_in_the_ledger_or_the_sets_is_no_patient_data(lab: Lab) -> None:
    """Neither the names of files nor texts stand in rows or in the keys of objects."""
    lab.start(lab.in_bucket("hospital", range(3)))
    lab.do_all(PLAN, PREPARE, ENCODE, TRAIN)
    tables = ("training_shards", "training_images", "training_run_shards", "training_features", "jobs", "timeline")
    rows = json.dumps([lab.bench.rows(f"SELECT * FROM {name}") for name in tables], default=str)
    keys = " ".join(lab.bench.keys(lab.bench.settings.derived_bucket))
    assert "DOE" not in rows + keys
    assert "clear lungs" not in rows + keys
    addresses = lab.bench.store.get(lab.bench.value("SELECT addresses_key FROM training_shards"))
    texts = lab.bench.store.get(lab.bench.value("SELECT texts_key FROM training_run_shards"))
    assert b"clear lungs" not in addresses
    assert b"DOE" not in texts


def test_the_gateway_may_cancel_replay_and_purge_what_is_planned(lab: Lab) -> None:
    pairs = signed_studies(lab, range(3))
    lab.signed = lambda *_: pairs
    run_id = lab.start({"name": "ours", "reader": "ledger", "select": "reviewed since 2026-01-01"})
    films = lab.start(lab.in_folder("archive", range(3)))
    lab.do_all(PLAN)
    with lab.bench.ledger.work() as work:
        work.run("UPDATE jobs SET state = 'running', attempts = 5, lease_epoch = 5, lease_until = now(), "
                 "claimed_by = 'nobody' WHERE kind = 'prepare'")  # fmt: skip
    with ledger_of(lab, "control") as control:
        tick(control)
    assert lab.state(films).state == "dead"
    with ledger_of(lab, "gateway") as gateway:
        assert replay_dead(gateway) == 1
        assert lab.state(films).state == "preparing"
        purge_study(gateway, lab.bench.value("SELECT id FROM studies ORDER BY id LIMIT 1"), lab.bench.store.delete)
        cancel_run(gateway, run_id)
        cancel_run(gateway, films)
    with ledger_of(lab, "control") as control:
        purge_study(control, lab.bench.value("SELECT max(id::text) FROM studies"), lab.bench.store.delete)
    assert lab.bench.value("SELECT count(*) FROM training_texts") == 1


def test_a_study_that_is_purged_while_its_film_is_encoded_is_not_in_the_features(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = signed_studies(lab, range(3))
    lab.signed = lambda *_: pairs
    run_id = lab.start({"name": "ours", "reader": "ledger", "select": "reviewed since 2026-01-01"})
    lab.do_all(PLAN)
    store, put_file = lab.bench.store, lab.bench.store.put_file
    study = lab.bench.value("SELECT id FROM studies ORDER BY id LIMIT 1")

    def purged_meanwhile(key: str, path: Path) -> None:
        put_file(key, path)
        monkeypatch.setattr(store, "put_file", put_file)
        purge_study(lab.bench.ledger, study, store.delete)

    monkeypatch.setattr(store, "put_file", purged_meanwhile)
    lab.do(ENCODE)
    assert lab.bench.value("SELECT key FROM training_features") is None
    lab.do_all(ENCODE, TRAIN)
    assert lab.state(run_id).state == "done"
    key = lab.bench.value("SELECT key FROM training_features")
    assert json.loads(store.get(key)[8:].split(b"}}")[0] + b"}}")["__metadata__"]["count"] == "2"
