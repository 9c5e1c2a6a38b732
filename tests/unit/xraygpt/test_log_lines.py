"""The logs of the one-machine stack: merged by time, followed, and safe to look at."""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from tests.support.hostile_strings import STRINGS
from xraygpt.commands import logs as command
from xraygpt.log_lines import LogFile, last_lines, log_files, parsed

Run = Callable[..., Result]
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def line(seconds: float, message: str, **more: Any) -> str:
    stamp = (NOON + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    fields = {"time": stamp, "level": "INFO", "process": "gpu", "logger": "workers", "message": message}
    return json.dumps(fields | more) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path))
    made = tmp_path / "logs"
    made.mkdir()
    (made / "gpu.log").write_text(line(1, "one", count=3, job_id="j") + line(4, "four"))
    (made / "gateway.log").write_text(line(2, "two"))
    text = "2026-11-02 12:00:03.000 UTC [7] LOG:  three\n\tits second line\n"
    (made / "postgres.log").write_text(text)
    return made


def messages(found: Result) -> list[str]:
    return [json.loads(one)["message"] for one in found.stdout.splitlines()]


def test_lines_of_all_processes_come_in_the_order_of_time(folder: Path, xraygpt: Run) -> None:
    found = messages(xraygpt("logs", "--json"))
    assert [word for one in found for word in one.split() if word in ("one", "two", "three", "second", "four")] == [
        "one", "two", "three", "second", "four",
    ]  # fmt: skip


def test_a_line_is_readable(folder: Path, xraygpt: Run) -> None:
    (first, *_) = xraygpt("logs", "gpu").stdout.splitlines()
    assert first.split()[2:] == ["INFO", "gpu", "one", "count=3", "job_id=j"]
    assert NOON.astimezone().strftime("%m-%d %H:%M:01") in first


def test_the_last_lines_and_those_since_a_moment(folder: Path, xraygpt: Run) -> None:
    assert messages(xraygpt("logs", "gpu", "-n", "1", "--json")) == ["four"]
    since = (NOON + timedelta(seconds=2)).isoformat()
    assert messages(xraygpt("logs", "--since", since, "--json"))[0] == "two"
    assert xraygpt("logs", "--since", "1m", "--json").stdout == ""
    assert xraygpt("logs", "--since", "yesterday").exit_code == 2


def test_a_level_leaves_out_what_is_less(folder: Path, xraygpt: Run) -> None:
    lines = [line(5, "worse", level="ERROR"), *(line(6 + n, "less") for n in range(60)), "Traceback: no JSON\n"]
    (folder / "gpu.log").write_text("".join(lines))
    with (folder / "postgres.log").open("a") as log:
        log.write("2026-11-02 12:00:03.000 UTC [7] ERROR:  of a server\n")
    (folder / "supervisor.log").write_text(
        "2026-11-02T12:00:09+00:00 starting gpu\n2026-11-02T12:00:10+00:00 gpu ended\n"
    )
    shown = messages(xraygpt("logs", "--level", "warning", "--json"))
    assert sorted(" ".join(one.split()[-2:]) for one in shown) == ["a server", "gpu ended", "no JSON", "worse"]
    assert messages(xraygpt("logs", "gpu", "--level", "error", "--json")) == ["worse"]


def test_a_rotated_log_is_read_where_the_moment_lies_in_it(folder: Path, xraygpt: Run) -> None:
    (folder / "gpu.log.1").write_text(line(-9, "long ago"))
    assert "long ago" in messages(xraygpt("logs", "gpu", "--since", "2026-11-01", "--json"))


def test_an_unknown_process_is_refused_with_the_known_ones(folder: Path, xraygpt: Run) -> None:
    said = str(xraygpt("logs", "gpus").exception)
    assert said == "no process gpus has a log here; these have: gateway, gpu, postgres"


def test_without_logs_it_says_where_it_looked(tmp_path: Path, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path / "none"))
    assert str(xraygpt("logs").exception) == f"there are no logs in {tmp_path / 'none' / 'logs'}"


def test_what_is_written_meanwhile_follows_also_in_a_new_file(folder: Path) -> None:
    (file,) = log_files(folder, "gpu")
    assert [one.fields["message"] for one in last_lines([file], None, 5)] == ["one", "four"]
    with file.path.open("a") as log:
        log.write(line(5, "five") + line(6, "six")[:-5])
    assert [one.fields["message"] for one in file.grown()] == ["five"], "a line that is being written waits"
    with file.path.open("a") as log:
        log.write(line(6, "six")[-5:])
    assert [one.fields["message"] for one in file.grown()] == ["six"]
    file.path.replace(file.path.with_name("gpu.log.1"))
    assert list(file.grown()) == []
    file.path.write_text(line(7, "seven"))
    assert [one.fields["message"] for one in file.grown()] == ["seven"]


def test_following_ends_with_ctrl_c_and_130(folder: Path, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([None])

    def pause(_: float) -> None:
        if next(turns, True):
            raise KeyboardInterrupt
        with (folder / "gpu.log").open("a") as log:
            log.write(line(9, "nine"))

    monkeypatch.setattr(command.time, "sleep", pause)
    done = xraygpt("logs", "gpu", "-f", "-n", "0", "--json")
    assert (done.exit_code, messages(done)) == (130, ["nine"])


@settings(max_examples=60)
@given(st.text() | st.sampled_from(STRINGS) | st.builds(json.dumps, st.dictionaries(st.text(), st.text())))
def test_no_line_steers_the_terminal(text: str) -> None:
    found = parsed(text, "gpu", None)
    assert found.as_text().replace("\n", "").isprintable()
    assert found.as_json().isprintable()


@pytest.mark.parametrize("stamp", ["0001-01-01", "9999-12-31T23:59:59", "soon", None, 7])
def test_an_impossible_time_is_none(stamp: object) -> None:
    assert parsed(json.dumps({"time": stamp, "message": "m"}), "gpu", None).as_text().endswith("m")


def test_the_end_of_a_huge_log_is_read_quickly(tmp_path: Path) -> None:
    path = tmp_path / "gpu.log"
    path.write_text(line(0, "x" * 200) * 60_000)  # 18 MB
    begun = time.process_time()
    assert len(LogFile("gpu", path).end(None, 50)) == 50
    assert time.process_time() - begun < 2
    assert os.stat(path).st_size > 16 << 20
