"""The head's loss in chunks: the same value and gradients as logits that are kept."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from training_jobs.learning import head as module
from training_jobs.learning.head import summed_cross_entropy


@pytest.mark.parametrize("tokens", [1, 5, 6, 13])
@pytest.mark.parametrize("trained", [False, True])
def test_value_and_gradients_are_those_of_all_logits(
    tokens: int, trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 6)
    head = nn.Linear(4, 9, bias=False).requires_grad_(trained)
    hidden, labels = torch.randn(tokens, 4, requires_grad=True), torch.randint(0, 9, (tokens,))
    expected = functional.cross_entropy(head(hidden), labels, reduction="sum")
    wanted = torch.autograd.grad(3 * expected, [hidden, *([head.weight] if trained else [])])
    (3 * summed_cross_entropy(head, hidden, labels)).backward()
    torch.testing.assert_close(summed_cross_entropy(head, hidden, labels), expected)
    torch.testing.assert_close(hidden.grad, wanted[0])
    assert trained is (head.weight.grad is not None)
    if trained:
        torch.testing.assert_close(head.weight.grad, wanted[1])


def test_a_head_with_a_bias_is_called_as_it_is() -> None:
    head, hidden, labels = nn.Linear(4, 9), torch.randn(3, 4), torch.tensor([1, 2, 3])
    expected = functional.cross_entropy(head(hidden), labels, reduction="sum")
    torch.testing.assert_close(summed_cross_entropy(head, hidden, labels), expected)


def test_a_very_unlikely_label_has_a_finite_loss() -> None:
    head = nn.Linear(1, 2, bias=False)
    head.weight.data = torch.tensor([[500.0], [-500.0]])
    assert float(summed_cross_entropy(head, torch.ones(1, 1), torch.tensor([1])).detach()) == pytest.approx(1000.0)
