"""What becomes of one record: its turns, without names, or why it cannot be used."""

from typing import Any

import pytest

from training_jobs.language.conversations import Unusable, turns_of, without_names

STANDING = "If you are a doctor, please answer the medical questions based on the patient's description."


def human(text: object) -> dict[str, object]:
    return {"from": "human", "value": text}


def gpt(text: object) -> dict[str, object]:
    return {"from": "gpt", "value": text}


def test_chatdoctors_question_is_what_the_patient_wrote() -> None:
    record = {"instruction": STANDING, "input": " My chest hurts. ", "output": "See a doctor."}
    assert turns_of(record) == (("My chest hurts.", "See a doctor."),)


def test_another_instruction_stays_before_its_input() -> None:
    assert turns_of({"instruction": "Answer.", "input": "Why?", "output": "So."}) == (("Answer.\n\nWhy?", "So."),)
    assert turns_of({"instruction": "Why?", "output": "So."}) == (("Why?", "So."),)


def test_fastchats_turns_are_paired() -> None:
    record = {"id": "x", "conversations": [human("a"), gpt("b"), human("c"), gpt("d")]}
    assert turns_of(record) == (("a", "b"), ("c", "d"))


def test_an_answer_before_the_first_question_and_a_question_without_answer_are_left_out() -> None:
    assert turns_of({"conversations": [gpt("hello"), human("a"), gpt("b"), human("c")]}) == (("a", "b"),)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ([], "no object"),
        ({}, "neither conversations nor output"),
        ({"conversations": "a"}, "no list"),
        ({"conversations": [human("a")] * 10_001}, "no list"),
        ({"conversations": []}, "no question with an answer"),
        ({"conversations": [human("a")]}, "no question with an answer"),
        ({"conversations": [gpt("a")]}, "no question with an answer"),
        ({"conversations": [human("a"), human("b"), gpt("c")]}, "turn 2 is of the speaker"),
        ({"conversations": [human("a"), gpt("b"), gpt("c")]}, "turn 3 is of the speaker"),
        ({"conversations": [{"from": "system", "value": "a"}]}, "turn 1 is from neither"),
        ({"conversations": [{"from": ["human"], "value": "a"}]}, "turn 1 is from neither"),
        ({"conversations": ["a"]}, "turn 1 is no object"),
        ({"conversations": [human("a"), gpt(None)]}, "value of turn 2 is no text"),
        ({"conversations": [human("a"), gpt("  ")]}, "answer 1 is empty"),
        ({"conversations": [human("a"), gpt("ChatDoctor")]}, "answer 1 is empty"),
        ({"conversations": [human(""), gpt("b")]}, "question 1 is empty"),
        ({"instruction": STANDING, "input": 3, "output": "a"}, "input is no text"),
        ({"instruction": "a", "output": 1.5}, "output is no text"),
        ({"instruction": "a", "output": "\udcff"}, "broken encoding"),
        ({"instruction": "a", "output": "a\0b"}, "NUL"),
    ],
)
def test_what_cannot_be_used_says_why_and_quotes_nothing(record: Any, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        turns_of(record)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hello, Welcome to Chat Doctor. I read your query. Regards, ChatDoctor", "Hello, I read your query."),
        ("Thanks for posting your query on Chat Doctor! You have asthma.", "You have asthma."),
        ("Ask ChatDoctor.com , please.", "Ask, please."),
        ("The doctor will chat with you.", "The doctor will chat with you."),
        ("Two  spaces stay where no name stood .", "Two  spaces stay where no name stood ."),
        ("Hi,\n\nchatdoctor says no.", "Hi,\n\n says no."),
    ],
)
def test_the_name_the_data_was_signed_with_goes(text: str, left: str) -> None:
    assert without_names(text) == left
