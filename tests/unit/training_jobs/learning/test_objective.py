"""The loss on answers: only the answer counts, and padding changes nothing."""

import pytest
import torch

from training_jobs.learning.objective import Exchange, answer_ids, answer_loss
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm, load_llm
from xraygpt_core.model.prompt import render, template_named, tokenise

TEMPLATE = template_named("xraygpt-code")


@pytest.fixture(scope="module")
def llm(tiny_base: Bundle) -> Llm:
    return load_llm(tiny_base.llm, None, torch.device("cpu"), torch.float32)


def test_the_loss_is_the_cross_entropy_of_the_answer(llm: Llm) -> None:
    image = torch.randn(1, 3, llm.hidden)
    exchange = Exchange("What?", "Fine.")
    before, after = tokenise(render(TEMPLATE, "What?"), llm.tokenizer)
    said = answer_ids(llm, "Fine.", "###")
    row = torch.cat([llm.embed(before), image[0], llm.embed(after + said)])
    logits = llm.model(inputs_embeds=row[None]).logits[0]
    start = len(before) + 3 + len(after)
    expected = torch.nn.functional.cross_entropy(logits[start - 1 : -1], torch.tensor(said))
    torch.testing.assert_close(
        answer_loss(llm, TEMPLATE, "###", [exchange], image).mean, expected, rtol=1e-4, atol=1e-4
    )


def test_padding_a_batch_changes_nothing(llm: Llm) -> None:
    images = torch.randn(2, 3, llm.hidden)
    exchanges = [Exchange("Q", "Short."), Exchange("Q", "A much longer answer.", (("a", "b"),))]
    lengths = [len(answer_ids(llm, exchange.answer, "###")) for exchange in exchanges]
    alone = [answer_loss(llm, TEMPLATE, "###", exchanges[i : i + 1], images[i : i + 1]).mean for i in range(2)]
    mean = (alone[0] * lengths[0] + alone[1] * lengths[1]) / sum(lengths)
    torch.testing.assert_close(answer_loss(llm, TEMPLATE, "###", exchanges, images).mean, mean, rtol=1e-4, atol=1e-4)


def test_an_answer_ends_with_the_stop_sequence(llm: Llm) -> None:
    assert llm.tokenizer.decode(answer_ids(llm, "Fine.", "###")) == " Fine. ###"


def test_gradients_reach_the_image_tokens(llm: Llm) -> None:
    image = torch.randn(1, 3, llm.hidden, requires_grad=True)
    answer_loss(llm, TEMPLATE, "###", [Exchange("Q", "A")], image).total.backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
