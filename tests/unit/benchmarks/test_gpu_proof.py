"""The proof on a GPU, as far as a machine without one can test it: its plan, its budgets, its steps, its document."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import engine_ways, engine_work, gpu_proof, gpu_steps
from benchmarks.gpu_proof import PLAN, PROBE_SECONDS, Step, count_tests, prove
from tests.unit.benchmarks.test_bench_engine import TINY

MACHINE = {"gpu": "a small one", "gibibytes": 24.0, "capability": [8, 0]}


def step(name: str, code: str, seconds: float = 60.0, **needs: object) -> Step:
    return Step(name, seconds, (sys.executable, "-c", code), **needs)  # type: ignore[arg-type]


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine_work.SHAPES, "tiny", TINY)


def test_the_whole_plan_fits_into_twelve_minutes() -> None:
    assert sum(one.seconds for one in PLAN) + PROBE_SECONDS <= 12 * 60


def test_every_speed_step_is_one_the_engine_can_be_asked_for() -> None:
    commands = [one.command for one in PLAN if "speed" in one.command]
    assert len(commands) == 6
    for command in commands:
        options = command[command.index("speed") + 1 :]
        assert engine_ways.parser().parse_args(["engine", *options]).studies > 0


def test_a_machine_without_a_gpu_gets_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_proof", "--output", tmp_path / "proof.json"],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", gpu_proof.NO_GPU + "\n")
    assert not (tmp_path / "proof.json").exists()


def test_a_step_that_fails_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    plan = (
        step("good", "print('loading'); print('{\"rate\": 2.5}')"),
        step("bad", "raise SystemExit('out of luck')"),
        step("silent", ""),
        step("large", "", gibibytes=80.0),
        step("new", "", capability=(9, 0)),
        step("last", "print('{}')"),
    )
    outcomes = prove(plan, MACHINE, tmp_path / "proof.json")
    document = json.loads((tmp_path / "proof.json").read_text())
    assert [one.status for one in outcomes] == ["passed", "failed", "failed", "skipped", "skipped", "passed"]
    assert document["machine"] == MACHINE
    assert document["passed"] is False
    good, bad, silent, large, new, _ = document["steps"]
    assert set(good) == {"name", "status", "budget_seconds", "seconds", "figures", "message"}
    assert (good["figures"], good["message"]) == ({"rate": 2.5}, None)
    assert bad["message"] == "out of luck"
    assert silent["message"].startswith("no figures")
    assert (large["message"], new["message"]) == ("needs 80 GiB of GPU memory", "needs compute capability 9.0")


def test_a_step_that_hangs_is_killed_with_its_children_at_the_end_of_its_budget(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "child.wait()"
    )
    hanging, after = prove((step("hanging", code, 5.0), step("after", "print('{}')")), MACHINE, tmp_path / "proof.json")
    assert (hanging.status, after.status) == ("timed out", "passed")
    assert hanging.seconds < 30
    status = Path(f"/proc/{pid.read_text()}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_run_whose_steps_all_passed_or_do_not_fit_the_gpu_has_passed(tmp_path: Path) -> None:
    prove((step("one", "print('{}')"), step("large", "", gibibytes=80.0)), MACHINE, tmp_path / "proof.json")
    assert json.loads((tmp_path / "proof.json").read_text())["passed"] is True


@pytest.mark.parametrize("summary", ["no tests ran in 0.1s", "16 skipped in 2.1s"])
def test_tests_that_did_not_run_prove_nothing(summary: str) -> None:
    with pytest.raises(ValueError, match="no test passed"):
        count_tests(summary)


def test_the_summary_of_the_tests_is_counted() -> None:
    assert count_tests("......\n3 skipped, 14 passed in 60.12s (0:01:00)") == {"skipped": 3, "passed": 14}


@pytest.mark.usefixtures("_tiny")
def test_greedy_answers_are_compared_between_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_steps.greedy(("cpu", "cpu"), "tiny") == {"answers": 8, "tokens_each": 24}
    real, seen = gpu_steps.serve, []

    def another_last_token(*given: object) -> tuple[list[float], list[str]]:
        latencies, texts = real(*given)  # type: ignore[arg-type]
        seen.append(1)
        return latencies, [*texts[:-1], texts[-1] + f" {len(seen)}"]

    monkeypatch.setattr(gpu_steps, "serve", another_last_token)
    with pytest.raises(ValueError, match="only 7 of 8 greedy answers are equal on cpu and cpu"):
        gpu_steps.greedy(("cpu", "cpu"), "tiny")


@pytest.mark.usefixtures("_tiny")
def test_speed_is_reported_with_its_share_of_the_roofline() -> None:
    found = gpu_steps.speed(["--rows", "4", "--studies", "6"], shape="tiny", device="cpu")
    assert set(found) == {
        "summaries_per_second",
        "tokens_per_second",
        "p50_seconds",
        "p99_seconds",
        "share_of_roofline",
        "peak_gpu_gibibytes",
    }
    assert 0 < found["share_of_roofline"] < 1
