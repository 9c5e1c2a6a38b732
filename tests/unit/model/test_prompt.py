"""Prompts: the words around the image, the turns of a conversation, and segment-wise tokens."""

import pytest

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.prompt import fit_turns, render, template_named, tokenise


class Letters:
    """A tokenizer with one id a character."""

    bos_token_id: int | None = 1

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(character) for character in text]

    def get_added_vocab(self) -> dict[str, int]:
        return {}


CODE = template_named("xraygpt-code")


def test_the_released_codes_prompt_is_kept() -> None:
    prompt = render(CODE, "What do you see?")
    assert prompt.shown == "###Patient: <Img>[image tokens]</Img> What do you see? ###Doctor:"


def test_the_papers_prompt_stands_beside_it() -> None:
    shown = render(template_named("xraygpt-paper"), "Q").shown
    assert (
        shown == "You are a helpful healthcare virtual assistant. ###Doctor: <Img>[image tokens]</Img> Q ###Assistant:"
    )


def test_an_unknown_template_names_the_known_ones() -> None:
    with pytest.raises(BundleError, match=r"vicuna-v0, vicuna-v1\.1, xraygpt-code, xraygpt-demo, xraygpt-paper"):
        template_named("vicuna")


def test_earlier_turns_come_before_the_question() -> None:
    prompt = render(CODE, "And the left?", [("Effusion?", "Yes, on the right.")])
    assert prompt.after == ("</Img> Effusion? ###Doctor: Yes, on the right. ###Patient: And the left? ###Doctor:")


def test_the_image_belongs_to_the_first_turn_only() -> None:
    prompt = render(CODE, "c", [("a", "1"), ("b", "2")])
    assert prompt.shown.count("<Img>") == 1
    assert prompt.before == "###Patient: <Img>"


def test_segments_are_tokenised_alone_and_bos_stands_first() -> None:
    before, after = tokenise(render(CODE, "Q"), Letters())
    assert before == [1, *map(ord, "###Patient: <Img>")]
    assert after == [*map(ord, "</Img> Q ###Doctor:")]


def test_a_tokenizer_without_bos_gets_none() -> None:
    class NoBos(Letters):
        bos_token_id = None

    before, _ = tokenise(render(CODE, "Q"), NoBos())
    assert before == [*map(ord, "###Patient: <Img>")]


def test_a_long_conversation_loses_its_oldest_turns() -> None:
    turns = [("old question", "old answer"), ("new question", "new answer")]
    whole = sum(map(len, tokenise(render(CODE, "Q", turns), Letters())))
    prompt = fit_turns(CODE, "Q", turns, Letters(), whole - 1)
    assert "old" not in prompt.shown
    assert "new answer" in prompt.shown
    assert "<Img>[image tokens]</Img>" in prompt.shown


def test_a_conversation_that_fits_is_kept_whole() -> None:
    turns = [("old question", "old answer")]
    whole = sum(map(len, tokenise(render(CODE, "Q", turns), Letters())))
    assert fit_turns(CODE, "Q", turns, Letters(), whole) == render(CODE, "Q", turns)


def test_a_question_too_long_for_the_model_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="does not fit into 30 tokens"):
        fit_turns(CODE, "why " * 20, [], Letters(), 30)
