"""Runs that tune the encoder, and runs that go on from one: whose features they take, and who makes these."""

import shutil
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.planned_runs import ENCODE, PLAN, PREPARE, TRAIN
from tests.support.training_lab import Lab
from workers.bundles import composed
from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.training.runs import create_run, promote, result_prefixes
from xraygpt_core.ledger.training.serving import serve
from xraygpt_core.model.bundle import FILE
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.tuning import lower_half

LAST = 3


def start(lab: Lab, stage: str, films: dict[str, Any], parent: UUID | None = None, last: int = LAST) -> UUID:
    config = {"steps": 2, "encoder": {"last": last}, "mixture": {"sets": [films]}}
    return create_run(lab.bench.ledger, stage, config, parent)


def encoder_of(lab: Lab, run_id: UUID) -> str:
    digest: str = lab.bench.value("SELECT encoder FROM training_runs WHERE id = :id", id=run_id)
    return digest


def test_a_run_that_tunes_the_encoder_takes_features_from_below_the_cut_which_the_trainer_makes(lab: Lab) -> None:
    run_id = start(lab, "encoder", lab.in_folder("archive", range(3)))
    lab.do_all(PLAN, PREPARE)
    assert encoder_of(lab, run_id) == encoder_digest(lower_half(lab.bundle, LAST))
    lab.do_all(ENCODE)
    (features,) = lab.bench.rows("SELECT key FROM training_features")
    assert features["key"] is None  # the GPU worker serves the whole encoder
    assert lab.state(run_id).state == "queued"
    lab.do_all(TRAIN)
    assert lab.state(run_id).state == "done"
    (features,) = lab.bench.rows("SELECT key FROM training_features")
    assert encoder_of(lab, run_id) in features["key"]


def test_what_starts_from_a_tuned_encoder_takes_its_features_and_alone_can_be_served(lab: Lab) -> None:
    films = lab.in_folder("archive", range(3))
    first = start(lab, "encoder", films)
    lab.do_all(PLAN, PREPARE, TRAIN)
    second = start(lab, "stage1", films, first)
    lab.do_all(PLAN, TRAIN)
    assert lab.state(second).state == "done"
    _, prefixes = result_prefixes(lab.bench.ledger, first)
    tuned = composed(lab.bench.store, lab.bundle, prefixes, lab.root.parent / "made", "tuned")
    assert encoder_of(lab, second) == encoder_digest(tuned) != encoder_digest(lab.bundle)
    with pytest.raises(Conflict, match="start stage1"):
        promote(lab.bench.ledger, first)
    assert promote(lab.bench.ledger, second).startswith("stage1-")


def test_an_encoder_without_so_many_blocks_ends_the_run_at_once(lab: Lab) -> None:
    run_id = start(lab, "encoder", lab.in_folder("archive", range(3)), last=64)
    lab.do_all(PLAN)
    run = lab.state(run_id)
    assert run.state == "dead"
    assert "has 1 to 15 blocks to tune, not 64" in (run.problem or "")


@pytest.fixture
def stacked(lab: Lab) -> Iterator[str]:
    """A served bundle whose encoder gives what each of its layers makes, as Libra's does."""
    folder = lab.bundle.path.with_name("stacked")
    shutil.copytree(lab.bundle.path, folder)
    told = (folder / FILE).read_text().replace(f'name = "{lab.bundle.name}"', 'name = "stacked"')
    (folder / FILE).write_text(told.replace("[encoder]\n", "[encoder]\nall_layers = true\n"))
    serve(lab.bench.ledger, "stacked")
    yield "stacked"
    shutil.rmtree(folder)


def test_a_base_whose_encoder_gives_every_layer_ends_the_run_before_a_film_is_read(lab: Lab, stacked: str) -> None:
    run_id = start(lab, "stage1", lab.in_folder("archive", range(3)))
    lab.do_all(PLAN)
    run = lab.state(run_id)
    assert (run.base_bundle, run.state) == (stacked, "dead")
    assert "start from another bundle" in (run.problem or "")
