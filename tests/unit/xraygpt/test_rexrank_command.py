"""``xraygpt evaluate --rexrank``: the leaderboard's three arguments reach the job."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from xraygpt.cli import app
from xraygpt.commands import training


@pytest.mark.parametrize(
    ("given", "job"),
    [
        (["--rexrank", "in.json", "out.json", "images", "--batch", "4"], ["rexrank", "in.json", "out.json", "images"]),
        (["--batch", "4"], ["evaluate"]),
    ],
)
def test_the_job_is_started_with_the_bundles_folder(
    monkeypatch: pytest.MonkeyPatch, given: list[str], job: list[str]
) -> None:
    started: list[list[str]] = []

    def run(arguments: list[str]) -> str:
        started.append(arguments)
        return "{}"

    monkeypatch.setattr(training, "run_job", run)
    monkeypatch.setattr(training, "load_bundle", lambda _, name: SimpleNamespace(path=Path("models", name)))
    assert CliRunner().invoke(app, ["evaluate", "--bundle", "mine", *given]).exit_code == 0
    assert started == [[*job, "--base", "models/mine", "--batch", "4"]]
