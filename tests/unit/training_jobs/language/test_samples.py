"""Dialogues as tokens: the layouts are FastChat's byte for byte, and the labels are what the assistant says."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tiny_bundle import byte_tokenizer
from training_jobs.language.samples import passage_of
from training_jobs.learning.objective import NO_LABEL, Passage
from xraygpt_core.model.dialogue import layout_named, speak
from xraygpt_core.model.importing.sentencepiece import build_tokenizer, read_pieces

REFERENCE = Path(__file__).parents[2] / "model" / "reference" / "tokenizer.model"
TEMPLATES = ["maira-1", "vicuna-v0", "vicuna-v1.1", "xraygpt-code", "xraygpt-demo", "xraygpt-paper"]
# Text that tries to be more than text: ends of turns, control words, many alphabets, spaces.
PIECES = ["a", "b", " ", ".", "\n", "#", "<", ">", "/", "é", "肺", "🫁", "###", "</s>", "<s>", "USER:", " ASSISTANT: "]
WORDS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
SAID = WORDS.filter(lambda text: text.strip() != "")
TURNS = st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3)


def llama() -> Any:
    from transformers import PreTrainedTokenizerFast

    raw = build_tokenizer(read_pieces(REFERENCE))
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")


TOKENIZERS = {"bytes": byte_tokenizer(), "llama": llama()}


def ids_of(passage: Passage) -> list[int]:
    return [*passage.before, *passage.after]


def learned(passage: Passage) -> list[list[int]]:
    """Runs of labels, each what is learned at one place of the dialogue."""
    runs: list[list[int]] = [[]]
    for label in passage.labels:
        if label != NO_LABEL:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


@pytest.mark.parametrize("template", TEMPLATES)
@given(turns=TURNS)
@settings(max_examples=40, deadline=None)
def test_the_labels_are_the_answers_and_their_ends_and_nothing_else(
    template: str, turns: list[tuple[str, str]]
) -> None:
    passage = passage_of(TOKENIZERS["bytes"], template, turns, 10**6)
    dialogue = speak(template, turns)
    told = [TOKENIZERS["bytes"].decode(run) for run in learned(passage)]
    assert told == [dialogue.text[start:end] for start, end in dialogue.said]
    ends = layout_named(template).ends
    for text, (_, answer) in zip(told, turns, strict=True):
        assert text.endswith(ends)
        if "#" not in answer and "</s>" not in answer:
            assert text == f" {answer.strip()}{ends}"


@pytest.mark.parametrize("template", ["vicuna-v1.1", "xraygpt-code"])
@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["Why?", "é肺", "It hurts ."]), st.sampled_from(["So. It is.", "肺", "a\nb"]))
    )
)
@settings(max_examples=20, deadline=None)
def test_the_labels_of_llamas_tokens_are_the_answers_too(template: str, turns: list[tuple[str, str]]) -> None:
    turns = turns or [("a", "b")]
    passage = passage_of(TOKENIZERS["llama"], template, turns, 10**6)
    ends = layout_named(template).ends
    told = [TOKENIZERS["llama"].decode(run) for run in learned(passage)]
    assert told == [f"{answer.strip()}{ends}" for _, answer in turns]


@pytest.mark.parametrize("name", TOKENIZERS)
@given(turns=TURNS)
@settings(max_examples=40, deadline=None)
def test_control_words_in_a_dialogue_are_text(name: str, turns: list[tuple[str, str]]) -> None:
    tokenizer = TOKENIZERS[name]
    ids = ids_of(passage_of(tokenizer, "vicuna-v1.1", turns, 10**6))
    control = set(tokenizer.get_added_vocab().values())
    assert [one for one in ids if one in control - {tokenizer.unk_token_id}] == [
        tokenizer.bos_token_id,
        *[tokenizer.eos_token_id] * len(turns),
    ]


def test_every_dialogue_of_a_template_begins_with_the_same_tokens_apart_from_its_words() -> None:
    for tokenizer in TOKENIZERS.values():
        first, second = (passage_of(tokenizer, "vicuna-v1.1", [(asked, "b")], 999) for asked in ("a", "Why?"))
        assert first.before == second.before
        assert tokenizer.decode(first.before).endswith("USER:")
        assert len(first.labels) == len(first.after)


def test_a_dialogue_of_ordinary_words_has_the_ids_of_its_whole_text() -> None:
    turns = [("What is it?", "It is nothing."), ("Sure?", "Yes.")]
    for tokenizer in TOKENIZERS.values():
        whole = tokenizer(speak("vicuna-v1.1", turns).text, add_special_tokens=False)["input_ids"]
        assert ids_of(passage_of(tokenizer, "vicuna-v1.1", turns, 999)) == [tokenizer.bos_token_id, *whole]


def test_a_long_dialogue_is_cut_and_what_is_left_of_an_answer_is_learned() -> None:
    whole = passage_of(TOKENIZERS["bytes"], "vicuna-v1.1", [("a", "b" * 500)], 10**6)
    cut = passage_of(TOKENIZERS["bytes"], "vicuna-v1.1", [("a", "b" * 500)], 300)
    assert ids_of(cut) == ids_of(whole)[:300]
    assert cut.labels == whole.labels[: len(cut.labels)]
    nothing = passage_of(TOKENIZERS["bytes"], "vicuna-v1.1", [("a" * 500, "b")], 300)
    assert set(nothing.labels) == {NO_LABEL}


@pytest.mark.parametrize("most", [1, 2, 50])
def test_a_limit_within_the_opening_leaves_a_passage_without_labels(most: int) -> None:
    passage = passage_of(TOKENIZERS["bytes"], "vicuna-v1.1", [("a", "b")], most)
    assert len(passage) == most
    assert set(passage.labels) == {NO_LABEL}
