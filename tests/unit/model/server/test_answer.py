"""What a model thought is never a part of what it says."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.model.backend import RequestFailed
from xraygpt_core.model.server.answer import answer_of, answer_so_far
from xraygpt_core.model.server.bundle import ChatServer

THINK = ("<think>", "</think>")


def server(**given: Any) -> ChatServer:
    return ChatServer("http://127.0.0.1/v1", "m", **given)


def of(text: str, reasoned: str = "", *, cut: bool = False, **given: Any) -> tuple[str, str | None]:
    answer = answer_of(text, reasoned, server(**given), cut=cut)
    return answer.text, answer.reasoning


def test_a_model_that_does_not_think_aloud_says_all_it_writes() -> None:
    assert of(" Findings: clear. ") == ("Findings: clear.", None)


def test_thinking_in_the_text_is_kept_apart() -> None:
    assert of("<think>Is it large?</think>\nNo.", think=THINK) == ("No.", "Is it large?")


def test_a_template_that_opens_the_thinking_itself_makes_no_difference() -> None:
    assert of("Is it large?</think>No.", think=THINK) == ("No.", "Is it large?")


def test_thinking_that_begins_again_is_kept_apart_too() -> None:
    assert of("<think>a</think>One. <think>b</think>Two.", think=THINK) == ("One. Two.", "a\n\nb")


def test_thinking_that_the_server_kept_apart_comes_first() -> None:
    assert of("<think>b</think>No.", "a", think=THINK) == ("No.", "a\n\nb")


def test_without_marks_a_whole_answer_is_an_answer() -> None:
    assert of("No.", think=THINK) == ("No.", None)


@pytest.mark.parametrize(
    ("text", "reasoned", "cut"),
    [("<think>Is it", "", True), ("<think>Is it", "", False), ("Is it", "", True), ("", "Is it", False)],
)
def test_a_text_that_is_only_thinking_is_no_answer(text: str, reasoned: str, cut: bool) -> None:
    with pytest.raises(RequestFailed, match="thought and gave no answer"):
        of(text, reasoned, cut=cut, think=THINK)


def test_an_answer_that_is_cut_is_still_one() -> None:
    assert of("<think>a</think>The heart", cut=True, think=THINK) == ("The heart", "a")


@pytest.mark.parametrize(
    "text",
    [
        "<think>Large?</think>Clear.",
        "<THINK>Large?</THINK>Clear.",
        "Large?</think>Clear.",
        "<thinking>Large?</thinking>Clear.",
        "<thought>Large?</thought>Clear.",
        "<reasoning>Large?</reasoning>Clear.",
        "<unused94>Large?<unused95>Clear.",
        "[THINK]Large?[/THINK]Clear.",
        "◁think▷Large?◁/think▷Clear.",
        "<|begin_of_thought|>Large?<|end_of_thought|>Clear.",
        "<|channel|>analysis<|message|>Large?<|end|><|start|>assistant<|channel|>final<|message|>Clear.",
    ],
)
@pytest.mark.parametrize("think", [None, THINK, ("<musing>", "</musing>")])
def test_common_marks_need_no_name(text: str, think: tuple[str, str] | None) -> None:
    said, thought = of(text, think=think)
    assert said == "Clear."
    assert "Large?" in (thought or "")


def test_marks_of_ones_own_count_beside_the_common_ones_and_in_any_case() -> None:
    assert of("<Musing>a</MUSING><think>b</think>No.", think=("<musing>", "</musing>")) == ("No.", "a\n\nb")


def test_two_marks_that_are_the_same_begin_and_end_by_turns() -> None:
    assert of("***a***No. ***b***Yes.", think=("***", "***")) == ("No. Yes.", "a\n\nb")


def test_marks_inside_of_thinking_let_none_of_it_out() -> None:
    assert of("<think>a <think>b</think> c</think>No.") == ("No.", "a\n\nb\n\nc")


@pytest.mark.parametrize(
    "text",
    ["<think>Large?", "Clear. <think>Large?", "<unused94>thought Large?", "<think>a</think>No.<think>b"],
)
@pytest.mark.parametrize("cut", [True, False])
def test_thinking_without_an_end_is_an_error_and_no_findings(text: str, cut: bool) -> None:
    with pytest.raises(RequestFailed, match="max_new_tokens"):
        of(text, cut=cut)


def test_the_marks_that_were_found_are_named() -> None:
    assert answer_of("<THINK>a</THINK>No.", "", server(), cut=False).marks == ("<think>", "</think>")
    assert answer_of("No.", "a", server(), cut=False).marks is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So: \boxed{Clear.}", "Clear."),
        (r"\boxed{a} no, \boxed{b}", "b"),
        (r"So: \boxed{a {b} c} end", "a {b} c"),
        (r"So: \boxed{\text{Clear lungs.}}", "Clear lungs."),
        (r"So: \boxed{the rest is cut", "the rest is cut"),
        (r"\boxed{a \} b}", r"a \} b"),
    ],
)
def test_an_answer_in_a_box_is_unwrapped(text: str, answer: str) -> None:
    assert of(text, answer="boxed")[0] == answer


def test_an_answer_between_tags_is_unwrapped_and_the_rest_is_thinking() -> None:
    assert of("It is <answer>Clear.</answer>", answer="tagged") == ("Clear.", "It is")


@pytest.mark.parametrize("kind", ["boxed", "tagged"])
def test_an_answer_without_its_wrapping_is_an_error_that_names_it(kind: str) -> None:
    mark = {"boxed": r"\\boxed\{", "tagged": "<answer>"}[kind]
    with pytest.raises(RequestFailed, match=f"no {mark}.*question"):
        of("It is clear.", answer=kind)
    with pytest.raises(RequestFailed, match=f"no {mark}.*max_new_tokens"):
        of("It is cl", answer=kind, cut=True)


def test_letters_that_act_on_a_screen_never_pass() -> None:
    said, thought = of("<think>\x1b[2J</think>Cl\x00ear\u202e.", think=THINK)
    assert said == "Cl\N{REPLACEMENT CHARACTER}ear\N{REPLACEMENT CHARACTER}."
    assert thought is not None
    assert "\x1b" not in thought


def test_nothing_is_shown_before_the_thinking_ends() -> None:
    whole = "<think>Is it large?</think>No, it is not."
    shown = [answer_so_far(whole[:end], server(think=THINK)) for end in range(len(whole) + 1)]
    assert set(shown[: whole.index("</think>") + len("</think>") - 1]) == {""}
    assert shown[-1] == "No, it is not."


@pytest.mark.parametrize("begins", ["<think>", "<Thinking>", "<unused94>", "<|channel|>analysis"])
def test_nothing_of_thinking_with_a_common_mark_is_ever_shown_however_it_is_cut(begins: str) -> None:
    whole = f"{begins}Is it large?"
    assert {answer_so_far(whole[:end], server()) for end in range(len(whole) + 1)} == {""}


def test_what_only_looks_like_a_mark_is_shown_once_that_is_known() -> None:
    assert answer_so_far("A size <thin", server()) == "A size"
    assert answer_so_far("A size <thin line", server()) == "A size <thin line"
    assert of("A size <thin")[0] == "A size <thin"


def test_where_thinking_began_in_the_prompt_nothing_is_shown_before_its_end() -> None:
    assert answer_so_far("Is it large?", server(), waits=True) == ""
    assert answer_so_far("Is it large?</think>No.", server(), waits=True) == "No."


def test_nothing_is_shown_before_the_box_opens() -> None:
    assert answer_so_far("It is large. ", server(answer="boxed")) == ""
    assert answer_so_far(r"It is large. \boxed{The heart", server(answer="boxed")) == "The heart"


def test_places_on_an_unknown_square_are_no_text_and_neither_is_a_half_one_shown() -> None:
    written = "<obj>A nodule.<box><x1><y2><x3><y4></box></obj> The heart is normal, 3 < 4 > 2."
    assert of(written)[0] == "A nodule. The heart is normal, 3 < 4 > 2."
    assert answer_so_far(written[:22], server()) == "A nodule."


@given(st.text(alphabet="<>/think {}\\boxed a", max_size=60), st.booleans())
def test_whatever_a_model_writes_each_letter_is_said_or_thought(text: str, cut: bool) -> None:
    try:
        said, thought = of(text, think=THINK, cut=cut)
    except RequestFailed:
        return
    left = said + (thought or "")
    assert sorted("".join(re.sub("</?think>", "", text).split())) == sorted("".join(left.split()))


@given(st.lists(st.sampled_from(["<think>", "</THINK>", "<unused94>", "<unused95>", "bone ", "<", "\n"])).map("".join))
def test_what_was_never_an_answer_is_never_shown(text: str) -> None:
    shown = {answer_so_far(text[:end], server(think=THINK)) for end in range(len(text) + 1)}
    first = re.search("</think>|<unused95>", text, re.IGNORECASE)
    assert shown == {""} or first is not None
