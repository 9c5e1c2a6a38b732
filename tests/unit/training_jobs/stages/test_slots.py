"""Image tokens' meanings: the codebook, the blur that never changes sides, and the alignment to what a film shows."""

import pytest
import torch

from training_jobs.stages.alignment import alignment_loss, says_what_tokens_mean
from training_jobs.stages.slots import SLOTS, Codebook, blur, presence, presences
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_llm
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.training.pairs import Pair


def presence_in(tokens: torch.Tensor, codebook: Codebook) -> torch.Tensor:
    """Where each token lies from "not there" (0) to "there" (1)."""
    direction = codebook.present - codebook.absent
    return ((tokens - codebook.absent) * direction).sum(-1) / direction.pow(2).sum(-1)


@pytest.fixture(scope="module")
def codebook(tiny_base: Bundle) -> Codebook:
    return Codebook(load_llm(tiny_base.llm, None, torch.device("cpu"), torch.float32))


def pair(*values: float | None) -> Pair:
    return Pair("1", "a", "p", "train", "0", None, labels=dict(zip(SLOTS, values, strict=False)))


def test_there_is_a_token_for_the_view_and_for_each_label() -> None:
    assert SLOTS[0] == "view"
    assert set(LABELS) < set(SLOTS)
    assert presence({"nodule"}, "AP") == tuple(float(slot in ("view", "abnormal", "nodule")) for slot in SLOTS)


def test_a_finding_in_a_place_is_of_its_kind_and_a_kind_is_in_no_place() -> None:
    there = dict(zip(SLOTS, presence({"consolidation_left_lower"}, "PA"), strict=True))
    assert (there["opacity"], there["consolidation_left_lower"], there["abnormal"]) == (1.0, 1.0, 1.0)
    there = dict(zip(SLOTS, presence({"effusion", "device"}, "PA"), strict=True))
    assert (there["effusion"], there["effusion_left"], there["effusion_right"]) == (1.0, 0.0, 0.0)


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
    pairs = [pair(*([1.0] * len(SLOTS))), pair(*([0.0] * len(SLOTS)))]
    tokens = codebook.blend(torch.tensor([[1.0] * len(SLOTS), [0.0] * len(SLOTS)]))
    assert alignment_loss(tokens, pairs, codebook).mean.item() == pytest.approx(0, abs=1e-6)
    assert alignment_loss(tokens.flip(0), pairs, codebook).mean.item() == pytest.approx(1, abs=1e-3)


def test_what_nobody_knows_does_not_count(codebook: Codebook) -> None:
    tokens = codebook.blend(torch.tensor([[1.0] + [0.3] * (len(SLOTS) - 1)]))
    loss = alignment_loss(tokens, [pair(1.0, *([None] * (len(SLOTS) - 1)))], codebook)
    assert loss.total.item() == pytest.approx(0, abs=1e-6)
    assert loss.count == 3  # the view, thrice


def test_a_pair_without_labels_has_no_part_in_the_alignment(codebook: Codebook) -> None:
    loss = alignment_loss(codebook.blend(torch.rand(1, len(SLOTS))), [pair()], codebook)
    assert (loss.total.item(), loss.count) == (0, 0)


def test_labels_of_other_words_say_nothing_about_tokens() -> None:
    assert says_what_tokens_mean([pair(), pair(None, 0.0)])
    assert not says_what_tokens_mean([pair(), Pair("1", "a", "p", "train", "0", None, labels={"edema": 1.0})])
