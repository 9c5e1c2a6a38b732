"""The words that select signed studies: read as they are written, and a sentence for everything else."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.errors import TrainingError
from xraygpt_core.states import DOUBTS, Flag, ReviewState
from xraygpt_core.training.selection import Selection, parse_selection

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    since = draw(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
    until = draw(st.none() | st.dates(date(2100, 1, 2), date(2200, 1, 1)))
    return Selection(
        since,
        until,
        draw(st.none() | NAMES),
        draw(st.sampled_from([None, ReviewState.ACCEPTED, ReviewState.EDITED])),
        draw(st.sampled_from([None, "PA", "AP"])),
        frozenset(draw(st.lists(st.sampled_from(sorted(DOUBTS)), max_size=3))),
        draw(st.none() | st.integers(1, 10**7)),
    )


@given(selections())
def test_what_is_written_is_read_back(selection: Selection) -> None:
    assert parse_selection(str(selection)) == selection
    assert parse_selection(f"  {selection}\n") == selection


@given(
    st.text(max_size=80) | st.text(alphabet=" 0123-abdeilnstuvw", max_size=40).map("reviewed since 2026-01-01 ".__add__)
)
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    said, read = "", None
    try:
        read = parse_selection(text)
    except TrainingError as error:
        said = str(error)
    assert (read is None) == ("It is written as: reviewed since DATE" in said)
    assert read is None or parse_selection(str(read)) == read
    assert len(said) < 700


def test_every_part_in_any_order() -> None:
    text = "reviewed since 2026-01-01 limit 40 with out_of_scope edited view AP bundle demo until 2026-02-01"
    assert parse_selection(text) == Selection(
        date(2026, 1, 1), date(2026, 2, 1), "demo", ReviewState.EDITED, "AP", frozenset({Flag.OUT_OF_SCOPE}), 40
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with"),
        ("since 2026-01-01", "begins with"),
        ("reviewed since", "something is missing"),
        ("reviewed since yesterday", "a date such as"),
        ("reviewed since 2026-02-30", "a date such as"),
        ("reviewed since ２０２６-01-01", "a date such as"),
        ("reviewed since 2026-01-01 limit 0", "a number from 1"),
        ("reviewed since 2026-01-01 limit -3", "a number from 1"),
        ("reviewed since 2026-01-01 view LATERAL", "PA or AP"),
        ("reviewed since 2026-01-01 bundle ../x", "the name of a bundle"),
        ("reviewed since 2026-01-01 with synthetic", "one of"),
        ("reviewed since 2026-01-01 accepted edited", "accepted or edited twice"),
        ("reviewed since 2026-01-01 since 2026-01-02", "since twice"),
        ("reviewed since 2026-01-02 until 2026-01-02", "not after"),
        ("reviewed since 2026-01-01; DROP TABLE studies", "a date such as"),
        ("reviewed since 2026-01-01 or 1=1", "no word of it"),
        ("reviewed since 2026-01-01 " + "accepted " * 200, "longer than"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        parse_selection(text)
