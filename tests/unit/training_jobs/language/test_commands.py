"""``select`` and ``merge`` on the command line."""

import json
from pathlib import Path

import pytest

from training_jobs.__main__ import main
from training_jobs.language.tuning import save_adapter, trainable
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.config import LlmTuning


def test_select_prints_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"instruction": "a CT scan", "output": "b"}\n{"instruction": "c", "output": "d"}\n'
    )
    arguments = ["select", "--conversations", str(tmp_path / "a.jsonl"), "--keywords", "radiology"]
    assert main([*arguments, "--out", str(tmp_path / "out.json")]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["read"], counts["kept"], counts["dropped"]) == (2, 1, {"no_keyword": 1})


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    out = str(tmp_path / "nowhere" / "out.json")
    assert main(["select", "--conversations", str(tmp_path / "a.jsonl"), "--out", out]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_merge_writes_a_folder(tiny_base: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_adapter(trainable(tiny_base, LlmTuning("lora")).model, tmp_path / "adapter")
    arguments = ["merge", "--base", str(tiny_base.path), "--adapter", str(tmp_path / "adapter")]
    assert main([*arguments, "--out", str(tmp_path / "merged")]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "float32"
    assert (tmp_path / "merged" / "model.safetensors").is_file()
