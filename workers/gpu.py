"""The GPU worker: summaries and chat turns, each a job of its own, all through the one engine that owns the device.

A thread per job waits here while the engine batches, so a batch never decides a job's fate: a finished one commits at
once, a failed one fails alone.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from dataclasses import replace
from typing import Any

from workers.context import Context
from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from xraygpt_core.errors import BundleError, InvalidRequest, Rejected, Unavailable
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.chat import ChatInput, chat_input, complete_turn, stream_answer
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
from xraygpt_core.model.backend import (
    REQUEST_ERRORS,
    Backend,
    DeviceLost,
    Generated,
    GenerationRequest,
    ServerBusy,
)
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.report.consistency import Contradiction, chat_contradictions, contradictions
from xraygpt_core.scope import is_outside
from xraygpt_core.states import Flag, JobKind

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25  # also how often the text of a chat turn is stored while it is written
_ALONE_FROM = 3  # from this attempt on a request has the device to itself: it may be what kills those beside it
_FAILURES = 10  # so many studies in a row, each for the first time: it is the device or the bundle, not the studies


class GpuJobs:
    """The summarise and chat jobs of one process, with the one bundle it has loaded.

    Args:
        stop: drains the process and ends it with an exit code.
    """

    def __init__(self, context: Context, engine: Backend, bundle: Bundle, stop: Callable[[int], None]) -> None:
        self._context = context
        self._engine = engine
        self._bundle = bundle
        self._stop = stop
        self._failures = 0
        self.moved = time.monotonic()

    def summarise(self, claim: Claim, pulse: JobProgress) -> None:
        """Write the summary of one study, or refuse its image."""
        given = summarise_input(self._context.ledger, claim)
        if given is None:
            return
        png = self._image(claim, given.normalised_key, given.normalised_sha256)
        # Chat goes first (rank 0), then the lanes in their order.
        request = GenerationRequest(png, only_chests=True)
        try:
            made = self._ask(request, claim.lane.rank + 1, InFlight(self, pulse))
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

    def chat(self, claim: Claim, pulse: JobProgress) -> None:
        """Answer one question, and show the answer while it is written."""
        given = chat_input(self._context.ledger, claim)
        png = self._image(claim, given.normalised_key, given.normalised_sha256)
        errand = InFlight(self, pulse, lambda text: stream_answer(self._context.ledger, claim, text))
        made = self._ask(GenerationRequest(png, given.question, self._conversation(given)), 0, errand)
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

    def _scope_flags(self, of_film: Collection[str]) -> tuple[Flag, ...]:
        """What is to be said of a text about such a film, whatever it says."""
        return (Flag.OUT_OF_SCOPE,) if is_outside(self._bundle.scope, of_film) else ()

    def _provenance(self, made: Generated, image_sha256: str) -> dict[str, Any]:
        return provenance(made, image_sha256) | {"scope": self._bundle.scope.document()}

    def _conversation(self, given: ChatInput) -> tuple[tuple[str, str], ...]:
        """The summary is the answer to the bundle's own question; what was asked since follows."""
        return ((self._bundle.question, given.summary), *given.turns)

    def _image(self, claim: Claim, key: str, sha256: str) -> bytes:
        png = self._context.store.get(key)
        if hashlib.sha256(png).hexdigest() != sha256:
            PICTURES_REFUSED.inc()
            log.critical("the stored picture is not the one that was read", extra={"job_id": claim.job_id})
            raise Unavailable("the normalised image in the derived bucket is not the one ingest stored")
        return png

    def _ask(self, request: GenerationRequest, rank: int, errand: "InFlight") -> Generated:
        """The engine's answer.

        Raises:
            LeaseLost: somebody else does it now.
            HandedBack: the worker is stopping and the engine had not begun, or the engine or its server is gone.
            DeviceLost: it was on the device when that broke, which counts as an attempt: it may be the cause.
        """
        scheduled = replace(
            request,
            rank=rank,
            alone=errand.pulse.claim.attempts >= _ALONE_FROM,
            on_progress=errand.moved,
            on_text=errand.write if errand.shows else None,
            cancelled=errand.is_pointless,
        )
        future = self._engine.submit(scheduled)
        try:
            while not wait([future], _POLL_SECONDS).done:
                errand.wait_on(self._context.draining.is_set())
        finally:
            errand.leave()
        made = self._result(future, errand.pulse)
        self._failures = 0
        TOKENS.inc(made.tokens)
        BATCH_OCCUPANCY.observe(made.batch_size)
        return made

    def _result(self, future: "Future[Generated]", pulse: JobProgress) -> Generated:
        """What the engine made, or whose fault it is that it made nothing."""
        try:
            return future.result()
        except CancelledError:
            pulse.check()
            raise HandedBack("the engine dropped the request") from None
        except Unavailable:
            self._stop(BROKEN)
            raise HandedBack("the engine is gone") from None
        except ServerBusy:
            raise HandedBack("the model server does not answer") from None
        except DeviceLost:
            self._stop(BROKEN)
            raise
        except (InvalidRequest, Rejected):
            raise  # whoever looks at this image
        except REQUEST_ERRORS:
            self._failed(pulse.claim)
            raise

    def _failed(self, claim: Claim) -> None:
        """A broken device or bundle fails whatever it is given: leave before it has used up everybody's attempts.

        A study that failed before says nothing new, and at the end of a backlog only such are left.
        """
        self._failures += claim.attempts == 1
        if self._failures >= _FAILURES:
            log.critical("the engine fails every request: the process exits", extra={"exit_code": BROKEN})
            self._stop(BROKEN)


class InFlight:
    """One request while it is in the engine. ``moved``, ``write`` and ``is_pointless`` are called by its thread."""

    def __init__(self, reader: GpuJobs, pulse: JobProgress, show: Callable[[str], None] | None = None) -> None:
        self.pulse = pulse
        self._reader = reader
        self._show = show
        self._text = self._shown = ""
        self._begun = self._abandoned = False
        self._seen = 0.0

    @property
    def shows(self) -> bool:
        """Does anybody read the text while it is written?"""
        return self._show is not None

    def moved(self) -> None:
        """The engine works on this request.

        Whatever moves proves that the engine lives, so those who still wait for a place in a batch are not stalled.
        """
        self._begun = True
        self._reader.moved = time.monotonic()

    def write(self, text: str) -> None:
        """The text so far."""
        self._text = text

    def is_pointless(self) -> bool:
        """Nobody waits for this any more."""
        return self._abandoned or self.pulse.lost.is_set()

    def leave(self) -> None:
        """The waiting is over, for whatever reason: a request that went on would go on for nobody."""
        self._abandoned = True

    def wait_on(self, draining: bool) -> None:
        """Called by the waiting thread now and then: show what is new, and find out whether to go on.

        Raises:
            LeaseLost, HandedBack.
        """
        if draining and not self._begun:
            raise HandedBack("the worker is stopping")
        if self.pulse.lost.is_set():
            self.pulse.check()
        if self._seen != self._reader.moved:
            self._seen = self._reader.moved
            self.pulse.progress()
        if self._show is not None and (text := self._text) != self._shown:
            with suppress(Unavailable):  # it is only shown: the next look tries again
                self._show(text)
                self._shown = text


def provenance(made: Generated, image_sha256: str) -> dict[str, Any]:
    """Everything beside the bundle that is needed to make this text again, and what it took."""
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
