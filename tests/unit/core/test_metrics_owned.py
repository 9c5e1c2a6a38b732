"""Each process shows the metrics that it counts, and every metric is shown by somebody."""

import ast
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram, generate_latest

from xraygpt_core import metrics
from xraygpt_core.logins import PROCESSES
from xraygpt_core.metrics import _OWNED, TOKENS, registry_of, tokens_generated

ROOT = Path(__file__).parents[3]
NAMES = {id(value): name for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram)}


def counted_in(*paths: str) -> set[str]:
    """The metrics that these files import."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "xraygpt_core.metrics":
                found |= {alias.name for alias in node.names if alias.name.isupper()}
    return found


def owned(process: str) -> set[str]:
    return {NAMES[id(metric)] for metric in _OWNED[process]}


def test_every_process_and_every_metric_has_its_place() -> None:
    assert set(_OWNED) == set(PROCESSES)
    assert set().union(*map(owned, PROCESSES)) == set(NAMES.values())


def test_the_gateway_shows_what_it_counts_and_nothing_else() -> None:
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "api_gateway").glob("*.py")]
    assert owned("gateway") == counted_in(*files, "xraygpt_core/bucket_events.py")


@pytest.mark.parametrize(
    ("process", "files"),
    [
        ("ingest", ("workers/ingest.py", "workers/executor.py", "xraygpt_core/dicom/sandbox.py")),
        (
            "gpu",
            ("workers/gpu.py", "workers/executor.py", "workers/gpu_devices.py", "xraygpt_core/model/engine/loop.py"),
        ),
        ("training", ("workers/executor.py", "workers/gpu_devices.py")),
        ("control", ("workers/sweep.py", "workers/audit_sealer.py", "workers/rollups.py", "workers/task_events.py")),
        ("events", ("workers/events.py", "xraygpt_core/bucket_events.py")),
    ],
)
def test_a_worker_shows_what_its_own_files_count(process: str, files: tuple[str, ...]) -> None:
    assert counted_in(*files) <= owned(process)


def test_two_registries_show_one_counter() -> None:
    before = tokens_generated()
    TOKENS.inc(3)
    assert tokens_generated() == before + 3
    for _ in range(2):
        assert f"xraygpt_tokens_total {before + 3}" in generate_latest(registry_of("gpu")).decode()
    assert "xraygpt_tokens" not in generate_latest(registry_of("gateway")).decode()
    assert "process_cpu_seconds_total" in generate_latest(registry_of("control")).decode()
