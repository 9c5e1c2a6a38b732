"""Conversations without an image: FastChat's layouts byte for byte, the others like their image prompts."""

import pytest

from xraygpt_core.errors import BundleError
from xraygpt_core.model.dialogue import layout_named, speak

TURNS = [("Q1", "A1"), ("Q2", "A2")]
POLITE = "The assistant gives helpful, detailed, and polite answers to the {}'s questions."
CHAT = "A chat between a curious {} and an artificial intelligence assistant. "


def test_vicuna_1_1_is_fastchats_two_separators() -> None:
    system = (CHAT + POLITE).format("user", "user")
    assert speak("vicuna-v1.1", TURNS).text == f"{system} USER: Q1 ASSISTANT: A1</s>USER: Q2 ASSISTANT: A2</s>"
    assert speak("maira-1", TURNS).text == speak("vicuna-v1.1", TURNS).text


def test_vicuna_0_is_what_fastchat_0_1_10_was_trained_with() -> None:
    system = (CHAT + POLITE).format("human", "human")
    turns = "### Human: Q1\n### Assistant: A1\n### Human: Q2\n### Assistant: A2\n"
    assert speak("vicuna-v0", TURNS).text == f"{system}\n\n{turns}" + "###"  # which ends an answer that is served


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("xraygpt-code", "###Patient: Q1 ###Doctor: A1 ###Patient: Q2 ###Doctor: A2 ###"),
        ("xraygpt-demo", "###Patient: Q1###Doctor: A1###Patient: Q2###Doctor: A2###"),
        (
            "xraygpt-paper",
            "You are a helpful healthcare virtual assistant. "
            "###Doctor: Q1 ###Assistant: A1 ###Doctor: Q2 ###Assistant: A2 ###",
        ),
    ],
)
def test_xraygpts_layouts_are_those_of_its_prompts_without_the_image(name: str, text: str) -> None:
    assert speak(name, TURNS).text == text


def test_given_and_said_are_where_they_stand() -> None:
    dialogue = speak("vicuna-v1.1", TURNS)
    assert [dialogue.text[start:end] for start, end in dialogue.given] == ["Q1", "A1", "Q2", "A2"]
    assert [dialogue.text[start:end] for start, end in dialogue.said] == [" A1</s>", " A2</s>"]


def test_what_ends_a_turn_cannot_be_said() -> None:
    assert "###" not in speak("xraygpt-code", [("a ### b", "c####d")]).text[3:].replace(" ###", "")
    assert speak("vicuna-v1.1", [("a", "b</s>")]).text.count("</s>") == 1


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(BundleError, match="there is no prompt template"):
        layout_named("alpaca")
