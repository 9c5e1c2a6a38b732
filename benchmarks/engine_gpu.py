"""The engine on a GPU: Vicuna-7B's shape with random weights in bfloat16. Unattended, within ten minutes.

Two figures decide: the share of the additive roofline at 128 rows and more (60 % wanted, 80 % hoped for), and how long
a lone study takes beside the single-stream limit (1.5 times at most). Each figure is told as soon as it is there, the
deciding ones first; what is left after eight minutes is not begun.
"""

import time

from benchmarks.engine import run
from benchmarks.engine_work import EngineResult
from benchmarks.figures import Row, arguments, report, tell

_GPU = ("--shape", "vicuna-7b", "--dtype", "bfloat16", "--device", "cuda")
_SECONDS = 480.0
_OURS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (128, 384, ()),
    (1, 3, ()),
    (128, 384, ("--graphs",)),
    (1, 3, ("--graphs",)),
    (256, 640, ("--graphs",)),
)


def measure(rows: int, studies: int, *options: str) -> list[Row]:
    """The engine with so many rows: studies and tokens a second, latency, and the share of what the device could do."""
    name = ".".join([f"engine_gpu.rows{rows}", *(option.strip("-") for option in options)])
    result = run("engine", *_GPU, "--rows", rows, "--studies", studies, *options)
    if isinstance(result, str):
        return [Row(name, None, f"null: {result}")]
    return [tell(row) for row in _figures(name, result)]


def _figures(name: str, result: EngineResult) -> list[Row]:
    found = [
        Row(f"{name}.summaries_per_second", result.studies_per_second, "1/s"),
        Row(f"{name}.tokens_per_second", result.tokens_per_second, "1/s"),
        Row(f"{name}.p50", result.percentile(0.5), "s"),
        Row(f"{name}.p99", result.percentile(0.99), "s"),
    ]
    if result.ideal_seconds is not None:
        found.append(Row(f"{name}.share_of_limit", result.ideal_seconds / result.seconds, "additive roofline"))
    return found


def main() -> int:
    """Everything in turn."""
    asked = arguments(__doc__)
    rows: list[Row] = []
    until = time.monotonic() + _SECONDS
    for count, studies, options in _OURS:
        if time.monotonic() < until:
            rows += measure(count, studies, *options)
    if time.monotonic() < until and isinstance(
        static := run("static", *_GPU, "--rows", 128, "--studies", 128), EngineResult
    ):
        rows += _figures("generate_batched_gpu.rows128", static)
    report(rows, as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
