"""``python -m benchmarks.null_worker ingest|gpu``: our own workers, with fetch, decode, preview and model taken out.

Claims, leases, heartbeats, commits, doorbells, logs and metrics are the product's own. What is handed in through the
constructors does no work: a store that returns the same bytes each time, a normaliser and an engine that
answer at once.
"""

import json
import os
import sys
import uuid
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from workers.ingest import Ingest
from workers.process import start
from workers.settle import Settle
from workers.worker_kinds import gpu_threads
from xraygpt_core.dicom.types import Identifiers, Limits, NormalisedImage
from xraygpt_core.ledger.training.serving import note_images, start_serving
from xraygpt_core.logs import configure_logging
from xraygpt_core.model.backend import Generated
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.scope import UNDECLARED
from xraygpt_core.settings import Settings, load_settings
from xraygpt_core.states import ImageRole, JobKind

_PNG = b"\x89PNG"


class NullStore:
    """Every object is there and has the same bytes; what is stored is forgotten."""

    derived_bucket = "derived"

    def read(self, *_: Any, **__: Any) -> bytes:
        return _PNG

    def get(self, _key: str) -> bytes:
        return _PNG

    def put(self, *_: Any) -> None:
        return None


class NullNormaliser:
    """Every object is a frontal film of a study and a patient of its own."""

    def __init__(self, _limits: Limits) -> None:
        return None

    def normalise(self, _data: bytes) -> NormalisedImage:
        one = uuid.uuid4().hex
        identifiers = Identifiers(one, "benchmark", f"2.25.{int(one, 16)}", one, "benchmark", f"1.2.25.{int(one, 16)}")
        return NormalisedImage(_PNG, _PNG, 2048, 2048, one * 2, "PA", "DX", "dicom", None, (), identifiers)

    def close(self) -> None:
        return None


def nothing_seen(text: str, findings: str, seconds: float = 0.0) -> Generated:
    """An answer that no model made. ``seconds``: what it says that it took."""
    return Generated(
        text=text,
        findings=findings,
        impression="none",
        prompt="",
        template="",
        decoding={},
        seed=None,
        tokens=1,
        batch_size=1,
        waited_seconds=0.0,
        generate_seconds=seconds,
        software={},
    )


class NullEngine:
    """Answers at once."""

    def submit(self, *_: Any, **__: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        findings = "nothing was looked at"
        future.set_result(nothing_seen(f"Findings: {findings}. Impression: none.", findings))
        return future


def serve_ingest(settings: Settings, closing: ExitStack, normaliser: Any, store: Any = None) -> int:
    """What :func:`workers.worker_kinds.ingest` does, with this normaliser; without a store, with the real one."""
    process = start("ingest", settings, closing, threads=settings.ingest_concurrency + 1)
    context = replace(process.context, store=store or process.context.store)
    work = Ingest(context, load_pseudonymiser(settings), normaliser)
    process.work_on({JobKind.INGEST: work, JobKind.SETTLE: Settle(context)})
    return process.run(queues_of(JobKind.SETTLE, JobKind.INGEST), settings.ingest_concurrency, urgent_thread=True)


def serve_gpu(settings: Settings, closing: ExitStack, engine: Any, store: Any = None) -> int:
    """The GPU worker's jobs, as :func:`workers.worker_kinds.gpu` puts them together; without a store, the real one."""
    from workers.gpu import GpuJobs

    threads = gpu_threads(settings)
    process = start("gpu", settings, closing, threads=threads)
    start_serving(process.context.ledger, settings.bundle)
    context = replace(process.context, store=store or process.context.store)
    images = (ImageRole.FRONTAL,)
    note_images(process.context.ledger, settings.bundle, images)
    bundle: Any = SimpleNamespace(name=settings.bundle, sha256="0" * 64, question="", scope=UNDECLARED, images=images)
    work = GpuJobs(context, engine, bundle, process.stop)
    process.work_on({JobKind.CHAT: work.chat, JobKind.SUMMARISE: work.summarise})
    return process.run([*queues_of(JobKind.CHAT), *queues_of(JobKind.SUMMARISE)], threads, urgent_thread=True)


def main() -> int:
    """Run one null worker until SIGTERM."""
    role = sys.argv[1]
    settings = load_settings()
    configure_logging(settings.log_level, role)
    print(json.dumps({"pid": os.getpid(), "role": role}), flush=True)
    with ExitStack() as closing:
        if role == "ingest":
            return serve_ingest(settings, closing, NullNormaliser, NullStore())
        return serve_gpu(settings, closing, NullEngine(), NullStore())


if __name__ == "__main__":
    sys.exit(main())
