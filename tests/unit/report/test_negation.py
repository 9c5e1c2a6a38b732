import pytest

from xraygpt_core.report.negation import Assertion, mask_pseudo, scope_end, status_of

FINDING = "effusion"


def status(sentence: str) -> Assertion:
    start = sentence.index(FINDING)
    return status_of(sentence, start, start + len(FINDING))


@pytest.mark.parametrize(
    "sentence",
    [
        "no effusion",
        "no evidence of effusion",
        "no large effusion",
        "without effusion",
        "free of effusion",
        "negative for effusion",
        "absence of effusion",
        "rather than effusion",
        "nothing to suggest effusion",
        "consolidation, effusion or pneumothorax is not seen",
        "effusion is not identified",
        "effusion has resolved",
        "effusion is ruled out",
        "effusion is unlikely",
        "effusion: none",
        "no longer any effusion",
        "interval resolution of effusion",
        "it does not show effusion",
    ],
)
def test_denials(sentence: str) -> None:
    assert status(sentence) is Assertion.DENIED


@pytest.mark.parametrize(
    "sentence",
    [
        "possible effusion",
        "may represent effusion",
        "effusion cannot be excluded",
        "cannot exclude effusion",
        "does not exclude effusion",
        "query effusion",
        "atelectasis versus effusion",
        "to exclude effusion",
        "effusion is questionable",
        "history of effusion",
    ],
)
def test_open_questions(sentence: str) -> None:
    assert status(sentence) is Assertion.OPEN


@pytest.mark.parametrize(
    "sentence",
    [
        "effusion",
        "there is effusion",
        "effusion is present and pneumothorax has resolved",
        "effusion is seen, pneumothorax is not seen",
        "no pneumothorax but effusion",
        "no pneumothorax; effusion is small",
        "no pneumothorax, small effusion",
        "no pneumothorax and the effusion persists",
        "normal except for effusion",
        "likely effusion",
    ],
)
def test_assertions(sentence: str) -> None:
    assert status(sentence) is Assertion.ASSERTED


@pytest.mark.parametrize(
    "sentence",
    [
        "no change in effusion",
        "no significant interval change in effusion",
        "not only effusion",
        "no doubt effusion",
        "partial resolution of effusion",
        "no increase or decrease in effusion",
    ],
)
def test_pseudo_negations_are_blanked_out(sentence: str) -> None:
    masked = mask_pseudo(sentence)
    assert len(masked) == len(sentence)
    assert status(masked) is Assertion.ASSERTED


def test_the_scope_of_a_list_is_the_whole_list() -> None:
    sentence = "no effusion, consolidation, or pneumothorax"
    assert scope_end(sentence, 2) == len(sentence)


def test_the_scope_ends_before_a_new_statement() -> None:
    sentence = "no effusion, a small nodule is seen"
    assert sentence[: scope_end(sentence, 2)] == "no effusion"


def test_the_scope_passes_over_adjectives() -> None:
    sentence = "no focal, lobar consolidation"
    assert scope_end(sentence, 2) == len(sentence)
