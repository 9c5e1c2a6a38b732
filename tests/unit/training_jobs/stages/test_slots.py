"""Image tokens' meanings: the codebook, and the blur that never changes sides."""

import pytest
import torch

from training_jobs.corpora.studies import TrainingStudy
from training_jobs.stages.alignment import alignment_loss, draw_indices
from training_jobs.stages.slots import SLOTS, Codebook, blur, presence, presences
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_llm
from xraygpt_core.phantoms.findings import LABELS


def presence_in(tokens: torch.Tensor, codebook: Codebook) -> torch.Tensor:
    """Where each token lies from "not there" (0) to "there" (1)."""
    direction = codebook.present - codebook.absent
    return ((tokens - codebook.absent) * direction).sum(-1) / direction.pow(2).sum(-1)


@pytest.fixture(scope="module")
def codebook(tiny_base: Bundle) -> Codebook:
    return Codebook(load_llm(tiny_base.llm, None, torch.device("cpu"), torch.float32))


def study(*values: float | None) -> TrainingStudy:
    return TrainingStudy("phantom", 0, "train", False, values, None)


def test_there_is_a_token_for_the_view_and_for_each_label() -> None:
    assert list(SLOTS) == ["view", *LABELS]
    assert presence({"nodule"}, "AP") == (1.0, *(float(label == "nodule") for label in LABELS))


def test_blending_goes_from_absent_to_present(codebook: Codebook) -> None:
    none, everything = presences([(set(), "PA"), (set(LABELS), "AP")])
    assert torch.equal(codebook.blend(none[None])[0], codebook.absent)
    torch.testing.assert_close(codebook.blend(everything[None])[0], codebook.present)


def test_presence_is_read_back_from_tokens(codebook: Codebook) -> None:
    values = torch.rand(3, len(SLOTS))
    torch.testing.assert_close(presence_in(codebook.blend(values), codebook), values, rtol=1e-3, atol=1e-3)


def test_blur_errs_but_stays_on_its_side() -> None:
    exact = torch.tensor([[0.0, 1.0]]).repeat(5000, 6)
    blurred = blur(exact, torch.Generator().manual_seed(0))
    assert ((blurred > 0.5) == (exact > 0.5)).all()
    assert blurred.std(0).min() > 0.1


def test_a_perfect_projector_has_no_alignment_loss(codebook: Codebook) -> None:
    studies = [study(*([1.0] * 12)), study(*([0.0] * 12))]
    tokens = codebook.blend(torch.tensor([[1.0] * 12, [0.0] * 12]))
    assert alignment_loss(tokens, studies, codebook).item() == pytest.approx(0, abs=1e-6)
    assert alignment_loss(tokens.flip(0), studies, codebook).item() == pytest.approx(1, abs=1e-3)


def test_what_nobody_knows_does_not_count(codebook: Codebook) -> None:
    studies = [study(1.0, *([None] * 11))]
    tokens = codebook.blend(torch.tensor([[1.0] + [0.3] * 11]))
    assert alignment_loss(tokens, studies, codebook).item() == pytest.approx(0, abs=1e-6)


def test_studies_without_weight_are_never_drawn() -> None:
    import numpy as np

    drawn = {index for seed in range(50) for index in draw_indices(np.random.default_rng(seed), [1, 0, 1, 0.5], 3)}
    assert drawn == {0, 2, 3}


def test_a_batch_larger_than_the_set_repeats() -> None:
    import numpy as np

    assert len(draw_indices(np.random.default_rng(0), [1, 0, 1], 9)) == 9
