"""A curation that was stopped, killed or started twice: it goes on, and pays for no answer again."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.chat_server import Reply, chat_server, report_in, said
from tests.support.curation_tools import EFFUSION, ONE, Scripted, by, rows, source_of
from tests.support.report_archives import small_collection, tar_of
from training_jobs.curation.budget import Budget, Limits
from training_jobs.curation.journal import Journal
from training_jobs.curation.prompts import read_prompts
from training_jobs.curation.rewriters import Answer
from training_jobs.curation.run import Plan, Source, Stopped, curate
from xraygpt_core.errors import TrainingError


def test_a_finished_curation_is_not_done_again(tmp_path: Path) -> None:
    model = Scripted(EFFUSION)
    first = curate(source_of(tmp_path, ONE), tmp_path / "out", by(model))
    assert curate(Source(tmp_path / "a.tgz", "open-i"), tmp_path / "out", by(model))["kept"] == first["kept"]
    assert len(model.prompts) == 1


@pytest.mark.parametrize("change", ["source", "way", "prompts"])
def test_another_curation_does_not_go_on_with_this_ones_files(tmp_path: Path, change: str) -> None:
    curate(source_of(tmp_path, ONE), tmp_path / "out", Plan("rules"))
    source, plan = Source(tmp_path / "a.tgz", "open-i"), Plan("rules")
    if change == "source":
        source = source_of(tmp_path, ONE, ONE)
    plan = {"source": plan, "way": Plan("as-is"), "prompts": Plan("rules", read_prompts())}[change]
    with pytest.raises(TrainingError, match=rf"holds another curation \({change} differ\)"):
        curate(source, tmp_path / "out", plan)


def test_two_curations_do_not_write_to_one_folder_at_once(tmp_path: Path) -> None:
    held = Journal(tmp_path / "out" / "state", {})
    with pytest.raises(TrainingError, match="another curation is at work"):
        curate(source_of(tmp_path, ONE), tmp_path / "out", Plan("rules"))
    held.close()


def test_a_stop_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    stop = threading.Event()

    class Stops(Scripted):
        def answer(self, system: str, prompt: str) -> Answer:
            if len(self.prompts) == 3:
                stop.set()
            return super().answer(system, prompt)

    source = Source(tar_of(tmp_path / "a.tgz", small_collection(10)), "open-i")
    model = Stops("No effusion is seen, and nothing else.")
    with pytest.raises(Stopped, match="start the same command again to go on"):
        curate(source, tmp_path / "out", by(model), stop)
    done = len((tmp_path / "out" / "state" / "journal.jsonl").read_text().splitlines())
    assert 0 < done < 10
    assert not (tmp_path / "out" / "kept.jsonl").exists()
    assert curate(source, tmp_path / "out", by(model))["read"] == 10
    assert max(Counter(model.prompts).values()) == 1


@given(st.data())
@settings(max_examples=8, deadline=None)
def test_state_cut_off_at_any_byte_goes_on_to_the_same_files(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Source(tar_of(folder / "a.tgz", small_collection(5)), "open-i")
        model = Scripted("No effusion is seen, and nothing else.")
        curate(source, folder / "out", by(model))
        whole = {path.name: path.read_bytes() for path in (folder / "out").iterdir() if path.is_file()}
        for state in ("journal.jsonl", "calls.jsonl"):
            file = folder / "out" / "state" / state
            cut = data.draw(st.integers(0, file.stat().st_size), label=state)
            file.write_bytes(file.read_bytes()[:cut])
        curate(source, folder / "out", by(model))
        assert {path.name: path.read_bytes() for path in (folder / "out").iterdir() if path.is_file()} == whole


PROGRAM = [sys.executable, "-m", "training_jobs", "curate"]


def command(folder: Path, url: str) -> list[str]:
    options = ["--endpoint", url, "--model", "m", "--parallel", "3", "--out", str(folder / "out")]
    return [*PROGRAM, str(folder / "a.tgz"), *options]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_curation_that_is_killed_goes_on_and_asks_nothing_twice(tmp_path: Path, number: signal.Signals) -> None:
    tar_of(tmp_path / "a.tgz", small_collection(30))
    reached = threading.Event()
    answered: Counter[str] = Counter()

    def answer(asked: dict[str, Any]) -> Reply:
        findings, impression = report_in(asked)
        answered[findings] += 1
        if len(answered) == 12:
            reached.set()
        return said(f"{findings} {impression}")

    with chat_server(answer) as server:
        with subprocess.Popen(command(tmp_path, server.url), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as job:
            assert reached.wait(60)
            job.send_signal(number)
            _, said_last = job.communicate(timeout=60)
        if number is signal.SIGTERM:
            assert job.returncode == 75
            assert b"start the same command again to go on" in said_last
        before = sum(answered.values())
        assert before < 30
        done = subprocess.run(command(tmp_path, server.url), capture_output=True, check=True, text=True)
    told = json.loads(done.stdout)
    assert (told["read"], told["kept"], told["calls"]) == (30, 30, 30)
    # What a kill takes away between an answer and the disk is asked once more: at most what was asked at once.
    twice = sum(count - 1 for count in answered.values())
    assert twice <= (3 if number is signal.SIGKILL else 0)
    assert len(rows(tmp_path / "out" / "kept.jsonl")) == 30


def test_a_cost_limit_stops_and_a_higher_one_goes_on_and_pays_only_once(tmp_path: Path) -> None:
    tar_of(tmp_path / "a.tgz", small_collection(10))
    prices = ["--price-in", "1000", "--price-out", "1000", "--max-answer-tokens", "64"]

    def answer(asked: dict[str, Any]) -> Reply:
        return said(" ".join(report_in(asked)), 700, 64)

    with chat_server(answer) as server:
        line = [*command(tmp_path, server.url), *prices]
        first = subprocess.run([*line, "--max-cost", "4"], capture_output=True, text=True, check=False)
        assert first.returncode == 75
        assert "limit of 4 is reached" in first.stderr
        paid = len(server.asked)
        assert 0 < paid < 6
        second = subprocess.run([*line, "--max-cost", "40"], capture_output=True, text=True, check=True)
        assert len(server.asked) == 10
    assert json.loads(second.stdout)["cost"] == pytest.approx(7.64)


def test_a_budget_begins_where_the_last_start_ended(tmp_path: Path) -> None:
    seen: list[Budget] = []

    def make(budget: Budget) -> Any:
        seen.append(budget)
        return Scripted(EFFUSION)

    plan = Plan("endpoint", read_prompts(), make, "scripted", Limits(), 1)
    curate(source_of(tmp_path, ONE), tmp_path / "out", plan)
    curate(Source(tmp_path / "a.tgz", "open-i"), tmp_path / "out", plan)
    assert (seen[0].tokens_in, seen[1].tokens_in, seen[1].calls) == (0, 100, 1)
