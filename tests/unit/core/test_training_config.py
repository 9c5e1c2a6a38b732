"""Settings of a job: defaults, file, flags, and sentences for what is wrong."""

import json
from pathlib import Path

import pytest

from training_jobs.stage_commands import read_config
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.config import Config, Phantoms


def write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_without_a_file_the_defaults_hold() -> None:
    assert read_config(None) == Config()


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = write(tmp_path / "c.json", {"steps": 5, "lr": 1, "phantoms": {"count": 9}})
    config = read_config(file, steps=7, batch=None)
    assert (config.steps, config.lr, config.batch) == (7, 1, Config().batch)
    assert config.phantoms == Phantoms(count=9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"stepz": 1}, "unknown setting 'stepz'"),
        ({"phantoms": {"sead": 1}}, "unknown setting 'phantoms.sead'"),
        ({"steps": "many"}, "steps cannot be 'many'"),
        ({"steps": True}, "steps cannot be True"),
        ({"phantoms": 3}, "must be an object"),
        ({"batch": 0}, "at least 1"),
        ({"phantoms": {"population": "test"}}, "train or held_out"),
        ({"films": 5}, "films cannot be 5"),
        ({"start": "again"}, "start is new or base"),
        ([1], "must be an object"),
        ({"workers": 65}, "workers must be at least 1 and at most 64"),
        ({"workers": 0}, "workers must be"),
        ({"batch": 4097}, "batch must be"),
        ({"steps": 10**6 + 1}, "steps must be"),
        ({"checkpoint_every": 0}, "at least 1"),
        ({"sketches": 10**7}, "sketches must be"),
        ({"phantoms": {"count": 10**7}}, "phantoms.count must be"),
        ({"phantoms": {"seed": -1}}, "phantoms.seed must be"),
        ({"lr": 1e400}, "lr must be"),
        ({"augment": 1.5}, "augment must be"),
        ({"films": "a\nb"}, "no name of a folder"),
        ({"films": ""}, "no name of a folder"),
        ({"films": "f" * 1025}, "no name of a folder"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, data: object, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_config(write(tmp_path / "c.json", data))


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(TrainingError, match="not a readable JSON file"):
        read_config(tmp_path / "c.json")


def test_a_key_forges_no_line_of_a_log(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as told:
        read_config(write(tmp_path / "c.json", {'x\n{"level": "CRITICAL"}\x1b]0;\u202e': 1}))
    assert str(told.value).isprintable()


def test_a_value_is_told_shortly(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as told:
        read_config(write(tmp_path / "c.json", {"steps": ["long" * 1000] * 1000}))
    assert len(str(told.value)) < 500


def test_a_file_that_is_nested_without_end_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("[" * 10**5)
    with pytest.raises(TrainingError, match="not a readable JSON file"):
        read_config(tmp_path / "c.json")
