"""Where a run of the queue may read its films, and what its child may put into our log."""

import logging
import sys
from pathlib import Path

import pytest

from workers.training import confined
from workers.training_child import TrainingChild
from xraygpt_core.errors import TrainingError


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


def test_what_a_child_says_is_kept_and_no_part_of_our_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = (
        "import os; os.write(2, b'/data/CANARY^JANE.dcm\\n\\xff\\x1b]0;\\n'); os.write(1, b'x' * 10000 + b'\\nend\\n')"
    )
    with caplog.at_level(logging.INFO), TrainingChild([sys.executable, "-c", program], tmp_path) as child:
        while child.wait(1) is None:
            pass
        said = child.said()
    assert said.startswith(b"/data/CANARY^JANE.dcm\n\xff")
    assert said.endswith(b"\nend\n")
    assert said.count(b"x") == 10000
    assert caplog.records == []


def test_a_child_that_says_much_is_heard_and_its_last_words_are_kept(tmp_path: Path) -> None:
    program = "print('line\\n' * 20000 + 'last')"
    with TrainingChild([sys.executable, "-c", program], tmp_path) as child:
        while child.wait(1) is None:
            pass
        said = child.said()
    assert child.lines == 20001
    assert said.endswith(b"line\nlast\n")
    assert len(said) < 10_000
