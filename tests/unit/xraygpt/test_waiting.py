"""The line of a wait: how many ended, what the others wait for and why, how long still."""

import io
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from xraygpt import waiting
from xraygpt.submit import ResultRow
from xraygpt.waiting import MOST_AHEAD, Pace, WaitLine, wait_line
from xraygpt_core.ledger.operations import waits
from xraygpt_core.states import JobKind, StudyState

WAITS: dict[str, Any] = {
    "kind": "summarise",
    "state": "queued",
    "attempts": 0,
    "since_seconds": 3.0,
    "later_seconds": None,
    "blocked": None,
    "ahead": None,
}


def row(state: str, name: str = "a.dcm", /, **waits: Any) -> ResultRow:
    return ResultRow(f"/films/{name}", "routine", state=state, waits={**WAITS, **waits} if waits else None)


def test_the_line_says_how_many_ended_why_others_wait_and_how_long_still() -> None:
    rows = [row("summarised") for _ in range(12)]
    rows += [row("ingesting", kind="ingest", state="running") for _ in range(3)]
    rows += [row("queued", since_seconds=14.2) for _ in range(8)]
    assert wait_line(rows, 40.4, 120) == (
        "12 of 23 done · 3 being read · 8 wait for the GPU worker (since 14 s) · about 40 s left"
    )


@pytest.mark.parametrize(
    ("waits", "reason"),
    [
        ({"kind": "ingest"}, "1 waits for an ingest worker (since 3 s)"),
        ({"kind": "settle", "later_seconds": 4.6}, "1 waits for the rest of the study (5 s)"),
        ({"kind": "settle", "later_seconds": 4.6, "attempts": 1}, "1 failed and is tried again in 5 s"),
        ({"kind": "settle"}, "1 waits to be put together (since 3 s)"),
        ({"state": "running"}, "1 being written about"),
        ({"attempts": 2, "later_seconds": 12.0}, "1 failed and is tried again in 12 s"),
        ({"since_seconds": 16.0}, "1 waits for the GPU worker (since 16 s)"),
        ({"ahead": 0}, "1 waits for the GPU worker (since 3 s)"),
        ({"ahead": 120}, "1 waits for the GPU worker (since 3 s, 120 before it)"),
        ({"ahead": 1000}, "1 waits for the GPU worker (since 3 s, 1000 or more before it)"),
        ({"blocked": "paused"}, "1 paused with its backlog"),
        (
            {"blocked": "no_worker"},
            "1 waits for the GPU worker (since 3 s), and no GPU worker is running: see `xraygpt status`",
        ),
        (
            {"blocked": "no_worker", "kind": "ingest", "ahead": 2},
            "1 waits for an ingest worker (since 3 s, 2 before it), and no ingest worker is running: "
            "see `xraygpt status`",
        ),
        ({"blocked": "starting"}, "1 waits for the GPU worker (since 3 s), and the GPU worker is starting"),
        (
            {"blocked": "other_bundle"},
            "1 waits for the GPU worker (since 3 s), and no GPU worker that runs serves the current bundle: "
            "its log says why",
        ),
    ],
)
def test_each_reason_is_in_words(waits: dict[str, Any], reason: str) -> None:
    assert wait_line([row("queued", **waits)]) == f"0 of 1 done · {reason}"


def test_the_queue_is_that_before_the_first_of_ours() -> None:
    rows = [row("queued", ahead=None), row("queued", ahead=7), row("queued", blocked="paused", ahead=None)]
    assert (
        wait_line(rows)
        == "0 of 3 done · 2 wait for the GPU worker (since 3 s, 7 before them) · 1 paused with its backlog"
    )


def test_an_image_that_nothing_is_known_of_is_on_the_way() -> None:
    assert wait_line([row("received")]) == "0 of 1 done · 1 on the way"


def test_the_command_knows_each_word_of_the_gateway() -> None:
    assert set(waiting._BLOCKED) | {"paused"} == set(waits.Blocked)
    assert waits.MOST_AHEAD == MOST_AHEAD


def test_films_that_take_long_are_named() -> None:
    rows = [row("running", f"{n}.dcm", state="running", since_seconds=19.0 + n) for n in range(5)]
    assert wait_line(rows).endswith(" · longest: 4.dcm 23 s, 3.dcm 22 s")
    assert "2.dcm" not in wait_line(rows)


def after(*looks: list[ResultRow]) -> list[float | None]:
    """The time left at each look; they are ten seconds apart."""
    times = iter(range(0, 1000, 10))
    pace = Pace(lambda: next(times))
    return [pace.left(rows) for rows in looks]


def of(summarised: int, rejected: int = 0, still: int = 0, **waits: Any) -> list[ResultRow]:
    ended = [row("summarised")] * summarised + [row("rejected")] * rejected
    return ended + [row("queued", **{"kind": "summarise", **waits})] * still


def test_the_time_left_is_that_of_what_ended_since_the_first_look() -> None:
    left = after(of(5, still=5), of(5, still=5), of(7, still=3))
    assert left == [None, None, pytest.approx(30.0)], "what was known before is no speed"


def test_what_was_turned_away_is_no_speed() -> None:
    assert after(of(0, still=9), of(0, 5, still=4), of(1, 5, still=3)) == [None, None, pytest.approx(60.0)]


@pytest.mark.parametrize("blocked", [*waits.Blocked])
def test_there_is_no_time_left_while_nothing_can_move(blocked: str) -> None:
    standing = of(2, still=6, blocked=blocked)
    moves = of(2, still=5) + of(0, still=1, blocked=blocked)
    looks = [of(0, still=8), moves, standing, standing, of(2, still=6), of(4, still=4)]
    assert after(*looks) == [None, pytest.approx(30.0), None, None, None, pytest.approx(20.0)]


JOBS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([JobKind.INGEST, JobKind.SETTLE, JobKind.SUMMARISE]),
        "state": st.sampled_from(["queued", "running"]),
        "since_seconds": st.floats(0, 1e6),
        "later_seconds": st.none() | st.floats(0, 1e4),
        "blocked": st.sampled_from([None, *waits.Blocked]),
        "ahead": st.none() | st.integers(0, 1000),
    }
)
NAMES = st.text(st.sampled_from("a/胸\x1b\n\u202e\ud83d"), max_size=30)
ROWS = st.lists(
    st.builds(lambda state, name, job: row(state, name, **job), st.sampled_from(StudyState), NAMES, JOBS | st.just({})),
    max_size=8,
)


@given(ROWS, st.none() | st.floats(0, 1e7), st.sampled_from([40, 80, 120]))
def test_the_line_fits_and_steers_no_terminal(rows: list[ResultRow], left: float | None, cells: int) -> None:
    line = wait_line(rows, left, cells)
    assert cell_len(line) <= cells
    assert line.isprintable()
    done = sum(one.ended for one in rows)
    assert line.startswith(f"{done} of {len(rows)} done")


def test_without_a_terminal_a_line_comes_now_and_then_and_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    with WaitLine() as line:
        line.update([row("queued", ahead=0)])
        now[0] = waiting.LINE_SECONDS
        line.update([row("queued", ahead=0)])
        line.update([row("queued", ahead=0)])
        line.update([row("summarised")])
    assert capsys.readouterr().err.splitlines() == [
        "0 of 1 done · 1 waits for the GPU worker (since 3 s)",
        "1 of 1 done",
    ]


def test_on_a_terminal_one_line_changes_and_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with WaitLine() as line:
        line.update([row("queued", ahead=0), row("queued", "b.dcm", ahead=0)])
        line.update([row("summarised"), row("queued", "b.dcm", ahead=0)])
    written = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "0 of 2 done" in written
    assert "1 of 2 done" in written
    assert written.count("\n") <= 2
    assert written.rstrip().endswith("\x1b[2K"), "the line is erased"
