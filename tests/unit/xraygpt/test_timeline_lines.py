"""A timeline at 80 and 120 columns: every step a line, details below each other, nothing that steers the terminal."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from xraygpt.timeline_lines import timeline_lines


def step(what: str = "settled", **more: Any) -> dict[str, Any]:
    return {"at": "2026-11-21T08:15:02.345678Z", "what": what, "who": "settle", "attempt": 1, "detail": None, **more}


def shown(steps: list[dict[str, Any]], cells: int | None = 80) -> list[str]:
    return [line.plain for line in timeline_lines(steps, cells)]


def test_a_step_is_time_what_who_and_what_else_is_known() -> None:
    steps = [step("registered", who="gateway"), step(detail={"view": "PA", "frontal": True, "flags": ["a", "b"]})]
    lines = shown(steps)
    assert lines[0].startswith("2026-11-2")
    assert [line[10:] for line in lines[1:]] == [
        "  registered  gateway",
        "  settled     settle   view PA; frontal yes; flags a, b",
    ]
    assert lines[1][2:10] == ":15:02.3"


def test_a_second_attempt_is_said_and_a_long_error_goes_on_below() -> None:
    error = "the codec crashed: " + "no more bytes " * 12
    lines = shown([step("ingest failed", attempt=2, detail={"error": error})])
    assert "attempt 2; error the codec crashed" in lines[1]
    assert len(lines) > 2
    assert lines[2].startswith(" " * 30)
    assert len(shown([step("ingest failed", attempt=2, detail={"error": error})], None)) == 2


def test_each_day_stands_above_its_steps() -> None:
    steps = [step(), step(at="2026-11-23T08:15:02Z"), step(at="2026-11-23T08:16:02+00:00", detail="words")]
    lines = shown(steps)
    assert [len(line) == 10 for line in lines] == [True, False, True, False, False]
    assert lines[-1].endswith("words")
    assert shown([]) == []


FOREIGN = st.text(st.sampled_from("ab 胸\x1b\n\u202e\ud83d\x9b"), max_size=60)
DETAILS = st.recursive(
    st.none() | st.booleans() | st.integers() | FOREIGN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FOREIGN, inner, max_size=3),
    max_leaves=6,
)
STEPS = st.lists(
    st.builds(step, FOREIGN, who=FOREIGN, attempt=st.none() | st.integers(0, 9), detail=DETAILS), max_size=5
)


@given(STEPS, st.sampled_from([80, 120]))
def test_no_line_is_wider_than_the_terminal(steps: list[dict[str, Any]], cells: int) -> None:
    lines = shown(steps, cells)
    assert all(cell_len(line) <= cells and line.isprintable() for line in lines)
    assert len(lines) >= len(steps)
    assert len(shown(steps, None)) == len(steps) + bool(steps)
