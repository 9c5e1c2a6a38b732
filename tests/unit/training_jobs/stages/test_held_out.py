"""The held-out loss and its control, and where they are written."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.told_films import told_corpus, told_pairs
from tests.unit.training_jobs.stages.conftest import Ask, curve
from training_jobs.learning.distributed import ALONE, World
from training_jobs.stages import stage1
from training_jobs.stages.held_out import Notes, others
from training_jobs.stages.image_stage import Given
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.pairs import Pair

NONE = {"preset": "paper-stage1", "steps": 0}


def of(patient: int) -> Pair:
    return Pair("x", "s", f"p{patient}", "val", "0", "text")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_every_text_is_put_beside_the_film_of_another_patient(patients: list[int]) -> None:
    pairs = [of(patient) for patient in patients]
    found = others(pairs)
    if len(set(patients)) == 1:
        assert found is None
    else:
        assert found is not None
        assert all(pairs[other].patient != pair.patient for pair, other in zip(pairs, found, strict=True))


def test_the_base_is_measured_before_the_first_step(ask: Ask) -> None:
    given = ask({"preset": "paper-stage1", "steps": 2, "batch": 4, "checkpoint_every": 1})
    stage1.run(given)
    lines = [json.loads(line) for line in (given.out / "progress.jsonl").read_text().splitlines()]
    assert [(line["step"], "held_out" in line) for line in lines] == [
        (0, True),
        (1, False),
        (1, True),
        (2, False),
        (2, True),
    ]
    assert all("swapped" in line for line in lines if "held_out" in line)


def test_a_run_of_no_steps_measures_what_it_started_from(ask: Ask) -> None:
    given = ask(NONE)
    stage1.run(given)
    assert len(curve(given.out, "held_out")) == 1


def test_without_held_out_pairs_nothing_is_measured_and_the_result_says_so(
    ask: Ask, narrow: Bundle, tmp_path: Path
) -> None:
    corpus = told_corpus(tmp_path / "films", narrow, pairs=told_pairs(6, 0))
    given = ask(NONE | {"steps": 1, "batch": 2}, corpus=corpus)
    stage1.run(given)
    assert curve(given.out, "held_out") == []
    assert json.loads((given.out / "result/result.json").read_text())["held_out"] == {"pairs": 0}


def test_films_of_one_patient_have_no_control(ask: Ask, narrow: Bundle, tmp_path: Path) -> None:
    pairs = [replace(pair, patient="p" if pair.split == "val" else pair.patient) for pair in told_pairs(8, 3)]
    given = ask(NONE, corpus=told_corpus(tmp_path / "films", narrow, pairs=pairs))
    stage1.run(given)
    assert len(curve(given.out, "held_out")) == 1
    assert curve(given.out, "swapped") == []


def test_two_processes_measure_what_one_does(ask: Ask) -> None:
    from training_jobs.stages.corpora import corpora_of
    from training_jobs.stages.held_out import HeldOut
    from training_jobs.stages.image_stage import _Stage

    given: Given = ask(NONE)
    corpora = corpora_of(given.base, given.config, given.cache, given.corpora, ALONE)
    lesson = _Stage("stage1", given, corpora).lesson
    whole = HeldOut(lesson, corpora, ALONE, given.config).losses()

    class Half(World):
        """One of two processes; what the other has is added by the test."""

        size = 2

        def __init__(self, rank: int, sums: list[torch.Tensor]) -> None:
            self.rank, self.sums = rank, sums

        def sum(self, values: torch.Tensor) -> torch.Tensor:
            self.sums.append(values)
            return values

    parts: list[list[torch.Tensor]] = [[], []]
    for rank in (0, 1):
        HeldOut(lesson, corpora, Half(rank, parts[rank]), given.config).losses()
    for name, one, two in zip(("held_out", "swapped"), *parts, strict=True):
        total, count = (one + two).tolist()
        assert total / count == pytest.approx(whole[name], rel=1e-6)


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    class Second(World):
        rank, size = 1, 2

    Notes(tmp_path, 5, Second(), None).note(0, {"held_out": 1.0})
    assert not (tmp_path / "progress.jsonl").exists()


def test_the_observer_is_told(tmp_path: Path) -> None:
    seen = []

    class Ear:
        def note(self, step: int, values: object) -> None:
            seen.append((step, values))

    Notes(tmp_path, 5, ALONE, Ear()).note(3, {"held_out": 1.23456789, "swapped": 2.0})
    assert seen == [(3, {"held_out": 1.23457, "swapped": 2.0})]
