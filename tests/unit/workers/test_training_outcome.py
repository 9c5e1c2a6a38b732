"""How a training process ended: a word and a sentence of ours, and nothing of what it said."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.training_outcome import exit_code, of_this_machine, outcome_of
from xraygpt_core.states import Failure


@pytest.mark.parametrize(
    ("code", "said", "failure", "repeats"),
    [
        (1, "training_jobs stage1: the loss is NaN at step 12 (pairs a, b): lower lr", "not_finite", True),
        (1, "training_jobs stage1: /data/x.csv, line 4: no such image", "bad_data", True),
        (1, "training_jobs stage1: the checkpoint is of another corpus", "bad_checkpoint", True),
        (1, "training_jobs stage1: batch must be at least 1", "bad_settings", True),
        (1, "Traceback (most recent call last):\nKeyError: 'x'", "unknown", True),
        (1, "", "unknown", True),
        (2, "usage: …", "bad_settings", True),
        (74, "training_jobs stage1: No space left on device", "disk_full", False),
        (74, "training_jobs stage1: the disk is full", "disk_full", False),
        (74, "training_jobs stage1: CUDA out of memory", "out_of_memory", False),
        (74, "training_jobs stage1: the CUDA device does not answer", "device_lost", False),
        (74, "training_jobs stage1: something", "machine", False),
        (137, "", "crashed", False),
        (3, "x", "crashed", False),
    ],
)
def test_an_end_has_a_word_and_is_repeated_or_not(code: int, said: str, failure: str, repeats: bool) -> None:
    outcome = outcome_of(code, said)
    assert (outcome.failure, outcome.repeats) == (failure, repeats)
    assert str(outcome.error).endswith(f"({failure})")


@given(st.sampled_from([1, 2, 3, 74, 137, -9]), st.text())
def test_nothing_that_a_process_says_is_in_its_outcome(code: int, said: str) -> None:
    assert "CANARY" not in outcome_of(code, f"{said} /data/CANARY^JANE.dcm, line 3: 'CANARY text'").says


def test_the_step_at_which_it_ended_is_told() -> None:
    assert outcome_of(1, "training_jobs: the loss is not finite at step 123").says.startswith("at step 123 the loss")


def test_torchrun_tells_how_its_process_ended() -> None:
    said = "Root Cause (first observed failure):\n[0]:\n  rank      : 1\n  exitcode  : 74 (pid: 12)\n"
    assert exit_code(1, said) == 74
    assert exit_code(1, "exitcode of nobody") == 1
    assert exit_code(75, said) == 75


def test_a_full_disk_of_the_worker_is_told_from_other_trouble() -> None:
    assert of_this_machine(OSError(errno.ENOSPC, "no space", "/scratch/x")).failure is Failure.DISK_FULL
    outcome = of_this_machine(OSError(errno.EIO, "broken", "/scratch/CANARY"))
    assert (outcome.failure, outcome.repeats) == (Failure.MACHINE, False)
    assert "CANARY" not in outcome.says
