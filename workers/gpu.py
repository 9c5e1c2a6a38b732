"""The GPU worker: summaries and chat turns, each a job of its own, through the one engine that owns the device.

A thread per job waits here while the engine batches. So a batch never decides how a job ends: a finished one commits
at once, a failed one fails alone.
"""

import hashlib
import logging
from collections.abc import Callable, Collection
from concurrent.futures import wait
from dataclasses import replace
from typing import Any

from workers.context import Context
from workers.engine_failures import EngineFailures
from workers.heartbeat import JobProgress
from workers.in_flight import EngineActivity, InFlight
from xraygpt_core.errors import BundleError, Rejected, Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.chat import chat_input, complete_turn, stream_answer
from xraygpt_core.ledger.studies.refuse import refuse_image
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.metrics import (
    BATCH_OCCUPANCY,
    CONTRADICTIONS,
    IMAGES_REFUSED,
    OUT_OF_SCOPE,
    PICTURES_REFUSED,
    SUMMARIES,
    TOKENS,
)
from xraygpt_core.model.backend import Backend, Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.report.consistency import Contradiction, chat_contradictions, contradictions
from xraygpt_core.scope import is_outside
from xraygpt_core.states import Flag, JobKind

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25  # also how often the text of a chat turn is stored while it is written
_ALONE_FROM = 3  # from this attempt on a request has the device to itself: it may be what kills those beside it


class GpuJobs:
    """The summarise and chat jobs of one process, with the one bundle it has loaded.

    Args:
        stop: drains the process and ends it with an exit code.
    """

    def __init__(self, context: Context, engine: Backend, bundle: Bundle, stop: Callable[[int], None]) -> None:
        self._context = context
        self._engine = engine
        self._bundle = bundle
        self._failures = EngineFailures(stop)
        self._activity = EngineActivity()

    def summarise(self, claim: Claim, progress: JobProgress) -> None:
        """Write the summary of one study, or refuse its image."""
        given = summarise_input(self._context.ledger, claim)
        if given is None:
            return
        png = self._image(claim, given.normalised_key, given.normalised_sha256)
        # Chat goes first (rank 0), then the lanes in their order.
        request = GenerationRequest(png, only_chests=True)
        try:
            made = self._ask(request, claim.lane.rank + 1, InFlight(self._activity, progress))
        except Rejected as error:
            refuse_image(self._context.ledger, claim, given, error.reason, error.detail)
            IMAGES_REFUSED.inc()
            return
        doubts = (Flag.CHEST_UNCERTAIN,) if made.chest is not None and made.chest.uncertain else ()
        found = contradictions(made.findings, made.impression, given.view, made.text)
        summary = NewSummary(
            summary=_not_empty(made),
            findings=made.findings,
            impression=made.impression,
            bundle=self._bundle.name,
            bundle_sha256=self._bundle.sha256,
            provenance=self._provenance(made, given.normalised_sha256),
            tokens=made.tokens,
            batch_size=made.batch_size,
            flags=(*doubts, *self._scope_flags(given.flags)),
            consistency=tuple(one.document() for one in found),
        )
        complete_summary(self._context.ledger, claim, given, summary)
        SUMMARIES.inc()
        _count(JobKind.SUMMARISE, summary.flags, found)

    def chat(self, claim: Claim, progress: JobProgress) -> None:
        """Answer one question, and show the answer while it is written."""
        given = chat_input(self._context.ledger, claim)
        png = self._image(claim, given.normalised_key, given.normalised_sha256)
        in_flight = InFlight(self._activity, progress, lambda text: stream_answer(self._context.ledger, claim, text))
        # The summary is the answer to the bundle's own question; what was asked since follows.
        turns = ((self._bundle.question, given.summary), *given.turns)
        made = self._ask(GenerationRequest(png, given.question, turns), 0, in_flight)
        answer, flags = _not_empty(made), self._scope_flags(given.flags)
        found = chat_contradictions(given.question, answer, given.stands, given.view)
        complete_turn(
            self._context.ledger,
            claim,
            answer,
            self._bundle.name,
            self._bundle.sha256,
            self._provenance(made, given.normalised_sha256),
            flags,
            tuple(one.document() for one in found),
        )
        _count(JobKind.CHAT, flags, found)

    def _scope_flags(self, film_flags: Collection[str]) -> tuple[Flag, ...]:
        """The flags of any text about a film with these flags."""
        return (Flag.OUT_OF_SCOPE,) if is_outside(self._bundle.scope, film_flags) else ()

    def _provenance(self, made: Generated, image_sha256: str) -> dict[str, Any]:
        return provenance(made, image_sha256) | {"scope": self._bundle.scope.document()}

    def _image(self, claim: Claim, key: str, sha256: str) -> bytes:
        png = self._context.store.get(key)
        if hashlib.sha256(png).hexdigest() != sha256:
            PICTURES_REFUSED.inc()
            log.critical("the stored picture is not the one that was read", extra={"job_id": claim.job_id})
            raise Unavailable("the normalised image in the derived bucket is not the one ingest stored")
        return png

    def _ask(self, request: GenerationRequest, rank: int, in_flight: InFlight) -> Generated:
        """The engine's answer. Raises as :meth:`EngineFailures.result` and :meth:`InFlight.wait_on` do."""
        scheduled = replace(
            request,
            rank=rank,
            alone=in_flight.progress.claim.attempts >= _ALONE_FROM,
            on_progress=in_flight.moved,
            on_text=in_flight.write if in_flight.shows else None,
            cancelled=in_flight.is_pointless,
        )
        future = self._engine.submit(scheduled)
        try:
            while not wait([future], _POLL_SECONDS).done:
                in_flight.wait_on(self._context.draining.is_set())
        finally:
            in_flight.leave()
        made = self._failures.result(future, in_flight.progress)
        TOKENS.inc(made.tokens)
        BATCH_OCCUPANCY.observe(made.batch_size)
        return made


def provenance(made: Generated, image_sha256: str) -> dict[str, Any]:
    """What it takes to generate this text again, beside the bundle, and how long it took."""
    return {
        "image_sha256": image_sha256,
        "prompt": made.prompt,
        "template": made.template,
        "decoding": made.decoding,
        "seed": made.seed,
        "software": made.software,
        "waited_seconds": round(made.waited_seconds, 3),
        "generate_seconds": round(made.generate_seconds, 3),
    } | ({"chest_score": made.chest.score} if made.chest is not None else {})


def _count(job: JobKind, flags: Collection[Flag], found: Collection[Contradiction]) -> None:
    if Flag.OUT_OF_SCOPE in flags:
        OUT_OF_SCOPE.labels(job).inc()
    for kind in {one.kind for one in found}:
        CONTRADICTIONS.labels(kind).inc()


def _not_empty(made: Generated) -> str:
    if not made.text.strip():
        raise BundleError("the model wrote nothing about this image")
    return made.text
