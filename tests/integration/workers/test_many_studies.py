"""Many studies through the worker's own code and the real engine, some of them poison: each ends as it should."""

import gc
import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.worker_bench import Bench, run_one
from workers.gpu import GpuJobs
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.engine.weights import give_back
from xraygpt_core.model.fetch import fetch_demo_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind

ROWS, AT_ONCE = 16, 20
NOT_FINITE = b"poison: not finite"


@pytest.fixture
def worker_settings(s3_settings: Settings) -> Settings:
    """A study that cannot be summarised is given up at once: what is tested is not the pause."""
    return s3_settings.model_copy(update={"retry_seconds": 0.0, "max_attempts": 2, "sweep_seconds": 0.0})


def png(number: int) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 255, (4, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((224, 224)).save(buffer, "PNG")
    return buffer.getvalue()


def picture(number: int) -> bytes:
    """Three in a hundred are poison: no picture at all, one that raises, one whose numbers are not finite."""
    match number % 100:
        case 7:
            return b"poison: not a picture %d" % number
        case 40:
            return b"poison: raises %d" % number
        case 73:
            return NOT_FINITE + b" %d" % number
        case _:
            return png(number)


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


@dataclass(frozen=True)
class Memory:
    """Bytes of this process: resident, and of these what is left when the allocators have given back what is free."""

    resident: int
    in_use: int


def memory() -> Memory:
    resident = resident_bytes()
    gc.collect()
    give_back()
    return Memory(resident, resident_bytes())


class PoisonTaker:
    """The bundle's encoder, which in this test chokes on what is marked."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def preprocess(self, data: bytes) -> torch.Tensor:
        if data.startswith(b"poison: raises"):
            return torch.zeros(3, 7, 7)  # cannot be stacked with the others, nor encoded
        if data.startswith(NOT_FINITE):
            return torch.full_like(self._encoder.preprocess(png(0)), float("nan"))
        image: torch.Tensor = self._encoder.preprocess(data)
        return image


@pytest.fixture
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    if request.param == "demo":
        demo = fetch_demo_bundle(models_dir(), lambda _line: None)
        return replace(demo, decoding=replace(demo.decoding, max_new_tokens=20))
    return make_tiny_bundle(tmp_path, max_new_tokens=6)


@pytest.fixture
def engine(bundle: Bundle) -> Iterator[Engine]:
    made = Engine(bundle, device="cpu", batch_size=ROWS, dtype=torch.float32)
    made._loaded = replace(made._loaded, encoder=PoisonTaker(made._loaded.encoder))
    made._runner.vision = made._loaded
    yield made
    made.close()


@pytest.fixture
def nobody_keeps_the_log() -> Iterator[None]:
    """pytest keeps every record with its exception, and with it images and the numbers of a step."""
    log, nobody = logging.getLogger("workers.executor"), logging.NullHandler()
    log.addHandler(nobody)
    log.propagate = False
    yield
    log.propagate = True
    log.removeHandler(nobody)


def work(bench: Bench, reader: GpuJobs, ids: list[UUID]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: run_one(bench.context, JobKind.SUMMARISE, reader.summarise), ids))


@pytest.mark.usefixtures("nobody_keeps_the_log")
@pytest.mark.parametrize(
    ("studies", "bundle", "growth"),
    [
        (100, "tiny", 0.25),
        pytest.param(10_000, "demo", 0.08, marks=[pytest.mark.long, pytest.mark.timeout(4 * 3600)]),
    ],
    indirect=["bundle"],
)
def test_every_good_study_is_summarised_once_and_every_bad_one_is_dead_with_its_cause(
    bench: Bench, engine: Engine, bundle: Bundle, studies: int, growth: float
) -> None:
    stopped: list[int] = []
    reader = GpuJobs(bench.context, engine, bundle, stopped.append)
    early: Memory | None = None
    for start in range(0, studies, studies // 10):
        for number in range(start, start + studies // 10):
            bench.settled(number, png=picture(number))
        while waiting := bench.queued(JobKind.SUMMARISE):
            work(bench, reader, waiting)
        early = early or memory()
    bad = 3 * studies // 100
    assert bench.value("SELECT count(*) FROM summaries WHERE superseded_at IS NULL") == studies - bad
    assert bench.value("SELECT count(DISTINCT study_id) FROM summaries") == studies - bad
    dead = bench.rows("SELECT last_error, attempts FROM jobs WHERE kind = 'summarise' AND state = 'dead'")
    causes = sorted(row["last_error"].partition(" ")[0] for row in dead)
    assert causes == ["InvalidRequest:"] * (bad // 3) + ["RequestFailed:"] * (2 * bad // 3)
    assert sum("not finite" in row["last_error"] for row in dead) == bad // 3
    assert stopped == []
    late = memory()
    assert early is not None
    assert late.in_use < early.in_use * (1 + growth), f"memory grew after the first tenth: {early}, {late}"
