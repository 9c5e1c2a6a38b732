"""A run on one line: what it does, how well, how long it still takes, and what it waits for."""

import json
from pathlib import Path
from typing import Any

import pytest

from xraygpt import following
from xraygpt.following import Pace, shown, words


def test_the_time_left_is_that_of_the_steps_that_were_seen() -> None:
    times = iter([0.0, 10.0, 20.0, 21.0])
    pace = Pace(lambda: next(times))
    assert pace.left(100, 200) is None
    assert pace.left(110, 200) == pytest.approx(90.0)
    assert pace.left(50, 200) is None, "it began anew from a checkpoint"
    assert pace.left(51, 200) == pytest.approx(149.0)


def run(state: str, **more: Any) -> dict[str, Any]:
    return {"state": state, "step": 1, "steps": 2, "loss": None, "samples_per_s": None, **more}


def test_a_line_says_what_there_is_to_say() -> None:
    trains = run("running", loss=1.5, held_out=1.75, swapped=2.0, samples_per_s=3.0)
    assert words(trains, 60) == "running, loss 1.5000, held out 1.7500, swapped 2.0000, 3.0 samples/s, 60 s left"
    assert words(run("queued", waits_for="device")) == "queued, waits for a device"
    assert words(run("running", paused_at="2026-01-01")) == "running, writes a checkpoint and pauses"
    assert words(run("dead", failure_says="the disk is full")) == "dead, the disk is full"
    dead = run("dead", run_id="01a227e1-b4c9-7354-9ad4-981b9acf3eb9")
    assert words(dead | {"problem": "image 1"}).endswith("see `xraygpt runs report 981b9acf3eb9 --file problems.json`")
    assert words(dead | {"failure_says": "a bad loss"}).endswith("--file log.txt`")
    assert words(dead) == "dead"
    phases = {"planned": 9, "prepared": 4, "dropped": 1, "encoded": 0}
    assert words(run("preparing", phases=phases)) == "preparing, 4 prepared, 1 dropped, 0 encoded, of 9 pairs"


def test_a_run_of_this_machine_is_shown_while_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    file = tmp_path / "progress.jsonl"
    file.write_text('{"step": 1, "steps": 9, "loss": 9.0}\n')
    with shown(file), file.open("a") as out:
        out.write(json.dumps({"step": 9, "steps": 9, "loss": 0.5}) + "\nno json\n" + '{"step": 9, "held_out": 0.75}\n')
    said = capsys.readouterr().err
    assert "9/9 running, loss 0.5000, held out 0.7500" in said
    assert "9.0000" not in said, "what was there before is another run's"
