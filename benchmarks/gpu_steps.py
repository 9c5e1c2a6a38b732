"""The steps of ``benchmarks.gpu_proof`` that are no tests, one per process: each prints one JSON document."""

import argparse
import json
import platform
from typing import Any

import torch

from benchmarks.engine_ways import asked_for, open_loop, ours, parser, serve
from benchmarks.engine_work import SHAPES, jobs

_GREEDY = ("engine", "--rows", "8", "--studies", "8")  # float32, where a batch writes what its rows write alone
_TOKENS = 24  # of each greedy answer


def machine() -> dict[str, Any]:
    """The first GPU, and what drives it; empty without one."""
    if not torch.cuda.is_available():
        return {}
    found = torch.cuda.get_device_properties(0)
    return {
        "gpu": found.name,
        "gibibytes": round(found.total_memory / 2**30, 1),
        "capability": [found.major, found.minor],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def greedy(devices: tuple[str, str] = ("cpu", "cuda"), shape: str = "smollm2-135m") -> dict[str, Any]:
    """The same seeded weights on both devices: how many of the greedy answers are equal, token for token.

    Raises:
        ValueError: one differs.
    """
    torch.backends.cuda.matmul.allow_tf32 = False  # it keeps ten bits of a factor
    answers = []
    for device in devices:
        asked = parser().parse_args([*_GREEDY, "--shape", shape, "--device", device])
        work = jobs(asked.studies, SHAPES[shape]["hidden_size"])
        loop, runner = open_loop(asked, work)
        try:
            answers.append(serve(loop, runner, work, [0.0] * len(work), _TOKENS)[1])
        finally:
            loop.close()
    equal = sum(one == other for one, other in zip(*answers, strict=True))
    if equal < len(answers[0]):
        raise ValueError(f"only {equal} of {len(answers[0])} greedy answers are equal on {' and '.join(devices)}")
    return {"answers": equal, "tokens_each": _TOKENS}


def speed(options: list[str], *, shape: str = "vicuna-7b", device: str = "cuda") -> dict[str, Any]:
    """The engine at its best: every study is there at once. The share is that of the additive roofline."""
    asked = parser().parse_args(["engine", "--dtype", "bfloat16", "--shape", shape, "--device", device, *options])
    made = ours(asked, asked_for(asked))
    assert made.ideal_seconds is not None
    return {
        "summaries_per_second": round(made.studies_per_second, 2),
        "tokens_per_second": round(made.tokens_per_second, 1),
        "p50_seconds": round(made.percentile(0.5), 3),
        "p99_seconds": round(made.percentile(0.99), 3),
        "share_of_roofline": round(made.ideal_seconds / made.seconds, 3),
        "peak_gpu_gibibytes": round(torch.cuda.max_memory_allocated() / 2**30, 1),
    }


def main() -> int:
    """Run one step."""
    steps = argparse.ArgumentParser(description=__doc__)
    steps.add_argument("step", choices=["machine", "greedy", "speed"])
    asked, options = steps.parse_known_args()
    found = machine() if asked.step == "machine" else greedy() if asked.step == "greedy" else speed(options)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
