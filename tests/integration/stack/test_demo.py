"""The whole system by its command: real stack, gateway, workers and engine, on a tiny bundle of random weights."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt.phantom_inputs import film
from xraygpt.stack.launch import is_alive
from xraygpt.stack.settings.home import Home, holder
from xraygpt_core.model.bundle import FILE

pytestmark = pytest.mark.timeout(600)


class Command:
    """``xraygpt`` in a data directory of its own."""

    def __init__(self, home: Path, models: Path) -> None:
        self.home = Home(home)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("XRAYGPT_")}
        settings = {"XRAYGPT_HOME": str(home), "XRAYGPT_MODELS": str(models), "XRAYGPT_SETTLE_SECONDS": "0.5"}
        self.environment = clean | settings | {"OMP_NUM_THREADS": "1"}

    def elsewhere(self, name: str) -> "Command":
        """The same command in another data directory."""
        return Command(self.home.root.parent / name, Path(self.environment["XRAYGPT_MODELS"]))

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "xraygpt", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, code: int = 0) -> Any:
        """The JSON document of a command."""
        process = self.begin(*words, "--json")
        out, err = process.communicate(timeout=500)
        assert process.returncode == code, err + self.logs()
        return json.loads(out)

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-800:]}" for path in self.home.log("x").parent.iterdir())


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    models = tmp_path_factory.mktemp("models")
    tiny = make_tiny_bundle(models, "demo", max_new_tokens=8)
    with (tiny.path / FILE).open("a") as declared:  # what declares nothing, `demo` would replace by the real bundle
        declared.write('[scope]\nmade_for = "synthetic"\nsays = "Random weights."\n')
    return Command(tmp_path_factory.mktemp("data") / "home", models)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for seed in range(2):
        (folder / f"{seed}.dcm").write_bytes(film(90_000 + seed))
    (folder / "again.dcm").write_bytes((folder / "0.dcm").read_bytes())
    (folder / "below").mkdir()
    (folder / "below" / "notes.txt").write_text("no image")
    (folder / ".hidden").write_text("hidden")
    return folder


@pytest.fixture(scope="module")
def up(command: Command) -> Iterator[Command]:
    command.run("up", "--detach")
    yield command
    command.run("down")


def test_demo_starts_the_stack_shows_every_input_and_stops_it(command: Command, films: Path) -> None:
    command = command.elsewhere("demo")
    process = command.begin("demo", str(films))
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err + command.logs()
    assert "✓ 3 summarised" in out
    assert "✗ 1 rejected" in out
    assert [line.split()[0] for line in out.splitlines()[:4]] == ["✓", "✓", "✓", "✗"]
    assert "not_dicom_or_image" in out
    assert "AI-generated draft, not a diagnosis" in out
    assert "/docs" in out
    assert "reading room" in out
    assert "Where to look next" in out
    assert holder(command.home) is None
    assert not command.home.stack_file.exists()


def test_submitting_again_makes_nothing_new(up: Command, films: Path) -> None:
    first = up.run("submit", str(films), "--wait")
    assert first["counts"] == {"summarised": 3, "rejected": 1}
    sources = [Path(row["source"]).name for row in first["studies"]]
    assert sources == ["0.dcm", "1.dcm", "again.dcm", "notes.txt"]
    assert first["studies"][0]["study_id"] == first["studies"][2]["study_id"]
    counted = "SELECT count(*), count(DISTINCT study_id), max(summarised_at) FROM study_summaries"
    before = up.run("query", counted)
    again = up.run("submit", str(films), "--wait")["studies"]
    assert again == [row | {"known": one["known"]} for row, one in zip(first["studies"], again, strict=True)]
    assert up.run("query", counted) == before


def test_a_study_is_read_back_questioned_and_found(up: Command, films: Path) -> None:
    row = up.run("submit", str(films / "0.dcm"), str(films / "1.dcm"), "--wait")["studies"][0]
    study = row["study_id"]
    assert up.run("summary", study)["summary"]["summary"] == row["summary"]
    assert up.run("summary", study[-8:])["summary"]["summary_id"] == row["summary_id"]
    assert "registered" in [step["what"] for step in up.run("timeline", study)["steps"]]
    answered = up.run("chat", study, "Is there an effusion?")
    assert (answered["state"], answered["question"]) == ("done", "Is there an effusion?")
    assert up.run("find", "--accession", "PHANTOM90000") == {"studies": [study], "rejected": {}}
    assert up.run("find", "--accession", "no such number", code=1) == {"studies": [], "rejected": {}}
    assert study not in up.run("find", "--patient", "PHANTOM90001")["studies"]
    assert up.run("resummarise", study) == {"queued": 0}, "this bundle has summarised it already"
    assert up.run("dead", "list") == {"jobs": []}


def test_a_backlog_is_followed_to_its_end_with_a_row_per_object(up: Command, films: Path) -> None:
    stack = json.loads(up.home.stack_file.read_text())
    up.run("submit", str(films), "--wait")
    done = up.run("backlog", f"s3://{stack['bucket']}/uploads/", "--wait", "--timeout", "400")
    assert set(done["counts"]) == {"summarised", "rejected"}
    assert all(row["source"].startswith(f"s3://{stack['bucket']}/uploads/") for row in done["studies"])


def test_status_knows_every_process_and_the_bundle(up: Command) -> None:
    found = up.run("status")
    assert found["running"]
    assert {one["state"] for one in found["processes"].values()} == {"running"}
    assert found["bundle"] == "demo"


def test_a_second_up_finds_the_first(up: Command) -> None:
    assert up.run("up", "--detach")["pids"] == json.loads(up.home.stack_file.read_text())["pids"]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_a_demo_that_is_interrupted_leaves_no_process(command: Command, films: Path, number: signal.Signals) -> None:
    interrupted = command.elsewhere(f"interrupted-{number}")
    home = interrupted.home
    process = interrupted.begin("demo", str(films))
    try:
        wait_for(lambda: home.stack_file.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1] + interrupted.logs()
        pids = json.loads(home.stack_file.read_text())["pids"].values()
        process.send_signal(number)
    finally:
        process.communicate(timeout=300)
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    assert holder(home) is None


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
