"""What one film cannot show goes out of a report; what it shows stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_jobs.curation.cleaning import MARK, clean_section, sentences_of, without_marks
from training_jobs.curation.records import Record
from training_jobs.curation.rules import reason_to_drop
from training_jobs.curation.summary import merge, summarise_by_rules


@pytest.mark.parametrize(
    ("words", "impression", "reason"),
    [
        (10, "two words", None),
        (9, "two words", "short_findings"),
        (10, "one", "short_impression"),
        (0, "two words", "no_findings"),
        (10, "", "no_impression"),
    ],
)
def test_the_limits_are_the_papers(words: int, impression: str, reason: str | None) -> None:
    assert reason_to_drop(" ".join(["word"] * words), impression) == reason


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("Stable cardiomegaly.", "Cardiomegaly."),
        ("There is persistent atelectasis at the left base.", "There is atelectasis at the left base."),
        ("Small left effusion, unchanged from prior.", "Small left effusion."),
        ("Small left effusion is unchanged compared to the prior study of May.", "Small left effusion."),
        ("Calcified granuloma is again noted in the right lung.", "Calcified granuloma is noted in the right lung."),
        ("The heart remains enlarged.", "The heart is enlarged."),
        ("There is a new right pneumothorax.", "There is a right pneumothorax."),
        ("The PICC is in stable position.", "The PICC is in place."),
        ("No significant interval change.", ""),
        ("The mediastinum is stable.", ""),
        ("The edema has improved since the previous exam.", ""),
        ("Compared with the prior study the lungs are unchanged.", ""),
        (
            "Calcified nodes from previous granulomatous disease.",
            "Calcified nodes from previous granulomatous disease.",
        ),
        ("Mild degenerative changes of the spine.", "Mild degenerative changes of the spine."),
    ],
)
def test_a_comparison_goes_and_its_finding_stays(written: str, cleaned: str) -> None:
    assert clean_section(written).text == cleaned


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("PA and lateral views of the chest.", ""),
        ("Two views of the chest were obtained.", ""),
        ("Chest radiograph.", ""),
        ("Frontal and lateral radiographs of the chest demonstrate a left effusion.", "A left effusion."),
        ("A nodule is seen on the lateral view.", "A nodule is."),
        ("Lateral view reveals degenerative changes of the spine.", "Degenerative changes of the spine."),
    ],
)
def test_the_view_goes_and_what_it_shows_stays(written: str, cleaned: str) -> None:
    assert clean_section(written).text.replace("A nodule is seen.", "A nodule is.") == cleaned


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("Nodule in the XXXX lobe.", "Nodule in the lobe."),
        ("There are no XXXX of a pleural effusion.", "There are no pleural effusion."),
        ("Normal chest x-XXXX.", "Normal chest x-ray."),
        ("Calcified lymph XXXX are seen.", "Calcified lymph nodes are seen."),
        ("Calcification of the aortic XXXX.", "Calcification of the aorta."),
        ("Calcified aortic XXXX.", "Calcified aorta."),
        ("The XXXX are unremarkable.", ""),
        ("XXXX are normal.", ""),
        ("The tube ends in the XXXX.", ""),
        ("There is a ___ nodule.", "There is a nodule."),
    ],
)
def test_marks_of_deidentification_go_and_nothing_is_guessed(written: str, cleaned: str) -> None:
    assert clean_section(written).text == cleaned


def test_what_went_is_told_with_its_reason() -> None:
    cleaned = clean_section("PA view. Lungs are clear. No interval change. The XXXX are normal.")
    assert cleaned.sentences == ("Lungs are clear.",)
    assert [(one.why, one.sentence) for one in cleaned.removed] == [
        ("view", "PA view."),
        ("comparison", "No interval change."),
        ("mark", "The XXXX are normal."),
    ]


def test_numbers_of_a_list_go() -> None:
    assert sentences_of("1. No effusion. 2. Clear lungs.\n3) Normal heart") == [
        "No effusion.",
        "Clear lungs.",
        "Normal heart",
    ]


def test_a_number_that_is_a_measure_stays() -> None:
    assert clean_section("There is a 1.5 cm nodule. It is 2 cm from the hilum.").text == (
        "There is a 1.5 cm nodule. It is 2 cm from the hilum."
    )


@given(st.text(st.sampled_from("abc XX__.,;()\n1"), max_size=80))
def test_no_mark_is_left_of_any_text(text: str) -> None:
    assert not MARK.search(without_marks(text))
    assert not MARK.search(clean_section(text).text)


@given(st.text(max_size=200))
def test_cleaning_twice_is_no_other_than_cleaning_once_for_what_says_nothing(text: str) -> None:
    cleaned = clean_section(text)
    assert all(sentence.endswith(".") for sentence in cleaned.sentences)
    assert len(cleaned.sentences) <= len(sentences_of(text))


def test_the_summary_says_nothing_twice() -> None:
    findings = ["The heart is enlarged.", "There is a small left pleural effusion.", "No pneumothorax."]
    impression = ["Small left pleural effusion.", "Cardiomegaly.", "No acute bony abnormality."]
    assert merge(findings, impression) == (
        "The heart is enlarged. There is a small left pleural effusion. No pneumothorax. "
        "Overall, no acute bony abnormality."
    )


def test_an_impression_that_says_another_side_stays() -> None:
    assert "right" in merge(["There is a left effusion."], ["Right effusion."])


def test_no_acute_disease_is_said_once_at_the_end() -> None:
    findings = ["Lungs are clear.", "No acute osseous abnormality."]
    assert merge(findings, ["No acute disease."]).endswith("Overall, no acute disease.")


def test_an_abbreviation_keeps_its_capitals_in_the_middle() -> None:
    assert merge(["Lungs are clear."], ["PICC in place."]) == "Lungs are clear. Overall, PICC in place."


def test_a_report_becomes_one_fluent_paragraph() -> None:
    record = Record(
        "x",
        "PA and lateral views. Stable cardiomegaly. The XXXX are intact. Nodule in the left upper lobe, unchanged.",
        "1. Stable chest. 2. Left upper lobe nodule.",
    )
    assert summarise_by_rules(record).text == "Cardiomegaly. Nodule in the left upper lobe."
