"""The engine's benchmark: every way does the same work, and what it reports adds up."""

import argparse
import math
from typing import Any

import pytest
import torch

from benchmarks import engine, engine_vllm, engine_ways, engine_work
from benchmarks.engine_work import IMAGE, LONGEST, SHORTEST, EngineResult, arrivals, jobs, model, useful

TINY = {
    "vocab_size": 40_000,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "eos_token_id": None,
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine_work.SHAPES, "tiny", TINY)


def asked(*options: str, rows: int = 4, per_second: float = 0.0) -> argparse.Namespace:
    given = ["engine", "--shape", "tiny", "--rows", str(rows), "--per-second", str(per_second), *options]
    return engine_ways.parser().parse_args(given)


def result(**changed: float) -> EngineResult:
    given = {"studies": 10, "tokens": 1000, "seconds": 5.0, "core_seconds": 8.0, "peak_mib": 700.0} | changed
    return EngineResult(**given, latencies=[float(n) for n in range(1, 101)])  # type: ignore[arg-type]


def test_every_way_gets_the_same_ragged_studies() -> None:
    one, two = jobs(30, 16), jobs(30, 16)
    assert [job.after for job in one] == [job.after for job in two]
    assert all(torch.equal(a.image, b.image) for a, b in zip(one, two, strict=True))
    assert {len(job.image) for job in one} == {IMAGE}
    assert SHORTEST <= min(job.tokens for job in one) < max(job.tokens for job in one) <= LONGEST
    assert len({tuple(job.before) for job in one}) == 1


def test_studies_arrive_at_the_rate_that_was_asked_for() -> None:
    times = arrivals(2000, 4.0)
    assert times == sorted(times)
    assert math.isclose(times[-1] / 2000, 0.25, rel_tol=0.1)


def test_the_studies_of_llava_s_family_have_one_to_three_images() -> None:
    some = jobs(30, 16, 9, 3)
    assert {len(job.image) for job in some} == {9, 18, 27}
    assert all(torch.equal(a.image, b.image) for a, b in zip(some, jobs(30, 16, 9, 3), strict=True))


@pytest.mark.parametrize("most", ["1", "3"])
@pytest.mark.parametrize("way", ["engine", "static", "one_by_one"])
def test_a_way_writes_what_is_asked_for(way: str, most: str) -> None:
    options = asked("--studies", "5", "--image-tokens", "12", "--most-images", most)
    work = engine_ways.asked_for(options)
    made = engine_ways.WAYS[way](options, work)
    assert (made.studies, made.tokens) == (5, useful(work))
    assert len(made.latencies) == 5
    assert 0 < max(made.latencies) <= made.seconds + 0.5
    assert made.peak_mib > 10


def test_the_engine_counts_what_the_device_could_do_at_best() -> None:
    made = engine_ways.ours(asked(per_second=200.0), jobs(6, 16))
    assert made.ideal_seconds is not None
    assert 0 < made.ideal_seconds < made.seconds


def test_padded_prompts_say_what_they_say_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    llm, work = model("tiny", torch.float32, "cpu"), jobs(4, 16, 12, 3)
    said: list[torch.Tensor] = []
    real = llm.generate

    def generate(**given: Any) -> torch.Tensor:
        said.append(real(**given))
        return said[-1]

    monkeypatch.setattr(llm, "generate", generate)
    for some in (work, *([job] for job in work)):
        engine_ways._generate(llm, some, 8)
    assert torch.equal(said[0], torch.cat(said[1:]))


def test_weights_are_made_in_the_precision_asked_for() -> None:
    assert model("tiny", torch.bfloat16, "cpu").dtype is torch.bfloat16
    assert torch.get_default_dtype() is torch.float32


def test_a_ratio_is_the_engine_divided_by_the_other() -> None:
    row = engine._versus("engine_vs_other", result(seconds=2.0), result(seconds=5.0))
    assert (row.value, row.baseline, row.ratio) == (5.0, 2.0, 2.5)


def test_a_way_that_did_not_run_is_null_with_its_reason() -> None:
    row = engine._versus("engine_vs_vllm_cpu", result(), "vLLM is not set up")
    assert (row.value, row.baseline, row.ratio) == (None, None, None)
    assert "not set up" in row.unit


def test_percentiles_and_shares_are_reported() -> None:
    rows = {row.name: row.value for row in engine._details("e", result(ideal_seconds=2.0))}
    assert rows == {
        "e.tokens_per_second": 200.0,
        "e.core_ms_per_summary": 800.0,
        "e.p50": 51.0,
        "e.p95": 96.0,
        "e.p99": 100.0,
        "e.share_of_limit": 0.4,
    }


def test_a_failing_child_gives_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = engine.run("engine", "--rows", "none")
    assert isinstance(said, str)
    assert "invalid int value" in said


def test_without_vllm_its_row_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_vllm, "PYTHON", engine_vllm.SOURCE / "nowhere")
    assert engine_vllm.run_vllm(1, 1) == "vLLM is not set up (make test-vllm)"
