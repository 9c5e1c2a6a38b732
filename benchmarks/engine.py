"""The engine: summaries a second at ragged lengths, beside every other way to generate from image vectors.

Each way runs alone in a process of its own, on the same studies: prompts of 100 tokens, 12 of them image vectors,
answers of 60 to 150 tokens. ``--full`` adds bfloat16, 64 rows, and the prompts of LLaVA's family: 1,369 image vectors
an image, and up to three images.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine_vllm import run_vllm
from benchmarks.engine_work import LLAVA, EngineResult
from benchmarks.figures import Row, arguments, report, rows_of, say

_SOURCE = Path(__file__).parents[1]
_SECONDS = 420  # for one way; the slowest is one by one
_ROWS, _STUDIES = 16, 48
_LONG = {"rows64", "bfloat16", "vllm.bfloat16", "llava", "llava3", "vllm.llava"}
_AS_LLAVA = ("--shape", "vicuna-7b-2layers", "--image-tokens", LLAVA)
_LLAVA_ROWS = 8
_POISSON_LOAD = 0.7  # of the rate at saturation


def run(way: str, *options: object) -> EngineResult | str:
    """One way in a process of its own; its result, or why there is none."""
    say(f"{way} {' '.join(map(str, options))}")
    command = [sys.executable, "-m", "benchmarks.engine_ways", way, *map(str, options)]
    try:
        done = subprocess.run(command, cwd=_SOURCE, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"took longer than {_SECONDS} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    given: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    made = EngineResult(**given)
    each = made.core_seconds / made.studies
    say(f"  {made.studies_per_second:.3f} summaries/s, {each:.2f} core-s each, {made.peak_mib:.0f} MiB")
    return made


def saturated(*options: object, suffix: str = "") -> list[Row]:
    """All studies at once: every way of transformers, and the engine's figures beside each."""
    engine = run("engine", "--studies", _STUDIES, "--rows", _ROWS, *options)
    if isinstance(engine, str):
        return [Row(f"engine{suffix}", None, engine)]
    others = {
        "one_by_one": run("one_by_one", "--studies", 3, *options),
        "generate_batched": run("static", "--studies", _STUDIES, "--rows", _ROWS, *options),
        "transformers_cb": run("continuous", "--studies", _STUDIES // 2, "--rows", _ROWS, *options),
    }
    rows = [_versus(f"engine_vs_{name}{suffix}", engine, other) for name, other in others.items()]
    return [*rows, *_details(f"engine{suffix}", engine), *_memory(suffix, engine, others["generate_batched"])]


def vllm(dtype: str = "float32", suffix: str = "") -> list[Row]:
    """Beside vLLM's CPU build, which serves the same weights over HTTP."""
    engine = run("engine", "--studies", _STUDIES, "--rows", _ROWS, "--dtype", dtype)
    other = run_vllm(_STUDIES, _ROWS, dtype)
    if isinstance(engine, str):
        return [Row(f"engine_vs_vllm_cpu{suffix}", None, f"null: {engine}")]
    return [_versus(f"engine_vs_vllm_cpu{suffix}", engine, other)]


def _versus(name: str, engine: EngineResult, other: EngineResult | str) -> Row:
    if isinstance(other, str):
        return Row(name, None, f"null: {other}")
    return Row(name, engine.studies_per_second, "summaries/s", other.studies_per_second)


def _details(name: str, result: EngineResult) -> list[Row]:
    rows = [
        Row(f"{name}.tokens_per_second", result.tokens_per_second, "tokens/s"),
        Row(f"{name}.core_ms_per_summary", 1000 * result.core_seconds / result.studies, "ms"),
        Row(f"{name}.p50", result.percentile(0.5), "s"),
        Row(f"{name}.p95", result.percentile(0.95), "s"),
        Row(f"{name}.p99", result.percentile(0.99), "s"),
    ]
    if result.ideal_seconds is not None:
        rows.append(Row(f"{name}.share_of_limit", result.ideal_seconds / result.seconds, "measured rates"))
    return rows


def _memory(suffix: str, engine: EngineResult, other: EngineResult | str) -> Sequence[Row]:
    baseline = None if isinstance(other, str) else other.peak_mib
    return [Row(f"engine{suffix}.peak_memory", engine.peak_mib, "MiB", baseline)]


def at(rows: int) -> list[Row]:
    """The engine and static batches at another size."""
    options = ("--studies", 2 * rows, "--rows", rows)
    engine, static = run("engine", *options), run("static", *options)
    if isinstance(engine, str):
        return [Row(f"engine_rows{rows}", None, engine)]
    return [_versus(f"engine_vs_generate_batched.rows{rows}", engine, static), *_details(f"engine.rows{rows}", engine)]


def llava(images: int = 1, suffix: str = ".llava") -> list[Row]:
    """Prompts of LLaVA's family, by two of the 32 layers of a 7B model: half an hour's work with all of them."""
    options = (*_AS_LLAVA, "--most-images", images, "--studies", 2 * _LLAVA_ROWS, "--rows", _LLAVA_ROWS)
    engine, static = run("engine", *options), run("static", *options)
    if isinstance(engine, str):
        return [Row(f"engine{suffix}", None, engine)]
    return [
        _versus(f"engine_vs_generate_batched{suffix}", engine, static),
        *_details(f"engine{suffix}", engine),
        *_memory(suffix, engine, static),
    ]


def vllm_llava(images: int = 1, suffix: str = ".llava") -> list[Row]:
    """The same prompts beside vLLM's CPU build."""
    options = (*_AS_LLAVA, "--most-images", images, "--studies", 2 * _LLAVA_ROWS, "--rows", _LLAVA_ROWS)
    engine = run("engine", *options)
    other = run_vllm(2 * _LLAVA_ROWS, _LLAVA_ROWS, shape="vicuna-7b-2layers", image=LLAVA, images=images)
    if isinstance(engine, str):
        return [Row(f"engine_vs_vllm_cpu{suffix}", None, f"null: {engine}")]
    return [_versus(f"engine_vs_vllm_cpu{suffix}", engine, other)]


def int8() -> list[Row]:
    """The engine with eight bits a weight, beside itself."""
    options = ("--studies", _STUDIES, "--rows", _ROWS)
    small, plain = run("engine", *options, "--weights", "int8"), run("engine", *options)
    if isinstance(small, str):
        return [Row("engine_int8_vs_float32", None, small)]
    return [_versus("engine_int8_vs_float32", small, plain), *_memory("_int8", small, plain)]


def poisson() -> list[Row]:
    """Latency where studies come one by one, at a load that leaves room."""
    full = run("engine", "--studies", _STUDIES, "--rows", _ROWS)
    if isinstance(full, str):
        return [Row("engine.poisson", None, full)]
    rate = round(_POISSON_LOAD * full.studies_per_second, 3)
    result = run("engine", "--studies", _STUDIES, "--rows", _ROWS, "--per-second", rate)
    if isinstance(result, str):
        return [Row("engine.poisson", None, result)]
    return [Row("engine.poisson.arrivals", rate, "1/s"), *_details("engine.poisson", result)[2:5]]


def main() -> int:
    """Measure what was asked for."""
    asked = arguments(__doc__)
    parts: dict[str, Callable[[], list[Row]]] = {
        "saturated": saturated,
        "vllm": vllm,
        "poisson": poisson,
        "int8": int8,
        "llava": llava,
        "llava3": lambda: llava(3, ".llava3"),
        "vllm.llava": vllm_llava,
        "rows32": lambda: at(32),
        "rows64": lambda: at(64),
        "bfloat16": lambda: saturated("--dtype", "bfloat16", suffix=".bfloat16"),
        "vllm.bfloat16": lambda: vllm("bfloat16", ".bfloat16"),
    }
    report(rows_of(parts, asked, _LONG), as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
