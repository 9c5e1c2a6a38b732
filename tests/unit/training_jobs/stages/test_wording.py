"""What a step asks: prompt, indication, end symbol and paraphrases, as a function of step and pair alone."""

from dataclasses import replace

import pytest

from training_jobs.stages.wording import end_symbol, with_indication, wording_of
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.prompt import QUESTIONS
from xraygpt_core.training.config import Config, parse_config
from xraygpt_core.training.pairs import Pair

PAIRS = [
    Pair(str(index), "set", f"p{index}", "train", "0" * 64, "No pneumothorax. The lungs are clear.")
    for index in range(6)
]


def test_the_bundles_question_is_asked_of_every_pair(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, Config())
    assert {one.question for step in range(3) for one in wording.exchanges(step, PAIRS)} == {tiny_base.question}


def test_one_of_fifteen_is_asked_of_a_whole_batch(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, parse_config({"text": {"prompts": "many"}}))
    asked = [{one.question for one in wording.exchanges(step, PAIRS)} for step in range(120)]
    assert all(len(questions) == 1 for questions in asked)
    assert set.union(*asked) == set(QUESTIONS)


def test_without_a_prompt_only_the_image_stands_before_the_text(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, parse_config({"preset": "repository-stage1"}))
    own = [replace(PAIRS[0], question="Where?", indication="Pain.")]
    assert {one.question for one in wording.exchanges(0, PAIRS) + wording.exchanges(0, own)} == {None}
    assert {one.question for one in wording.plain(PAIRS)} == {None}
    assert wording.stop == "\n"


def test_the_bundles_stop_ends_a_text_unless_another_is_given(tiny_base: Bundle) -> None:
    assert end_symbol(tiny_base, Config()) == "###"
    assert end_symbol(tiny_base, parse_config({"text": {"end_symbol": "</s>"}})) == "</s>"


def test_an_indication_stands_in_the_question_where_a_pair_has_one(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, parse_config({"preset": "maira-1"}))
    asked = wording.exchanges(0, [PAIRS[0], replace(PAIRS[1], indication=" Cough,\n fever.")])
    assert asked[0].question == tiny_base.question
    assert asked[1].question == "Describe the film given the following indication: Cough, fever."


@pytest.mark.parametrize("question", ["Describe it.", "Describe it", "Describe it? "])
def test_the_clause_ends_no_sentence_twice(question: str) -> None:
    assert with_indication(question, "pain") == "Describe it given the following indication: pain"


def test_a_pairs_own_question_comes_first(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, parse_config({"text": {"prompts": "many"}}))
    assert wording.exchanges(0, [replace(PAIRS[0], question="Where?")])[0].question == "Where?"


def test_a_share_of_the_texts_is_in_other_words(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, parse_config({"text": {"paraphrases": 0.5}}))
    own = replace(PAIRS[0], paraphrases=("Clear lungs without pneumothorax.",))
    answers = [wording.exchanges(step, [own])[0].answer for step in range(200)]
    assert 70 < answers.count(own.paraphrases[0]) < 130
    assert set(answers) == {own.text, own.paraphrases[0]}
    ruled = {wording.exchanges(step, PAIRS)[1].answer for step in range(40)}
    assert PAIRS[1].text in ruled
    assert len(ruled) > 3


def test_the_words_of_a_step_depend_on_no_other_pair_and_no_other_step(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, parse_config({"text": {"paraphrases": 1.0, "prompts": "many"}}))
    whole = wording.exchanges(7, PAIRS)
    assert wording.exchanges(7, PAIRS[4:]) == whole[4:]


def test_the_held_out_texts_are_asked_for_in_one_way(tiny_base: Bundle) -> None:
    wording = wording_of(tiny_base, parse_config({"text": {"paraphrases": 1.0, "prompts": "many"}}))
    assert {(one.question, one.answer) for one in wording.plain(PAIRS)} == {(tiny_base.question, PAIRS[0].text)}
