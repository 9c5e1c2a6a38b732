"""What the ledger keeps of an error."""

from workers.edge import describe
from xraygpt_core.errors import Unavailable


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_our_own_errors_keep_their_words() -> None:
    assert describe(raised(Unavailable("the bucket does not answer"))) == "Unavailable: the bucket does not answer"


def test_of_foreign_errors_only_kind_and_place_are_kept() -> None:
    said = describe(raised(ValueError("PatientName DOE^JANE is too long")))
    assert said.startswith("ValueError in raised (test_edge.py:")
    assert "DOE" not in said


def test_an_error_without_a_place_is_its_kind() -> None:
    assert describe(ValueError("DOE^JANE")) == "ValueError"
