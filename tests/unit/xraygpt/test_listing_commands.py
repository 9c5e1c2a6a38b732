"""``list``, ``open``, ``top``, ``watch`` against the small gateway: what is shown, and how each ends."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import Result

from tests.support.hostile_strings import STRINGS
from xraygpt.commands import listing, watching

Run = Callable[..., Result]
NOW = datetime.now(UTC)


def study_id(number: int) -> str:
    return f"0197c1d2-0000-7000-8000-{number:012x}"


def study(number: int, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"study_id": study_id(number), "lane": "routine", "state": "summarised", "view": "PA"}
    values |= {"reason_code": None, "flags": [], "received_at": (NOW - timedelta(minutes=number)).isoformat()}
    return values | {"review_state": "draft", "opening": f"No acute abnormality {number}."} | more


@pytest.fixture
def pages(fake_gateway: Any) -> list[dict[str, Any]]:
    """Studies that the gateway gives in pages, as it does."""
    studies: list[dict[str, Any]] = []

    def page(asked: Any) -> Any:
        query = dict(part.split("=") for part in asked.path.partition("?")[2].split("&"))
        begin, count = int(query.get("cursor", 0)), int(query["limit"])
        end = begin + count
        return {"studies": studies[begin:end], "next": str(end) if end < len(studies) else None}

    fake_gateway.answers["GET /v1/studies"] = page
    return studies


def test_the_list_goes_on_over_pages_up_to_its_limit(pages: list[Any], fake_gateway: Any, xraygpt: Run) -> None:
    pages += map(study, range(1, 451))
    found = json.loads(xraygpt("list", "--limit", "420", "--json").stdout)
    assert [one["study_id"] for one in found["studies"]] == [study_id(number) for number in range(1, 421)]
    assert found["more"] is True
    assert "not a diagnosis" in found["notice"]
    assert len(fake_gateway.asked) == 3


def test_the_list_ends_where_studies_arrived_earlier(pages: list[Any], fake_gateway: Any, xraygpt: Run) -> None:
    pages += map(study, range(1, 300))
    since = (NOW - timedelta(minutes=9.5)).isoformat()
    found = json.loads(xraygpt("list", "--since", since, "--limit", "50", "--json").stdout)
    assert [one["study_id"] for one in found["studies"]] == [study_id(number) for number in range(1, 10)]
    assert (found["more"], len(fake_gateway.asked)) == (False, 1)


def test_the_filters_are_the_gateways(pages: list[Any], fake_gateway: Any, xraygpt: Run) -> None:
    xraygpt("list", "--list", "awaiting", "--lane", "stat", "--state", "summarised", "--state", "dead")
    assert "list=awaiting&lane=stat&state=summarised&state=dead" in fake_gateway.asked[0].path


def test_a_filter_that_lets_nothing_through_ends_the_search(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/studies"] = {"studies": [], "next": "on"}
    done = xraygpt("list", "--state", "dead")
    assert done.stderr == "no study is like that, among those that were looked at\n"
    assert len(fake_gateway.asked) == 50
    assert json.loads(xraygpt("list", "--state", "dead", "--json").stdout)["more"] is True


def test_a_draft_that_a_person_rejected_is_no_film_that_was_turned_away(pages: list[Any], xraygpt: Run) -> None:
    pages += [study(1, review_state="rejected"), study(2, review_state="accepted")]
    pages.append(study(3, state="rejected", reason_code="blank", review_state=None, opening=None))
    lines = xraygpt("list").stdout.splitlines()
    assert [line[46:62].strip() for line in lines[:4]] == ["state", "draft rejected", "accepted", "rejected"]


def test_an_empty_list_says_so(pages: list[Any], xraygpt: Run) -> None:
    assert xraygpt("list").stderr == "there is no study\n"
    assert xraygpt("list", "--lane", "stat").stderr == "no study is like that\n"
    assert xraygpt("list", "--since", "soon").exit_code == 2


def test_at_80_columns_a_study_is_a_line_with_a_handle(
    pages: list[Any], xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_on_terminal", lambda: True)
    monkeypatch.setattr(listing, "since_then", lambda then: (NOW - then).total_seconds())
    monkeypatch.setenv("COLUMNS", "80")
    pages += [
        study(number, opening=text, flags=["consistency"]) for number, text in enumerate(STRINGS[::12][:19], start=1)
    ]
    pages.append(study(20, state="rejected", reason_code="blank", review_state=None, opening=None, view=None))
    lines = xraygpt("list").stdout.splitlines()
    assert len(lines) == len(pages) + 2, "heads, a line each, and the notice"
    assert all(cell_len(line) <= 80 and line.isprintable() for line in lines)
    assert lines[1].startswith("00001  routine  draft ")
    assert "⚠" in lines[1]
    assert lines[20].split() == ["00014", "routine", "rejected", "20", "min", "ago", "blank"]


def test_a_piped_list_has_whole_ids_and_whole_openings(pages: list[Any], xraygpt: Run) -> None:
    pages.append(study(1, opening="No acute abnormality. " * 10))
    shown = xraygpt("list").stdout
    assert study_id(1) in shown
    assert ("No acute abnormality. " * 10).strip() in shown


def test_open_prints_the_address_where_there_is_no_browser(
    fake_gateway: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    url = f"{fake_gateway.url}/#/study/{study_id(1)}"
    assert xraygpt("open", study_id(1)).stdout == f"{url}\n"
    monkeypatch.setattr(listing, "_on_terminal", lambda: True)
    assert xraygpt("open", study_id(1)).stdout == f"{url}\n"
    assert json.loads(xraygpt("open", study_id(1), "--json").stdout) == {"url": url, "opened": False}


def test_open_opens_a_browser_for_a_person(fake_gateway: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(listing, "_on_terminal", lambda: True)
    monkeypatch.setattr(listing.webbrowser, "open", lambda url: opened.append(url) or True)
    done = xraygpt("open", study_id(1))
    assert opened == [f"{fake_gateway.url}/#/study/{study_id(1)}"]
    assert (done.stdout, done.stderr) == ("", f"opened {opened[0]}\n")


@pytest.mark.parametrize("words", ["nonsense", "12", "<script>"])
def test_what_is_no_id_is_refused_in_a_sentence(fake_gateway: Any, xraygpt: Run, words: str) -> None:
    done = xraygpt("open", words)
    assert done.exit_code == 1
    assert repr(words) in str(done.exception)
    assert fake_gateway.asked == []


def counted(kind: str, lane: str, state: str, jobs: int, oldest: float) -> dict[str, Any]:
    return {"kind": kind, "lane": lane, "state": state, "jobs": jobs, "oldest_seconds": oldest}


STATUS = {
    "jobs": [
        counted("ingest", "stat", "queued", 2, 12.0),
        counted("ingest", "stat", "running", 1, 3.0),
        counted("summarise", "backlog", "queued", 1_000_000, 7200.0),
        counted("summarise", "backlog", "dead", 4, 9000.0),
    ],
    "workers": [
        {"worker": "gpu@a\x1b[2J", "kind": "summarise", "jobs": 16, "oldest_seconds": 4.0, "lease_seconds": 56.0},
        {"worker": "x" * 60, "kind": "ingest", "jobs": 1, "oldest_seconds": 400.0, "lease_seconds": -2.0},
    ],
    "served": {"name": "demo"},
    "summarised_last_minute": 34,
}


def test_top_looks_once_where_it_is_piped(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/status"] = STATUS
    shown = xraygpt("top").stdout
    assert all(len(line) <= 80 and line.isprintable() for line in shown.splitlines())
    assert shown.startswith("34 texts/min · 1000002 waiting · 1 running · 4 dead · oldest waits 2 h 00 min\n")
    assert "ingest     stat             2        1      0  12 s" in shown
    assert "over: it is lost" in shown
    totals = json.loads(xraygpt("top", "--json").stdout)["totals"]
    assert totals == {
        "queued": 1_000_002, "running": 1, "dead": 4, "oldest_seconds": 7200.0, "summarised_last_minute": 34,
    }  # fmt: skip


def test_top_says_that_nothing_is_to_do(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/status"] = STATUS | {"jobs": [], "workers": []}
    assert "nothing is queued\n\nno worker holds a job" in xraygpt("top").stdout


def test_q_leaves_top_and_the_terminal_is_as_before(fake_gateway: Any) -> None:
    fake_gateway.answers["GET /v1/status"] = STATUS
    ours, theirs = pty.openpty()
    settings = {"XRAYGPT_GATEWAY_URL": fake_gateway.url, "XRAYGPT_API_KEY": "k", "TERM": "xterm", "COLUMNS": "80"}
    before = subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True, check=True).stdout
    command = [sys.executable, "-m", "xraygpt", "top"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | settings) as process:
        shown = b""
        while b"q leaves" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"q")
        while b"\x1b[?1049l" not in shown:  # the alternate screen is left
            shown += os.read(ours, 4096)
        assert process.wait(60) == 0
    after = subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True, check=True).stdout
    os.close(ours)
    os.close(theirs)
    assert before == after
    assert b"34 texts/min" in shown


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_POLL_SECONDS", 0.001)


def watched_study(fake_gateway: Any, *states: str) -> None:
    """A study that is in each state for one look."""
    left = list(states)

    def look(_: Any) -> Any:
        if len(left) > 1:
            left.pop(0)
        return {"images": [{"image_id": "i", "state": left[0]}]}

    fake_gateway.answers |= {
        f"GET /v1/studies/{study_id(1)}": lambda _: {
            "study_id": study_id(1), "state": left[0], "reason_code": None, "images": [{"image_id": "i"}],
        },
        "POST /v1/images/status": look,
    }  # fmt: skip


@pytest.mark.parametrize(("last", "code"), [("summarised", 0), ("rejected", 0), ("dead", 3), ("cancelled", 3)])
def test_a_study_is_watched_to_its_end(fake_gateway: Any, xraygpt: Run, last: str, code: int) -> None:
    watched_study(fake_gateway, "queued", "queued", "running", "running", "running", last)
    done = xraygpt("watch", study_id(1), "--json")
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (code, last)
    reads = [asked for asked in fake_gateway.asked if asked.path == f"/v1/studies/{study_id(1)}"]
    assert len(reads) <= 4, "the audit keeps each of them"


def test_the_watched_study_says_what_it_waits_for(
    fake_gateway: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching.show.ProgressLine, "LINE_SECONDS", 0.0)
    watched_study(fake_gateway, "queued", "queued", "queued", "summarised")
    answer = fake_gateway.answers["POST /v1/images/status"]
    job = {"kind": "summarise", "state": "queued", "attempts": 0, "since_seconds": 3.0, "later_seconds": None}
    waits = {**job, "blocked": "no_worker", "ahead": 4}

    def look(asked: Any) -> Any:
        (one,) = answer(asked)["images"]
        return {"images": [one | {"waits": waits if one["state"] == "queued" else None}] * 2}

    fake_gateway.answers["POST /v1/images/status"] = look
    done = xraygpt("watch", study_id(1))
    assert "queued · 1 waits for the GPU worker (since 3 s, 4 before it), and no GPU worker is running" in done.stderr
    assert done.stderr.splitlines()[-1] == "summarised"


def test_watching_ends_with_3_when_the_time_is_up(fake_gateway: Any, xraygpt: Run) -> None:
    watched_study(fake_gateway, "queued")
    assert xraygpt("watch", study_id(1), "--timeout", "0").exit_code == 3


def test_ctrl_c_says_that_the_work_goes_on(fake_gateway: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    watched_study(fake_gateway, "queued")
    monkeypatch.setattr(watching.time, "sleep", interrupted)
    done = xraygpt("watch", study_id(1))
    assert (done.exit_code, done.stdout) == (130, "")
    assert f"the work goes on: xraygpt watch {study_id(1)}" in done.stderr


@pytest.mark.parametrize(
    ("more", "code"), [({}, 0), ({"dead": 1}, 3), ({"cancelled": 1}, 3), ({"state": "cancelled"}, 3)]
)
def test_a_backlog_is_watched_to_its_end(fake_gateway: Any, xraygpt: Run, more: dict[str, Any], code: int) -> None:
    counts = dict.fromkeys(("listed", "registered", "summarised", "rejected", "dead", "cancelled", "open"), 0)
    backlog = counts | {"backlog_id": study_id(7), "listed": 2, "registered": 2, "summarised": 2}
    looks = iter([backlog | {"state": "listing", "open": 2}] * 2)
    fake_gateway.answers[f"GET /v1/backlogs/{study_id(7)}"] = lambda _: next(looks, backlog | {"state": "done"} | more)
    assert xraygpt("watch", study_id(7), "--json").exit_code == code


def test_watching_says_so_where_no_work_is_open(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/status"] = STATUS | {"jobs": []}
    done = xraygpt("watch")
    assert done.exit_code == 0
    assert done.stderr.splitlines()[-1] == "no work is open: `xraygpt list` shows what there is"


def test_all_open_work_is_watched_and_only_what_dies_meanwhile_counts(fake_gateway: Any, xraygpt: Run) -> None:
    for dead, code in ((4, 0), (5, 3)):
        ended = STATUS | {"jobs": [counted("ingest", "stat", "dead", dead, 1.0)]}
        looks = iter([STATUS, STATUS])
        fake_gateway.answers["GET /v1/status"] = lambda _, looks=looks, ended=ended: next(looks, ended)
        done = xraygpt("watch", "--json")
        assert (done.exit_code, json.loads(done.stdout)["newly_dead"]) == (code, dead - 4)
