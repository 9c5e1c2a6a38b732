"""What the authors' recipe makes of anybody's films: real stages through the queue, from each layout to a summary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from safetensors.torch import load_file

from tests.support.invariants import check_invariants
from tests.support.published_parts import write_parts
from tests.support.told_films import published_bundle
from tests.support.training_lab import REAL, Lab
from tests.support.training_layouts import FEW, LAYOUTS, laid_out, signed_studies
from tests.support.training_sets import film
from tests.support.worker_bench import Bench, run_one
from workers.context import Context
from workers.devices import take_devices
from workers.gpu import GpuJobs
from workers.serving import load_engine
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.ledger.training.runs import create_run, promote
from xraygpt_core.ledger.training.serving import start_serving
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.model.bundle import Bundle, read_bundle
from xraygpt_core.model.importing.projectors import read_projector
from xraygpt_core.paths import models_dir
from xraygpt_core.states import JobKind

PLAN, PREPARE, ENCODE, TRAIN = JobKind.PLAN, JobKind.PREPARE, JobKind.ENCODE, JobKind.TRAIN
FIFTY = range(50, 100)  # seeds whose patients are parted into 40 and 10
SLOWLY = {"steps": 200, "checkpoint_every": 10, "lr": 0.0003, "min_lr": 0.0001}  # to be killed; the next learns more


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """MedCLIP's shape, LinearProjector and a LLaMA, imported as they are published."""
    return published_bundle(tmp_path_factory.mktemp("models"), write_parts(tmp_path_factory.mktemp("downloads")))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for all tests: to start it takes a second."""
    made = Sandbox(Limits(64 * 10**6, 30.0, 2 * 2**30))
    yield made
    made.close()


@pytest.fixture
def lab(bench: Bench, bundle: Bundle, sandbox: Sandbox, tmp_path: Path, database_url: str) -> Iterator[Lab]:
    """The bundle is the served one. After each test the ledger is sound."""
    yield from serving(bundle, bench, sandbox, tmp_path, database_url)


@pytest.fixture
def demo_lab(bench: Bench, sandbox: Sandbox, tmp_path: Path, database_url: str) -> Iterator[Lab]:
    """The same with the demo bundle, whose encoder and projector have learned to see phantoms."""
    yield from serving(read_bundle(models_dir() / "demo"), bench, sandbox, tmp_path, database_url)


def serving(bundle: Bundle, bench: Bench, sandbox: Sandbox, tmp_path: Path, database_url: str) -> Iterator[Lab]:
    (tmp_path / "sets").mkdir()
    changes: dict[str, Any] = {"models": bundle.path.parent, "bundle": bundle.name, "device": "cpu"}
    changes |= {"training_data": tmp_path / "sets", "training_cache": tmp_path / "cache"}
    changes |= {"lease_seconds": 600.0}  # nobody's heart beats in this process
    bench.settings = bench.settings.model_copy(update=changes)
    bench.ledger = Ledger(bench.settings, bench.ledger.database, bench.ledger.doorbell)
    context = Context(bench.settings, bench.ledger, bench.store, bench.context.heartbeat, "test")
    made = Lab(bench, context, bundle, program=REAL)
    made.films._sandbox = sandbox
    start_serving(bench.ledger, bundle.name)
    made.features.announce()
    yield made
    with psycopg.connect(database_url) as connection:
        check_invariants(connection)


def start(lab: Lab, preset: str, films: dict[str, Any], parent: UUID | None = None, **more: Any) -> UUID:
    """A short run of a preset; the training alone is left to do."""
    config = FEW | {"preset": preset, "mixture": {"sets": [films]}, "examples": 1} | more
    run_id = create_run(lab.bench.ledger, preset.partition("-")[2], config, parent)
    lab.do_all(PLAN, PREPARE, ENCODE)
    assert lab.state(run_id).state == "queued"
    return run_id


def kill_in_the_middle(lab: Lab, run_id: UUID) -> int:
    """A worker process takes the run, and is killed after its first checkpoint; the step of that."""
    worker = lab.bench.start("training")
    lab.bench.eventually(lambda: lab.state(run_id).checkpoint_step, "a first checkpoint")
    lab.bench.lose(worker)
    assert lab.state(run_id).state == "running"
    settings = lab.context.settings
    found = lab.bench.eventually(lambda: take_devices(1, settings.train_device_locks, 1, {}), "its trainer is gone")
    found.__exit__()
    return lab.state(run_id).checkpoint_step or 0


def check_result(lab: Lab, run_id: UUID, folder: Path) -> None:
    """The run is done, its loss fell, and its file in XrayGPT's format has the weights of ours before rounding.

    The loss on pairs that are kept back: always the same ones in the same words, where those of steps differ by chance.
    """
    run = lab.state(run_id)
    assert run.state == "done"
    assert run.held_out is not None
    assert run.first_held_out is not None
    assert run.held_out < run.first_held_out
    prefix = lab.bench.value("SELECT result_prefix FROM training_runs WHERE id = :id", id=run_id)
    for name in ("projector.pth", "projector.safetensors"):
        (folder / name).write_bytes(lab.bench.store.get(f"{prefix}/{name}"))
    read = read_projector(folder / "projector.pth")
    assert read.kind == "LinearProjector"
    read.write(folder / "read.safetensors")
    again, own = load_file(folder / "read.safetensors"), load_file(folder / "projector.safetensors")
    assert again.keys() == own.keys()
    assert all((again[name].to(own[name].dtype) == own[name]).all() for name in own)


def check_served(lab: Lab, run_id: UUID) -> None:
    """The run's bundle is promoted, loaded by a GPU worker, and stands on the next summary."""
    name = promote(lab.bench.ledger, run_id)
    engine, made, _ = load_engine(lab.context)
    try:
        study_id = lab.bench.settled(1, png=film(77))
        assert run_one(lab.context, JobKind.SUMMARISE, GpuJobs(lab.context, engine, made, lambda _: None).summarise)
    finally:
        engine.close()
    (summary,) = lab.bench.rows("SELECT bundle, summary FROM summaries WHERE study_id = :id", id=study_id)
    assert summary["bundle"] == name
    assert summary["summary"]


def test_a_killed_run_on_xraygpts_own_layout_goes_on_and_its_bundle_serves(
    lab: Lab, sandbox: Sandbox, tmp_path: Path
) -> None:
    films = laid_out(lab, sandbox, "filter-cap", range(16))
    run_id = start(lab, "paper-stage1", films, **SLOWLY, examples=0)
    assert kill_in_the_middle(lab, run_id) < 200
    lab.do_all(TRAIN)
    check_result(lab, run_id, tmp_path)
    check_served(lab, run_id)


@pytest.mark.long
@pytest.mark.parametrize("recipe", ["paper", "repository"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_trains_with_both_stages_of_each_recipe(
    lab: Lab, sandbox: Sandbox, tmp_path: Path, layout: str, recipe: str
) -> None:
    films = laid_out(lab, sandbox, layout, range(16))
    first = start(lab, f"{recipe}-stage1", films, **SLOWLY)
    assert kill_in_the_middle(lab, first) < 200
    lab.do_all(TRAIN)
    check_result(lab, first, tmp_path)
    second = start(lab, f"{recipe}-stage2", films, first, steps=100)
    lab.do_all(TRAIN)
    check_result(lab, second, tmp_path)
    check_served(lab, second)


@pytest.mark.long
def test_signed_studies_teach_what_holds_for_other_patients(lab: Lab, sandbox: Sandbox) -> None:
    """40 signed studies are learned from; 10 of other patients have a lower loss than under the base's model."""
    signed_studies(lab, sandbox, FIFTY)
    films = {"name": "signed", "reader": "ledger", "select": "reviewed since 2020-01-01", "validation": 0.2}
    run_id = start(lab, "paper-stage2", films | {"test": 0.0}, steps=200)
    texts = [row["pair"] for row in lab.bench.rows("SELECT pair FROM training_texts")]
    patients = {split: {pair["patient"] for pair in texts if pair["split"] == split} for split in ("train", "val")}
    assert (len(patients["train"]), len(patients["val"]), len(texts)) == (40, 10, 50)
    lab.do_all(TRAIN)
    run = lab.state(run_id)
    assert run.state == "done"
    assert run.held_out is not None
    assert run.first_held_out is not None
    assert run.swapped is not None
    print(f"held out: {run.first_held_out} -> {run.held_out}; films swapped: {run.swapped}")  # noqa: T201
    assert run.held_out < run.first_held_out


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_signed_studies_teach_a_model_that_sees_to_say_what_their_films_show(demo_lab: Lab, sandbox: Sandbox) -> None:
    """The loss on 10 other patients falls, and is lower beside their own films than beside one another's."""
    signed_studies(demo_lab, sandbox, FIFTY)
    films = {
        "name": "signed",
        "reader": "ledger",
        "select": "reviewed since 2020-01-01",
        "validation": 0.2,
        "test": 0.0,
    }
    config = {"steps": 60, "batch": 4, "warmup": 5, "lr": 0.0005, "align_steps": 0, "examples": 0}
    run_id = create_run(demo_lab.bench.ledger, "stage2", config | {"mixture": {"sets": [films]}}, None)
    demo_lab.do_all(PLAN, PREPARE, ENCODE, TRAIN)
    run = demo_lab.state(run_id)
    assert run.held_out is not None
    assert run.first_held_out is not None
    assert run.swapped is not None
    print(f"held out: {run.first_held_out} -> {run.held_out}; films swapped: {run.swapped}")  # noqa: T201
    assert run.held_out < run.first_held_out
    assert run.held_out < run.swapped
