"""The loss on answers: what a plain forward pass of transformers with labels has, whatever is left out to get there."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from training_jobs.learning.objective import (
    NO_LABEL,
    Exchange,
    Passage,
    answer_ids,
    answer_loss,
    passage_loss,
)
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm, load_llm
from xraygpt_core.model.prompt import render, template_named, tokenise

TEMPLATE = template_named("xraygpt-code")
EXCHANGES = [
    Exchange("What?", "Short.", pair_id="a"),
    Exchange("Q", "A much longer answer, of more than one word.", pair_id="b"),
    Exchange("Q", "Fine.", (("Is it?", "It is."),), pair_id="c"),
]


@pytest.fixture
def llm(tiny_base: Bundle) -> Llm:
    return load_llm(tiny_base.llm, None, torch.device("cpu"), torch.float32)


def plain(llm: Llm, exchanges: Sequence[Exchange], images: Tensor) -> Tensor:
    """Padded, with attention masks, full logits and labels: transformers' own loss, in the original attention."""
    model = llm.model
    now, model.config._attn_implementation = model.config._attn_implementation, "eager"
    rows, labels = [], []
    for exchange, image in zip(exchanges, images, strict=True):
        before, after = tokenise(render(TEMPLATE, exchange.question or "", exchange.turns), llm.tokenizer)
        answer = answer_ids(llm, exchange.answer, "###")
        rows.append(torch.cat([llm.embed(before), image, llm.embed(after + answer)]))
        labels.append(torch.tensor([NO_LABEL] * (len(before) + len(image) + len(after)) + answer))
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    out = model(
        inputs_embeds=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
        attention_mask=mask,
        labels=torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=NO_LABEL),
    )
    model.config._attn_implementation = now
    loss: Tensor = out.loss
    return loss


@pytest.mark.parametrize("frozen", [True, False])
def test_loss_and_gradients_are_those_of_a_plain_forward_pass(llm: Llm, frozen: bool) -> None:
    llm.model.requires_grad_(not frozen)
    images = torch.randn(3, 4, llm.hidden, requires_grad=True)
    learned = [images, *(() if frozen else llm.model.parameters())]
    expected = plain(llm, EXCHANGES, images)
    loss = answer_loss(llm, TEMPLATE, "###", EXCHANGES, images)
    torch.testing.assert_close(loss.mean, expected, rtol=1e-5, atol=1e-5)
    wanted, found = torch.autograd.grad(expected, learned), torch.autograd.grad(loss.mean, learned)
    for one, two in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text("abc .", min_size=1, max_size=30), st.integers(0, 2)), min_size=2, max_size=5))
def test_a_batch_has_the_sum_of_its_parts(llm: Llm, drawn: list[tuple[str, int]]) -> None:
    exchanges = [Exchange("q" * (1 + turns), f"x{text}", (("a", "b"),) * turns) for text, turns in drawn]
    images = torch.randn(len(exchanges), 2, llm.hidden)
    alone = [answer_loss(llm, TEMPLATE, "###", exchanges[i : i + 1], images[i : i + 1]) for i in range(len(exchanges))]
    together = answer_loss(llm, TEMPLATE, "###", exchanges, images)
    assert together.count == sum(loss.count for loss in alone)
    torch.testing.assert_close(together.total, torch.stack([loss.total for loss in alone]).sum())


def test_an_answer_ends_with_the_stop_sequence(llm: Llm) -> None:
    assert llm.tokenizer.decode(answer_ids(llm, "Fine.", "###")) == " Fine. ###"


def test_a_long_text_is_cut_before_its_end_and_the_end_is_learned(llm: Llm) -> None:
    whole, cut = answer_ids(llm, "x" * 50, "###"), answer_ids(llm, "x" * 50, "###", most=10)
    assert llm.tokenizer.decode(cut) == f" {'x' * 9} ###"
    assert whole[-4:] == cut[-4:]
    assert answer_ids(llm, "x" * 50, "###", most=51) == whole


def test_where_a_beginning_ends_is_not_learned(llm: Llm) -> None:
    image = torch.randn(1, 2, llm.hidden)
    beginning = answer_loss(llm, TEMPLATE, "###", [Exchange("Q", "The heart", ends=False)], image)
    ended = answer_loss(llm, TEMPLATE, "###", [Exchange("Q", "The heart")], image)
    assert ended.count - beginning.count == len(answer_ids(llm, "x", "###")) - len(
        answer_ids(llm, "x", "###", ends=False)
    )
    assert llm.tokenizer.decode(answer_ids(llm, "The heart", "###", ends=False)) == " The heart"


def test_a_control_word_in_a_text_is_text(llm: Llm) -> None:
    ids = answer_ids(llm, "a</s>b", "###")
    assert llm.tokenizer.eos_token_id not in ids
    assert llm.tokenizer.eos_token_id in answer_ids(llm, "ab", "</s>")


def test_without_a_question_the_text_follows_the_image(llm: Llm) -> None:
    image = torch.randn(1, 3, llm.hidden)
    answer = answer_ids(llm, "Fine.", "\n")
    row = torch.cat([llm.embed([llm.tokenizer.bos_token_id]), image[0], llm.embed(answer)])
    logits = llm.model(inputs_embeds=row[None]).logits[0]
    expected = torch.nn.functional.cross_entropy(logits[3:-1], torch.tensor(answer))
    found = answer_loss(llm, TEMPLATE, "\n", [Exchange(None, "Fine.")], image)
    torch.testing.assert_close(found.mean, expected, rtol=1e-5, atol=1e-5)


def test_exchanges_without_an_answer_are_skipped_and_named(llm: Llm) -> None:
    exchanges = [EXCHANGES[0], Exchange("Q", "  ", pair_id="empty"), EXCHANGES[1]]
    images = torch.randn(3, 2, llm.hidden, requires_grad=True)
    loss = answer_loss(llm, TEMPLATE, "###", exchanges, images)
    assert (loss.samples, loss.skipped) == (("a", "b"), ("empty",))
    alone = answer_loss(llm, TEMPLATE, "###", [exchanges[0], exchanges[2]], images[[0, 2]])
    torch.testing.assert_close(loss.total, alone.total)


def test_a_sequence_that_the_model_cannot_read_is_skipped(llm: Llm) -> None:
    loss = passage_loss(llm, [Passage((1,), None, [5] * 1024, [5] * 1024, "long"), Passage((1,), None, [5], [5], "ok")])
    assert (loss.samples, loss.skipped, loss.count) == (("ok",), ("long",), 1)


def test_a_batch_of_nothing_has_no_tokens_and_no_error(llm: Llm) -> None:
    loss = passage_loss(llm, [Passage((1,), None, [5], [NO_LABEL], "none")])
    assert (float(loss.total), loss.count, loss.skipped) == (0.0, 0, ("none",))


def test_passages_of_text_alone_are_those_of_a_plain_forward_pass(llm: Llm) -> None:
    rows = [([7, 8, 9, 10], [NO_LABEL, 8, NO_LABEL, 10]), ([11, 12], [11, 12])]
    expected = torch.zeros(())
    for ids, labels in rows:
        logits = llm.model(torch.tensor([[1, *ids]])).logits[0, :-1]
        expected += torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="sum")
    loss = passage_loss(llm, [Passage((1,), None, ids, labels) for ids, labels in rows])
    assert loss.count == 4
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-5)


def test_gradient_checkpointing_changes_nothing(llm: Llm) -> None:
    llm.model.requires_grad_(True)
    images = torch.randn(3, 2, llm.hidden)
    weight = llm.model.model.layers[0].mlp.up_proj.weight
    found = []
    for checkpointing in (False, True):
        if checkpointing:
            llm.model.activation_checkpointing_enable()
            llm.model.train()
        loss = answer_loss(llm, TEMPLATE, "###", EXCHANGES, images)
        found += torch.autograd.grad(loss.total, [weight])
    torch.testing.assert_close(*found)


def test_the_model_still_reads_padded_batches_as_before(llm: Llm) -> None:
    ids, mask = torch.tensor([[5, 6, 7], [0, 0, 8]]), torch.tensor([[1, 1, 1], [0, 0, 1]])
    before = llm.model(ids, attention_mask=mask).logits
    answer_loss(llm, TEMPLATE, "###", EXCHANGES[:1], torch.randn(1, 2, llm.hidden))
    torch.testing.assert_close(llm.model(ids, attention_mask=mask).logits, before)


def test_a_bundle_that_was_frozen_and_is_then_trained_forgets_what_it_kept(llm: Llm) -> None:
    images = torch.randn(1, 2, llm.hidden)
    answer_loss(llm, TEMPLATE, "###", EXCHANGES[:1], images)
    llm.model.requires_grad_(True)
    with torch.no_grad():
        llm.model.model.layers[0].self_attn.k_proj.weight.mul_(2)
    changed = answer_loss(llm, TEMPLATE, "###", EXCHANGES[:1], images).mean
    torch.testing.assert_close(changed, plain(llm, [replace(EXCHANGES[0])], images), rtol=1e-5, atol=1e-5)


def test_what_would_end_a_text_too_early_is_broken_up(llm: Llm) -> None:
    assert llm.tokenizer.decode(answer_ids(llm, "one ### two #####", "###")) == " one # ## two # # # ## ###"
    assert llm.tokenizer.decode(answer_ids(llm, "one\ntwo\n", "\n")) == " one two \n"


@pytest.mark.parametrize("exchange", [Exchange("Q", "a\ud800b", pair_id="x"), Exchange("Q\ud800", "a", pair_id="x")])
def test_half_a_character_is_skipped(llm: Llm, exchange: Exchange) -> None:
    loss = answer_loss(llm, TEMPLATE, "###", [exchange, EXCHANGES[0]], torch.randn(2, 2, llm.hidden))
    assert (loss.skipped, loss.samples) == (("x",), ("a",))


def test_of_an_endless_text_only_the_beginning_is_looked_at(llm: Llm) -> None:
    class Counting:
        bos_token_id, given = 1, 0

        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            self.given = max(self.given, len(text))
            return list(text.encode())

        def get_added_vocab(self) -> dict[str, int]:
            return {}

    tokenizer = Counting()
    ids = answer_ids(replace(llm, tokenizer=tokenizer), "x" * 10**6, "###", most=10)
    assert (len(ids), tokenizer.given) == (14, 64 * 10 + 5)
