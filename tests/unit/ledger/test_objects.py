"""Objects, their order in time, and what a tombstone remembers of them."""

import pytest

from xraygpt_core.ledger.jobs.outcomes import printable
from xraygpt_core.ledger.studies.objects import ObjectRef, digest, later


def test_identity_is_bucket_key_and_content_and_nothing_else() -> None:
    one = ObjectRef("b", "k", "e", version_id="v1", size=1, sequencer="01")
    assert one.identity == ObjectRef("b", "k", "e").identity
    assert one.identity != ObjectRef("b", "k", "f").identity


def test_a_uri_is_the_object_as_its_sender_wrote_it() -> None:
    assert ObjectRef("b", "folder/a film.dcm", "e").uri == "s3://b/folder/a film.dcm"


@pytest.mark.parametrize(
    ("one", "other", "is_later"),
    [
        ("02", "01", True),
        ("01", "02", False),
        ("01", "01", False),
        ("0055AED6DCD90281E5", "0055AED6DCD90281E", True),
        ("A0", "A", False),
        ("A", "A0", False),
        ("B", "AFFF", True),
    ],
)
def test_sequencers_compare_as_text_filled_up_with_zeros_on_the_right(one: str, other: str, is_later: bool) -> None:
    assert later(one, other) is is_later


def test_a_tombstone_knows_an_object_again_and_does_not_show_it() -> None:
    made = digest("salt", "b", "patient-name.dcm", "e")
    assert made == digest("salt", "b", "patient-name.dcm", "e")
    assert "patient" not in made
    others = {digest("other", "b", "patient-name.dcm", "e"), digest("salt", "b", "patient-name.dcm", "f")}
    assert made not in others


def test_parts_of_a_name_cannot_be_shifted_into_one_another() -> None:
    assert digest("s", "b", "ck", "e") != digest("s", "bc", "k", "e")


def test_an_error_is_cut_to_what_the_database_keeps() -> None:
    assert printable("a\0b") == "ab"
    assert len(printable("x" * 9999)) == 2000
