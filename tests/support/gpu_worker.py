"""A reader of studies at work: its engine is small and answers as a test says."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tests.support.worker_bench import Bench, claim_some
from workers.executor import run_claim
from workers.gpu import GpuJobs
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.model.backend import Generated
from xraygpt_core.scope import MadeFor, Scope
from xraygpt_core.states import ImageRole, JobKind

SCOPE = Scope(MadeFor.SYNTHETIC, "For drawn films only.")
BUNDLE = SimpleNamespace(
    name="demo", sha256="b" * 64, question="What do you see?", scope=SCOPE, images=(ImageRole.FRONTAL,)
)


def generated(text: str) -> Generated:
    return Generated(
        text=text,
        findings="Clear lungs.",
        impression="Normal.",
        prompt="###Patient: <Img>[image tokens]</Img> What do you see? ###Doctor:",
        template="xraygpt-code",
        decoding={"max_new_tokens": 96},
        seed=None,
        tokens=7,
        batch_size=3,
        waited_seconds=0.1234,
        generate_seconds=1.0,
        software={"torch": "2.13.0"},
    )


@dataclass
class SmallEngine:
    """Answers at once with ``answer(request, hooks)``: the request is both. Keeps ``ranks`` and ``requests``."""

    answer: Callable[[Any, SimpleNamespace], Generated] = lambda request, hooks: generated("Normal chest.")
    requests: list[Any] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def submit(self, request: Any) -> "Future[Generated]":
        self.requests.append(request)
        self.ranks.append(request.rank)
        future: Future[Generated] = Future()

        def work() -> None:
            try:
                future.set_result(self.answer(request, request))
            except (RuntimeError, XrayGPTError, CancelledError) as error:
                future.set_exception(error)

        thread = threading.Thread(target=work)
        self.threads.append(thread)
        thread.start()
        return future


@dataclass
class Desk:
    """A reader, its engine, and the exit codes it asked for."""

    bench: Bench
    engine: SmallEngine
    stopped: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = GpuJobs(self.bench.context, self.engine, BUNDLE, self.stopped.append)  # type: ignore[arg-type]

    def do(self, kind: JobKind) -> None:
        body = self.reader.chat if kind is JobKind.CHAT else self.reader.summarise
        claims = claim_some(self.bench.ledger, kind, limit=len(self.bench.queued(kind)))
        for claim in sorted(claims, key=lambda claim: claim.job_id):
            run_claim(self.bench.context, claim, body)
