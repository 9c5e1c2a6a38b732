"""Which questions a rule answers: those that no chest film answers, and none that might be about one."""

from pathlib import Path

import pytest

from xraygpt_core.report.unanswerable import rule_answer

NOT_SHOWN = {
    "Is the knee fractured?": "knee",
    "Is the left ankle broken?": "ankle",
    "Are the knees normal?": "knees",
    "Is there a fracture of the wrist?": "wrist",
    "Is there any sign of bleeding in the brain?": "brain",
    "What about the patient's hip?": "hip",
    "How is the right elbow?": "elbow",
    "Describe the left foot.": "foot",
    "Do you see a fracture in the skull?": "skull",
    "Can you see the pelvis?": "pelvis",
    "Does the knee joint look normal?": "knee",
    "Any fracture of the tibia?": "tibia",
    "assess the thigh": "thigh",
    "Are there stones in the bladder?": "bladder",
    "is his BRAIN ok": "brain",
}
NO_PRIOR = [
    "Has anything changed since the prior film?",
    "Compared to the previous x-ray, is the effusion larger?",
    "Is the opacity new compared with the last study?",
    "What has changed since the last exam?",
    "Is there any interval change?",
    "How does this compare with the earlier radiograph?",
    "Has the consolidation improved since the previous imaging?",
    "Is the nodule bigger than on the old film?",
    "Describe the interval progression.",
    "Is the heart size stable since the prior study?",
    "Is the effusion new?",
    "And compared to last week?",
    "How long has the opacity been there?",
    "What is the difference between this and the last x-ray?",
    "Is it worse?  Has it changed?",
]
FOR_THE_MODEL = [
    "Is there a pleural effusion?",
    "Is the heart enlarged?",
    "Are there rib fractures?",
    "Is the tip of the tube in the right place?",
    "Could this be pneumonia?",
    "Is the left lung clear?",
    "Is the shoulder dislocated?",
    "Is there free air under the diaphragm?",
    "Are there calcifications in the liver?",
    "Is the clavicle broken?",
    "After knee surgery, is there anything to worry about?",
    "The patient fell on the hip. Is a rib broken?",
    "Are there lung metastases of the brain tumour?",
    "Is this a knee x-ray?",
    "Could the wrist pain come from here?",
    "Is the foot of the bed visible?",
    "Is the knee or the lung abnormal?",
    "Is the scoliosis worse on the left?",
    "Compared to the left, is the right lung smaller?",
    "Is there any change in the lung?",
    "Was the previous film better?  And is there an effusion?",
    "Should this be compared with a prior film?",
    "If the previous film was normal, what has changed?",
    "Is there a prior film for comparison?",
    "Does the previous report mention a change?",
    "The last x-ray said pneumonia, has it improved?",
    "What is the impression?",
    "Is there a hip prosthesis in the field of view of the film?",
    "Is there an old rib fracture?",
    "Is there older consolidation?",
    "How old is the fracture?",
    "Is the pacemaker lead unchanged in position?",
    "Is the appendix of the report wrong?",
    "What does the calf vein catheter line show?",
    "Is the patient well enough to stand on both feet?",
    "Compare the two lungs.",
    "Is there change at the right base?",
    "Is the thumb sign present?",
    "Is finger clubbing likely?",
    "How is the gall bladder?",
    "Can you see a tooth?",
    "Are the hips or shoulders broken?",
    "Is the elbow and humerus fractured?",
    "Is the knee ok, any nodules?",
    "Is the knee ok / nodules?",
    "Is the knee ok\nany nodules",
    "Hat sich die Lunge verändert?",
    "Ist der Fuß gebrochen?",
    "Le genou est-il fracturé ?",
    "Y a-t-il un changement depuis le cliché précédent ?",
    "Is everything at the tip of his fingers?  Is the film rotated?",
]


@pytest.mark.parametrize("question", NOT_SHOWN)
def test_a_body_part_that_is_not_on_the_film_is_named(question: str) -> None:
    expected = f"This is a chest X-ray: it does not show the {NOT_SHOWN[question]}."
    assert rule_answer(question, prior_shown=False) == expected
    assert rule_answer(question, prior_shown=True) == expected


@pytest.mark.parametrize("question", NO_PRIOR)
def test_a_comparison_is_refused_only_where_no_earlier_film_was_shown(question: str) -> None:
    said = rule_answer(question, prior_shown=False)
    assert said is not None
    assert said.startswith("The model was shown no earlier film")
    assert rule_answer(question, prior_shown=True) is None


@pytest.mark.parametrize("question", FOR_THE_MODEL)
def test_whatever_may_be_about_this_film_goes_to_the_model(question: str) -> None:
    assert rule_answer(question, prior_shown=False) is None


# How many of a hundred questions a rule has to answer: the others have typing errors and rare words.
FOR_A_RULE = {"needs_an_earlier_film": 98, "not_on_a_chest_film": 98, "more_for_a_rule": 85}
FOR_THE_MODEL_ALONE = ("about_this_film", "on_a_chest_film", "more_for_the_model")
EARLIER = "The model was shown no earlier film"


def asked(name: str) -> list[str]:
    return (Path(__file__).with_name("questions") / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize("name", FOR_THE_MODEL_ALONE)
def test_no_question_about_what_a_chest_film_shows_is_refused(name: str) -> None:
    assert [question for question in asked(name) if rule_answer(question, prior_shown=False)] == []


@pytest.mark.parametrize("name", FOR_A_RULE)
def test_nearly_all_questions_that_no_film_answers_are_answered_by_a_rule(name: str) -> None:
    answered = [question for question in asked(name) if rule_answer(question, prior_shown=False)]
    assert 100 * len(answered) >= FOR_A_RULE[name] * len(asked(name))


def test_each_rule_answers_only_its_own_questions() -> None:
    for question in asked("needs_an_earlier_film"):
        assert (rule_answer(question, prior_shown=False) or EARLIER).startswith(EARLIER), question
    for question in asked("not_on_a_chest_film"):
        assert EARLIER not in (rule_answer(question, prior_shown=False) or ""), question


def test_no_comparison_is_refused_where_the_model_sees_the_earlier_film() -> None:
    assert [question for question in asked("needs_an_earlier_film") if rule_answer(question, prior_shown=True)] == []


def test_the_corpora_are_large_and_no_question_stands_in_two() -> None:
    corpora = {name: asked(name) for name in (*FOR_A_RULE, *FOR_THE_MODEL_ALONE)}
    questions = [question for corpus in corpora.values() for question in corpus]
    assert all(len(corpora[name]) >= 120 for name in corpora)
    assert len(questions) == len(set(questions))


def test_several_parts_are_named_in_one_sentence() -> None:
    said = "This is a chest X-ray: it does not show the hip or the knee."
    assert rule_answer("Is the hip ok, and is the knee ok?", prior_shown=True) == said


def test_a_question_of_both_kinds_has_both_answers_and_goes_to_the_model_if_it_can_answer_one() -> None:
    both = "Is the knee broken? Has the effusion grown?"
    said = rule_answer(both, prior_shown=False)
    assert said is not None
    assert said.startswith("This is a chest X-ray: it does not show the knee. The model was shown no earlier film")
    assert rule_answer(both, prior_shown=True) is None
    assert rule_answer("Is the knee broken? Is there an effusion?", prior_shown=False) is None


@pytest.mark.parametrize(
    "question", ["", "?", "é" * 2000, "is " * 600 + "the knee", "is there " + "a " * 900 + "knee?"]
)
def test_no_question_takes_long_or_fails(question: str) -> None:
    assert rule_answer(question, prior_shown=False) is None
