"""The command line of the jobs: exit codes, and files as the contract."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from training_jobs.__main__ import main
from xraygpt_core.model.bundle import Bundle

SMALL = {"steps": 2, "batch": 2, "align_steps": 1, "checkpoint_every": 1, "phantoms": {"count": 2}}


def config(folder: Path, **changes: object) -> str:
    file = folder / "config.json"
    file.write_text(json.dumps(SMALL | changes))
    return str(file)


def test_a_stage_leaves_progress_checkpoints_and_result(tiny_base: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = main(
        [
            "stage1",
            "--base",
            str(tiny_base.path),
            "--out",
            str(out),
            "--config",
            config(tmp_path),
            "--cache",
            str(tmp_path / "c"),
        ]
    )
    assert code == 0
    lines = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    assert [line["step"] for line in lines if "held_out" in line] == [0, 1, 2, 3]
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-000001", "step-000002"]
    assert (out / "result/projector.safetensors").is_file()


def test_latest_resumes_from_the_newest_checkpoint(tiny_base: Bundle, tmp_path: Path) -> None:
    arguments = [
        "medical-llm",
        "--base",
        str(tiny_base.path),
        "--out",
        str(tmp_path / "out"),
        "--config",
        config(tmp_path),
        "--no-report",
    ]
    assert main([*arguments, "--resume", "latest"]) == 0
    assert main([*arguments, "--resume", "latest"]) == 0
    steps = [json.loads(line)["step"] for line in (tmp_path / "out/progress.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 2]


def test_flags_override_the_file(tiny_base: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ["--steps", "1", "--batch", "1", "--seed", "3", "--no-report"]
    assert (
        main(["medical-llm", "--base", str(tiny_base.path), "--out", str(out), "--config", config(tmp_path), *flags])
        == 0
    )
    settings = json.loads((out / "result/result.json").read_text())["config"]
    assert (settings["steps"], settings["batch"], settings["seed"]) == (1, 1, 3)


@pytest.mark.parametrize("job", ["stage1", "evaluate"])
def test_a_bundle_that_is_not_there_is_one_sentence_and_exit_one(
    job: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "o")] if job == "stage1" else []
    assert main([job, "--base", str(tmp_path / "nope"), *out]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"training_jobs {job}: there is no bundle 'nope'")
    assert "Traceback" not in error


def test_wrong_usage_is_exit_two() -> None:
    with pytest.raises(SystemExit) as raised:
        main(["stage9"])
    assert raised.value.code == 2


def test_evaluate_prints_one_json_document(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--base", str(tiny_bundle.path), "--count", "2", "--batch", "2", "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["n"] == 2
    assert "3/3" in captured.err  # two phantoms and a grey plate


def test_curate_prints_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tarfile

    with tarfile.open(tmp_path / "a.tgz", "w:gz"):
        pass
    assert main(["curate", "--rules-only", str(tmp_path / "a.tgz")]) == 0
    assert json.loads(capsys.readouterr().out) == {"read": 0, "kept": 0, "dropped": {}}


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_sigterm_writes_a_checkpoint_and_exits_with_75(tiny_base: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = ["--config", config(tmp_path, checkpoint_every=100_000, steps=100_000), "--no-report"]
    if (child := os.fork()) == 0:  # a new interpreter takes seconds to import torch
        code = 99
        try:
            torch.set_num_threads(1)  # a pool of threads does not come through a fork
            code = main(["medical-llm", "--base", str(tiny_base.path), "--out", str(out), *settings])
        finally:
            os._exit(code)
    progress = out / "progress.jsonl"
    deadline = time.monotonic() + 240
    while not (progress.is_file() and progress.stat().st_size) and time.monotonic() < deadline:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.05)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 75
    (checkpoint,) = (out / "checkpoints").iterdir()
    last = json.loads(progress.read_text().splitlines()[-1])
    assert checkpoint.name == f"step-{last['step']:06d}"
    assert not (out / "result").exists()
