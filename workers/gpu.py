"""The GPU worker: summaries and chat turns, each a job of its own, through the one engine that owns the device.

A thread per job waits here while the engine batches. So a batch never decides how a job ends: a finished one commits
at once, a failed one fails alone.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import wait
from dataclasses import replace
from typing import Any

from workers.context import Context
from workers.engine_failures import EngineFailures
from workers.heartbeat import JobProgress
from workers.in_flight import EngineActivity, InFlight
from xraygpt_core.clinical_sealing import ClinicalOpener
from xraygpt_core.clinical_text import UNKNOWN, Clinical
from xraygpt_core.errors import BundleError, Rejected, Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.chat import ChatInput, chat_input, complete_turn, stream_answer
from xraygpt_core.ledger.studies.further_films import Film
from xraygpt_core.ledger.studies.refuse import refuse_image
from xraygpt_core.ledger.studies.request_words import newest_words
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.studies.summarise import SummariseInput, complete_summary, summarise_input
from xraygpt_core.metrics import (
    BATCH_OCCUPANCY,
    CONTRADICTIONS,
    IMAGES_REFUSED,
    OUT_OF_SCOPE,
    PICTURES_REFUSED,
    SUMMARIES,
    TOKENS,
    WORDS_UNOPENED,
)
from xraygpt_core.model.backend import Backend, Generated, GenerationRequest
from xraygpt_core.model.grounding import without_places
from xraygpt_core.model.server.bundle import AnyBundle
from xraygpt_core.report.consistency import Contradiction, chat_contradictions, contradictions
from xraygpt_core.scope import is_outside
from xraygpt_core.states import Flag, ImageRole, JobKind

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25  # also how often the text of a chat turn is stored while it is written
_ALONE_FROM = 3  # from this attempt on a request has the device to itself: it may be what kills those beside it


class GpuJobs:
    """The summarise and chat jobs of one process, with the one bundle it has loaded.

    Args:
        stop: drains the process and ends it with an exit code.
        clinical: opens the hospital's words, where the installation uses them and the bundle reads them.
    """

    def __init__(
        self,
        context: Context,
        engine: Backend,
        bundle: AnyBundle,
        stop: Callable[[int], None],
        clinical: ClinicalOpener | None = None,
    ) -> None:
        self._context = context
        self._clinical = clinical
        self._engine = engine
        self._bundle = bundle
        self._failures = EngineFailures(stop)
        self._activity = EngineActivity()

    def summarise(self, claim: Claim, progress: JobProgress) -> None:
        """Write the summary of one study, or refuse its image."""
        given = summarise_input(self._context.ledger, claim)
        if given is None:
            return
        films = self._films(given)
        # Chat goes first (rank 0), then the lanes in their order.
        clinical, boxes = self._words(claim, given)
        request = replace(self._request(claim, films), only_chests=True, clinical=clinical)
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
            provenance=self._provenance(made, films, boxes),
            tokens=made.tokens,
            batch_size=made.batch_size,
            flags=(*doubts, *self._text_flags(made, given.flags)),
            consistency=tuple(one.document() for one in found),
            grounding=tuple(made.grounding.documents()),
            lateral_image=films[ImageRole.LATERAL].image_id if ImageRole.LATERAL in films else None,
            prior_image=films[ImageRole.PRIOR].image_id if ImageRole.PRIOR in films else None,
            reasoning=made.reasoning,
        )
        complete_summary(self._context.ledger, claim, given, summary)
        SUMMARIES.inc()
        _count(JobKind.SUMMARISE, summary.flags, found)

    def chat(self, claim: Claim, progress: JobProgress) -> None:
        """Answer one question, and show the answer while it is written."""
        given = chat_input(self._context.ledger, claim)
        films = self._films(given)
        clinical, boxes = self._words(claim, given)
        request = replace(self._request(claim, films), clinical=clinical)
        show = lambda text: stream_answer(self._context.ledger, claim, without_places(text))  # noqa: E731
        in_flight = InFlight(self._activity, progress, show)
        # The summary is the answer to the bundle's own question; what was asked since follows.
        turns = ((self._bundle.question, given.summary), *given.turns)
        made = self._ask(replace(request, question=given.question, turns=turns), 0, in_flight)
        answer, flags = _not_empty(made), self._text_flags(made, given.flags)
        found = chat_contradictions(given.question, answer, given.stands, given.view)
        complete_turn(
            self._context.ledger,
            claim,
            answer,
            self._bundle.name,
            self._bundle.sha256,
            self._provenance(made, films, boxes),
            flags,
            tuple(one.document() for one in found),
            made.reasoning,
            prior=films.get(ImageRole.PRIOR),
        )
        _count(JobKind.CHAT, flags, found)

    def _text_flags(self, made: Generated, film_flags: Collection[str]) -> tuple[Flag, ...]:
        """The flags of this text about a film with these flags."""
        found = {Flag.OUT_OF_SCOPE: is_outside(self._bundle.scope, film_flags), Flag.CUT_OFF: made.cut_off}
        return tuple(flag for flag, there in found.items() if there)

    def _provenance(self, made: Generated, films: Mapping[ImageRole, Film], boxes: dict[str, str]) -> dict[str, Any]:
        images = {role: film.sha256 for role, film in films.items()}
        shown = boxes if made.clinical else {}
        return provenance(made, images) | {"scope": self._bundle.scope.document()} | shown

    def _films(self, given: SummariseInput | ChatInput) -> dict[ImageRole, Film]:
        """The films that the bundle looks at, the frontal one first."""
        frontal = Film(given.image_id, given.normalised_key, given.normalised_sha256, given.study_id)
        there = {ImageRole.FRONTAL: frontal, **given.further}
        return {role: there[role] for role in self._bundle.images if role in there}

    def _request(self, claim: Claim, films: Mapping[ImageRole, Film]) -> GenerationRequest:
        """The bundle's own question about these films."""
        pngs = {role: self._image(claim, film.key, film.sha256) for role, film in films.items()}
        lateral, prior = pngs.get(ImageRole.LATERAL), pngs.get(ImageRole.PRIOR)
        return GenerationRequest(pngs[ImageRole.FRONTAL], lateral_png=lateral, prior_png=prior)

    def _words(self, claim: Claim, given: SummariseInput | ChatInput) -> tuple[Clinical, dict[str, str]]:
        """The hospital's words about the frontal film, and the hashes of their boxes for the provenance.

        What the request says goes before what the header says, part by part.
        """
        if self._clinical is None:
            return UNKNOWN, {}
        header = request = UNKNOWN
        if given.clinical_key is not None and given.clinical_sha256 is not None:
            header = self._clinical.open(given.image_id, self._image(claim, given.clinical_key, given.clinical_sha256))
        said = newest_words(self._context.ledger, given.image_id)
        if said is not None:
            request = self._clinical.open(said.image_id, said.box)
        boxes = {"clinical_sha256": (header, given.clinical_sha256), "request_sha256": (request, said and said.sha256)}
        opened = {name: box for name, (words, box) in boxes.items() if box and words != UNKNOWN}
        if len(opened) < sum(box is not None for _, box in boxes.values()):
            WORDS_UNOPENED.inc()
            log.warning("words about a film were sealed for another key", extra={"job_id": claim.job_id})
        return request.before(header), opened

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


def provenance(made: Generated, images: Mapping[ImageRole, str]) -> dict[str, Any]:
    """What it takes to generate this text again, beside the bundle, and how long it took.

    Args:
        images: the SHA-256 of each film that the model saw.
    """
    words = {"clinical_sections": list(made.clinical), "clinical_shortened": list(made.shortened)}
    return {
        "image_sha256": images[ImageRole.FRONTAL],
        "images": dict(images),
        "prompt": made.prompt,
        "template": made.template,
        "decoding": made.decoding,
        "seed": made.seed,
        "software": made.software,
        "waited_seconds": round(made.waited_seconds, 3),
        "generate_seconds": round(made.generate_seconds, 3),
        **({"chest_score": made.chest.score} if made.chest is not None else {}),
        **{name: sections for name, sections in words.items() if sections},
    }


def _count(job: JobKind, flags: Collection[Flag], found: Collection[Contradiction]) -> None:
    if Flag.OUT_OF_SCOPE in flags:
        OUT_OF_SCOPE.labels(job).inc()
    for kind in {one.kind for one in found}:
        CONTRADICTIONS.labels(kind).inc()


def _not_empty(made: Generated) -> str:
    if not made.text.strip():
        raise BundleError("the model wrote nothing about this image")
    return made.text
