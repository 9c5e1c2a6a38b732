"""GREEN: what its model is asked, and what its answers score."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.evaluation.judges.green import ERRORS, TEMPLATE, Green
from training_jobs.evaluation.judges.judging import Unreadable
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.model.prompt import render

ANSWER = """[Explanation]:
    Some words.

    [Clinically Significant Errors]:
    (a) False report of a finding in the candidate: 2. Edema; nodule
    (c) Misidentification of a finding's anatomic location/position: 1. Left, not right

    [Clinically Insignificant Errors]:
    (b) Missing a finding present in the reference: 4. A; b; c; d

    [Matched Findings]:
    3. Effusion; heart; no pneumothorax
"""
EMPTY = "[Clinically Significant Errors]:\nNo errors.\n\n[Matched Findings]:\n{}"


def test_the_score_is_the_share_of_matches_among_matches_and_significant_errors() -> None:
    found = Green().verdict([ANSWER])
    assert found["green"] == 0.5
    assert found["significant"] == dict(zip(ERRORS, (2, 0, 1, 0, 0, 0), strict=True))


def test_kinds_of_error_may_be_numbered() -> None:
    assert Green().verdict([ANSWER.replace("(a)", "(1)").replace("(c)", "(3)")])["green"] == 0.5


@pytest.mark.parametrize(("matched", "score"), [("No matched findings.", 0), ("2. A; b", 1)])
def test_a_section_may_say_that_there_are_none(matched: str, score: float) -> None:
    assert Green().verdict([EMPTY.format(matched)])["green"] == score


@pytest.mark.parametrize("answer", ["", "The texts agree.", ANSWER.partition("[Matched")[0], EMPTY.format("several")])
def test_an_answer_without_its_sections_is_a_failure_and_no_score(answer: str) -> None:
    with pytest.raises(Unreadable):
        Green().verdict([answer])


@settings(max_examples=25)
@given(st.text())
def test_any_answer_is_read_or_refused(answer: str) -> None:
    for text in (answer, EMPTY.format(answer)):
        with suppress(Unreadable):
            assert 0 <= Green().verdict([text])["green"] <= 1


def test_braces_in_a_report_stay_as_they_are() -> None:
    ((_, prompt),) = Green().questions(TextPair("1", "cand {reference}", "ref {candidate} {x}"))
    assert "ref {candidate} {x}" in prompt
    assert "cand {reference}" in prompt
    assert prompt.index("ref {") < prompt.index("cand {")


def test_the_prompt_stands_in_the_models_own_layout() -> None:
    prompt = render(TEMPLATE, "Judge this.\n")
    assert prompt.before + prompt.after == "<|user|>\nJudge this.\n</s>\n<|assistant|>\n"


def test_the_sum_counts_errors_by_kind() -> None:
    scores = Green().summed([Green().verdict([ANSWER]), Green().verdict([EMPTY.format("1. A")])])
    assert scores["green"]["value"] == 0.75
    assert scores["significant_errors"]["false finding"] == 1
