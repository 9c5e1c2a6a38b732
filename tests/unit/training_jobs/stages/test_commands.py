"""The stages' command line: settings, presets and corpora."""

import json
from pathlib import Path

import pytest

from training_jobs.__main__ import main
from training_jobs.stage_commands import read_config
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.presets import PRESETS


def test_every_preset_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_prints_value_original_source_and_why(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", name]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name}, for {PRESETS[name].stage}: ")
    assert all(choice.key in printed and choice.source in printed for choice in PRESETS[name].choices)


def test_a_runs_own_settings_stand_beside_the_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "paper-stage1", "--set", "steps=9", "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["steps"]["value"], rows["steps"]["original"]) == (9, "320k")


def test_a_preset_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "paper-stage3"]) == 1
    assert capsys.readouterr().err.startswith("training_jobs presets: there is no preset 'paper-stage3'; there are")


def test_flags_win_over_set_and_set_over_the_file_and_all_over_the_preset(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"preset": "paper-stage1", "batch": 3, "text": {"max_tokens": 9}}))
    config = read_config(tmp_path / "c.json", ["batch=4", "text.prompts=bundle", "lr=0.5"], lr=0.25)
    assert (config.batch, config.text.max_tokens, config.text.prompts, config.lr) == (4, 9, "bundle", 0.25)
    assert config.steps == 320_000


@pytest.mark.parametrize("setting", ["steps", "=3", "text.", "steps.more=1", "nonsense=1"])
def test_a_setting_that_cannot_be_is_named(setting: str) -> None:
    with pytest.raises(TrainingError, match=r"NAME=VALUE|no object|unknown|cannot be"):
        read_config(None, ["steps=5", setting])


def test_a_corpus_is_trained_on_with_a_preset(narrow: Bundle, told: Corpus, tmp_path: Path) -> None:
    arguments = ["stage1", "--base", str(narrow.path), "--out", str(tmp_path / "out"), "--corpus", str(told.path)]
    flags = ["--preset", "paper-stage1", "--steps", "1", "--batch", "2", "--set", "text.max_tokens=8", "--no-report"]
    assert main([*arguments, *flags]) == 0
    result = json.loads((tmp_path / "out/result/result.json").read_text())
    assert (result["config"]["preset"], result["config"]["text"]["max_tokens"]) == ("paper-stage1", 8)
    assert result["sets"] == {"told": 16}
    assert str(tmp_path) not in json.dumps(result)


@pytest.mark.parametrize("content", [None, "", "{}", '{"format": 9}', '{"format": 1, "shards": [{"pairs": "../x"}]}'])
def test_a_directory_that_is_no_corpus_is_one_sentence(
    content: str | None, narrow: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "corpus.json").write_text(content)
    arguments = ["--base", str(narrow.path), "--out", str(tmp_path / "o"), "--corpus", str(tmp_path)]
    assert main(["stage1", *arguments]) == 1
    assert "corpus" in capsys.readouterr().err
