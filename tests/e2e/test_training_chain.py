"""The language model, stage 1 and stage 2 are trained through the queue, and what they made is served."""

from collections.abc import Iterator

import pytest

from tests.e2e.phantom_folder import write_phantoms

pytestmark = pytest.mark.timeout(900)

FEW = ["--phantoms", "4", "--checkpoint-every", "2", "--batch", "2", "--set", "examples=0"]
TO_BE_KILLED = [*FEW, "--steps", "100"]  # nearly all of it is left after its first checkpoint
UNDISTURBED = [*FEW, "--steps", "4", "--set", "align_steps=4"]


@pytest.fixture
def tiny(stack) -> Iterator[str]:
    """A bundle of random weights is served while this lasts: what a chain does is the same, and takes a tenth."""
    from tests.support.tiny_bundle import make_tiny_bundle

    name = make_tiny_bundle(stack.models, "tiny").name
    assert stack.call("models", "promote", name).code == 0
    yield name
    assert stack.call("models", "promote", "demo").code == 0


def run_state(stack, run_id):
    return stack.rows(f"SELECT state, checkpoint_step FROM training_runs WHERE id = '{run_id}'")[0]


def start(stack, stage, *words):
    began = stack.call("train", stage, *words)
    assert began.code == 0, began.stderr
    return began.document["run_id"]


def test_a_tiny_chain_survives_kill_nine_and_its_bundle_is_stamped_on_the_next_summaries(stack, tiny, tmp_path):
    llm = start(stack, "medical-llm", *TO_BE_KILLED)
    stack.wait_until(lambda: run_state(stack, llm)[1] is not None, "a first checkpoint", seconds=400)
    stack.kill("training")
    stack.wait_until(lambda: run_state(stack, llm)[0] == "done", "the LLM is trained", seconds=400)
    epochs = stack.rows(f"SELECT lease_epoch FROM jobs WHERE subject = '{llm}'")[0][0]
    assert epochs >= 2, "the run was taken up by a second worker"

    stage1 = start(stack, "stage1", *UNDISTURBED, "--parent", llm)
    stack.wait_until(lambda: run_state(stack, stage1)[0] == "done", "stage 1 is done", seconds=400)
    stage2 = start(stack, "stage2", *UNDISTURBED, "--parent", stage1)
    stack.wait_until(lambda: run_state(stack, stage2)[0] == "done", "stage 2 is done", seconds=400)

    promoted = stack.call("models", "promote", stage2)
    assert promoted.code == 0, promoted.stderr
    write_phantoms(tmp_path / "films", 72_000, 3)
    after = stack.call("submit", str(tmp_path / "films"), "--wait")
    ids = ",".join(f"'{row['study_id']}'" for row in after.document["studies"])
    bundles = stack.rows(f"SELECT DISTINCT bundle FROM study_summaries WHERE study_id IN ({ids})")
    assert bundles == [(promoted.document["bundle"],)]

    points = stack.rows(
        f"SELECT count(*), max(loss), max(samples_per_s) FROM training_progress WHERE run_id = '{stage2}'"
    )
    assert points[0][0] >= 1
    assert points[0][2] > 0

    rolled = stack.call("models", "rollback")
    assert rolled.document == {"bundle": tiny}, rolled.stderr
