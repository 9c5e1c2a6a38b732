"""A run on somebody's films, from its sets to its result, with a real ledger and bucket and the real bodies."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image
from pydantic import SecretStr

from tests.support import database_roles
from tests.support.invariants import check_invariants
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.training_lab import Lab, table
from tests.support.worker_bench import Bench, make_film
from workers.context import Context
from workers.corpora import CorpusBuilder
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.runs import cancel_run
from xraygpt_core.ledger.training.waiting import pause_run, resume_run
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.states import JobKind
from xraygpt_core.training.pairs import Pair

DROPPED = "SELECT position, dropped FROM training_images WHERE dropped IS NOT NULL ORDER BY position"
PLAN, PREPARE, ENCODE, TRAIN = JobKind.PLAN, JobKind.PREPARE, JobKind.ENCODE, JobKind.TRAIN


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "demo")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for all tests: to start it takes a second."""
    made = Sandbox(Limits(64 * 10**6, 30.0, 2 * 2**30))
    yield made
    made.close()


@pytest.fixture
def lab(bench: Bench, bundle: Bundle, sandbox: Sandbox, tmp_path: Path, database_url: str) -> Iterator[Lab]:
    """After each test the ledger is sound."""
    (tmp_path / "sets").mkdir()
    settings = bench.settings.model_copy(
        update={
            "models": bundle.path.parent,
            "device": "cpu",
            "training_data": tmp_path / "sets",
            "training_cache": tmp_path / "cache",
        }
    )
    made = Lab(bench, Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test"), bundle)
    made.films._sandbox = sandbox
    made.features.announce()
    yield made
    with psycopg.connect(database_url) as connection:
        check_invariants(connection)


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


def normalised(number: int) -> bytes:
    """A grey picture as ingest stores it."""
    pixels = np.random.default_rng(number).integers(0, 255, (256, 256), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def signed_studies(lab: Lab, numbers: range) -> list[Pair]:
    """Studies whose films ingest stored, and what was signed about them."""
    pairs = []
    for number in numbers:
        png = normalised(number)
        study = lab.bench.settled(number, png=png)
        (row,) = lab.bench.rows("SELECT normalised_sha256 FROM images WHERE study_id = :id", id=study)
        split = "val" if number % 5 == 4 else "train"
        pairs.append(Pair(str(study), "x", f"p{number}", split, row["normalised_sha256"], f"Signed text {number}."))
    return pairs


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


@contextmanager
def ledger_of(lab: Lab, process: str) -> Iterator[Ledger]:
    """A ledger with the rights of one process of ours."""
    settings = lab.context.settings
    url = database_roles.url_as(process, settings.database_url.get_secret_value())
    opened = open_ledger(settings.model_copy(update={"database_url": SecretStr(url)}))
    try:
        yield opened
    finally:
        opened.close()


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
