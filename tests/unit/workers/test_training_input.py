"""Where a run of the queue may read its films, and what its child may put into our log."""

import json
import logging
import sys
from pathlib import Path

import pytest

from workers.training import confined
from workers.training_child import TrainingChild
from xraygpt_core.errors import TrainingError
from xraygpt_core.logs import JsonLines


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "films").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "round").symlink_to("round")
    return root


def test_a_run_without_films_needs_no_folder() -> None:
    assert confined({"steps": 1, "films": None}, None) == {"steps": 1, "films": None}


def test_without_a_folder_no_films_are_read() -> None:
    with pytest.raises(TrainingError, match="XRAYGPT_TRAINING_DATA"):
        confined({"films": "/etc"}, None)


def test_films_below_the_folder_are_read_whether_they_are_named_wholly_or_from_it(data: Path) -> None:
    for films in ("films", str(data / "films"), ".", "out/../data/films"):
        inside = (data / films).resolve()
        assert confined({"steps": 1, "films": films}, data) == {"steps": 1, "films": str(inside)}


@pytest.mark.parametrize(
    "films", ["/etc", "..", "../secret", "out", "films/../../secret", "none", "round", "a" * 300, "\0", "\ud800"]
)
def test_films_elsewhere_are_not_read_and_not_named(data: Path, films: str) -> None:
    with pytest.raises(TrainingError) as told:
        confined({"films": films}, data)
    assert str(told.value) == "the run's films are no folder below the worker's XRAYGPT_TRAINING_DATA"


def test_what_a_child_says_is_a_value_in_a_record_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    forged = '{"time": "now", "level": "CRITICAL", "process": "gateway", "message": "forged"}'
    program = f"import os; os.write(2, {forged.encode()!r} + b'\\n\\xff\\x1b]0;\\n'); os.write(1, b'x' * 10000)"
    with caplog.at_level(logging.INFO), TrainingChild([sys.executable, "-c", program], tmp_path) as child:
        while child.wait(1) is None:
            pass
    said = [record.__dict__["said"] for record in caplog.records]
    assert said[0] == forged
    assert "".join(said).count("x") >= 10000
    assert max(map(len, said)) <= 4096
    for record in caplog.records:
        text = JsonLines("training").format(record)
        assert json.loads(text)["process"] == "training"
        assert text.isascii()
