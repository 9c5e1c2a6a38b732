"""A film takes one line or two, fits the terminal, and shows handle, impression and doubts, whatever its name is."""

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from xraygpt.film_lines import Film, counted, film_lines, impression_of, short_names
from xraygpt_core.states import DOUBTS, Flag, ReasonCode, StudyState

IDS = [f"01a22344-2e7d-72e2-a1b2-0123{number:03x}51dc6" for number in range(3)]
ONE = "01a22344-2e7d-72e2-a1b2-01234a751dc6"


def shown(films: list[Film], cells: int | None = 80) -> list[str]:
    return [line.plain for line in film_lines(films, cells)]


def film(**changes: object) -> Film:
    values = {"name": "nih-282.jpg", "state": "summarised", "study_id": ONE, "view": "PA", "seconds": 6.44}
    return Film(**{**values, "text": "No acute abnormality", **changes})  # type: ignore[arg-type]


def test_a_film_is_one_line() -> None:
    assert shown([film(flags=["not_verified_chest", "synthetic"])]) == [
        "✓ 51dc6  nih-282.jpg  PA  6.4 s  No acute abnormality  ⚠ not verified"
    ]


def test_a_long_impression_goes_on_in_a_second_line_and_no_further() -> None:
    text = "Right lower zone consolidation with a small pleural effusion, in keeping with pneumonia; " * 3
    first, second = shown([film(text=text, flags=["out_of_scope"])])
    assert first == "✓ 51dc6  nih-282.jpg  PA  6.4 s  Right lower zone consolidation with a small"
    assert second == "         pleural effusion, in keeping with pneumonia; Right low…  ⚠ out of scope"
    assert len(shown([film(text=text)], 120)) == 2
    assert len(shown([film(text=text)], None)) == 1


def test_films_without_a_text_say_why() -> None:
    films = [
        film(state="rejected", text=None, reason_code="not_dicom_or_image", view=None, seconds=0.2, name="notes.txt"),
        film(state="queued", text=None, seconds=None),
        film(state="dead", text=None, seconds=None),
        film(state="cancelled", text=None, study_id=None, seconds=None, view=None),
    ]
    assert shown(films) == [
        "✗ 51dc6  notes.txt        0.2 s  rejected: neither DICOM nor PNG nor JPEG",
        "         (not_dicom_or_image)",
        "… 51dc6  nih-282.jpg  PA         waits for the GPU worker",
        "‼ 51dc6  nih-282.jpg  PA         dead: see `xraygpt dead list`",
        "–        nih-282.jpg             cancelled",
    ]
    assert counted(films) == "… 1 queued · ✗ 1 rejected · ‼ 1 dead · – 1 cancelled"


def test_a_film_sent_before_is_known_already_and_took_no_seconds() -> None:
    (line,) = shown([film(seconds=58.0, known=True)])
    assert line == "✓ 51dc6  nih-282.jpg  PA  known already  No acute abnormality"


def test_handles_are_long_enough_to_be_told_apart_and_whole_for_a_program() -> None:
    lines = shown([film(study_id=one) for one in IDS])
    assert [line.split()[1] for line in lines] == ["051dc6", "151dc6", "251dc6"]
    assert [line.split()[1] for line in shown([film(study_id=one) for one in IDS], None)] == IDS


def test_a_program_reads_names_texts_and_doubts_whole() -> None:
    name, text = "a" * 200 + ".dcm", "word " * 100 + "end"
    (line,) = shown([film(name=name, text=text, flags=sorted(DOUBTS))], None)
    assert name in line
    assert text in line
    assert line.count(";") == len(DOUBTS) - 1


def test_the_folder_that_all_names_share_is_left_out() -> None:
    assert short_names(["/mnt/a/films/1.dcm", "/mnt/a/films/b/2.dcm"]) == ["1.dcm", "b/2.dcm"]
    assert short_names(["/mnt/a/films/1.dcm"]) == ["1.dcm"]
    assert short_names(["s3://in/a/1.dcm", "s3://in/ab/1.dcm"]) == ["a/1.dcm", "ab/1.dcm"]
    assert short_names(["s3://in/1.dcm", "1.dcm"]) == ["s3://in/1.dcm", "1.dcm"]
    assert short_names(["a/b", "a/b"]) == ["b", "b"]
    assert short_names([]) == []


def test_the_impression_goes_before_the_findings() -> None:
    assert impression_of("Normal.", "Findings: clear. Impression: normal.") == "Normal."
    assert impression_of(None, "\nHeart enlarged.\nNo effusion.") == "Heart enlarged."
    assert impression_of(None, " \n") is None
    assert impression_of(None, None) is None


FOREIGN = st.text(st.sampled_from("ab .-/0胸é\u0301\u200d\u202e\x1b[\x07\n\t\x9b👩🏽⚠✓\ud83d"), max_size=80)
FILMS = st.lists(
    st.builds(
        Film,
        name=FOREIGN,
        state=st.sampled_from(StudyState),
        study_id=st.none() | st.uuids().map(str),
        view=st.none() | st.sampled_from(["PA", "AP", "LATERAL"]) | FOREIGN,
        seconds=st.none() | st.floats(0, 1e6),
        known=st.booleans(),
        text=st.none() | FOREIGN,
        reason_code=st.none() | st.sampled_from(ReasonCode),
        flags=st.lists(st.sampled_from(Flag), unique=True),
    ),
    max_size=6,
)


@given(FILMS, st.sampled_from([80, 120, 200]))
def test_no_film_is_wider_than_the_terminal_or_longer_than_two_lines(films: list[Film], cells: int) -> None:
    lines = shown(films, cells)
    assert len(films) <= len(lines) <= 2 * len(films)
    assert all(cell_len(line) <= cells and line.isprintable() for line in lines)
    heads = [line for line in lines if not line.startswith("  ")]
    assert len(heads) == len(films)
    for one, head in zip(films, heads, strict=True):
        if one.study_id:
            tail = re.split(r" +", head)[1]
            assert len(tail) >= 5
            assert one.study_id.replace("-", "").endswith(tail)


@given(FILMS)
def test_doubts_are_never_pushed_out_by_a_text(films: list[Film]) -> None:
    doubted = [one for one in films if one.state == StudyState.SUMMARISED and DOUBTS & set(one.flags)]
    for one in doubted:
        assert "⚠" in "".join(shown([Film(name="x", state=one.state, text="word " * 99, flags=one.flags)]))


@given(FILMS)
def test_a_program_gets_a_line_for_each_film(films: list[Film]) -> None:
    assert len(shown(films, None)) == len(films)
