"""Ingest: one object of the bucket becomes a normalised image of pseudonyms and pixels, or a reason why not."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from workers.context import Context
from workers.heartbeat import JobProgress
from workers.pseudonyms import called, renamed
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits, NormalisedImage
from xraygpt_core.errors import InvalidRequest, LeaseLost, ObjectMissing, ObjectReplaced, Rejected
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.accept import complete_ingests, ingest_inputs
from xraygpt_core.ledger.studies.end_image import reject_image, replace_image
from xraygpt_core.ledger.studies.images import IngestedImage, IngestInput
from xraygpt_core.ledger.studies.purge import orphaned_keys
from xraygpt_core.ledger.studies.register import ObjectRef
from xraygpt_core.metrics import HISTOGRAM_GAPS
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.settings import Settings


class Normaliser(Protocol):
    """Turns the bytes of a file into an image, or raises Rejected."""

    def normalise(self, data: bytes, /) -> NormalisedImage: ...

    def close(self) -> None: ...


def _sandbox_of(settings: Settings) -> Sandbox:
    limits = Limits(settings.max_pixels, settings.decode_seconds, settings.decode_memory_bytes)
    return Sandbox(limits, cell_required=settings.decoder_cell == "required")


class Ingest:
    """The ingest jobs of one process. Each thread has a sandbox of its own, so one hostile file stops one thread."""

    def __init__(
        self, context: Context, pseudonymiser: Pseudonymiser, normaliser: Callable[[Settings], Normaliser] = _sandbox_of
    ) -> None:
        self._context = context
        self._pseudonymiser = pseudonymiser
        self._normaliser = normaliser
        self._local = threading.local()
        self._sandboxes: list[Normaliser] = []

    def prepare(self, claims: Sequence[Claim]) -> dict[UUID, IngestInput]:
        """Which object each of these jobs is about, by image."""
        return ingest_inputs(self._context.ledger, claims)

    def do(self, claim: Claim, pulse: JobProgress, given: IngestInput | None) -> IngestedImage | None:
        """Fetch exactly the registered object, read it where it can do no harm, store what came out.

        Returns:
            What the ledger is to keep of it; None if the image ended otherwise.
        """
        if given is None:
            raise LeaseLost(f"image {claim.subject} was purged")
        ledger = self._context.ledger
        try:
            image = self._read(given, pulse)
        except Rejected as rejection:
            reject_image(ledger, claim, rejection.reason, rejection.detail)
        except ObjectReplaced:
            replace_image(ledger, claim, self._now(given))
        except ObjectMissing:
            replace_image(ledger, claim, None)
        else:
            return self._store(image, pulse)
        return None

    def close(self) -> None:
        """End the sandboxes' processes."""
        for sandbox in self._sandboxes:
            sandbox.close()

    def _read(self, given: IngestInput, pulse: JobProgress) -> NormalisedImage:
        if given.bucket == self._context.store.derived_bucket:
            raise InvalidRequest("the derived bucket holds our own images; they are not read again")
        data = self._context.store.read(
            given.bucket,
            given.key,
            etag=given.etag,
            version_id=given.version_id,
            max_bytes=self._context.settings.max_object_bytes,
        )
        pulse.check()
        image = self._sandbox().normalise(data)
        HISTOGRAM_GAPS.observe(image.histogram_gaps)
        pulse.check()
        return image

    def _now(self, given: IngestInput) -> ObjectRef | None:
        try:
            head = self._context.store.head(given.bucket, given.key)
        except ObjectMissing:
            return None
        return ObjectRef(given.bucket, given.key, head.etag, head.version_id, head.size)

    def finish(self, read: Sequence[tuple[Claim, IngestedImage]]) -> set[UUID]:
        finished = complete_ingests(self._context.ledger, read)
        for claim, stored in read:
            if claim.job_id not in finished:
                # Purged while it was read: what was just stored must not outlive the purge.
                for key in orphaned_keys(self._context.ledger, claim, [stored.normalised_key, stored.preview_key]):
                    self._context.store.delete(key)
        return finished

    def _store(self, image: NormalisedImage, pulse: JobProgress) -> IngestedImage:
        stored = pseudonymised(image, self._pseudonymiser)
        self._context.store.put(stored.normalised_key, image.normalised_png, "image/png")
        pulse.progress()
        self._context.store.put(stored.preview_key, image.preview_png, "image/png")
        return stored

    def _sandbox(self) -> Normaliser:
        sandbox: Normaliser | None = getattr(self._local, "sandbox", None)
        if sandbox is None:
            sandbox = self._normaliser(self._context.settings)
            self._local.sandbox = sandbox
            self._sandboxes.append(sandbox)
        return sandbox


def derived_key(folder: str, sha256: str) -> str:
    """Where a picture lies: named by content, so a repeat overwrites itself and a name tells nothing."""
    return f"{folder}/{sha256[:2]}/{sha256}.png"


def pseudonymised(image: NormalisedImage, pseudonymiser: Pseudonymiser) -> IngestedImage:
    """The same image as the ledger keeps it: HMACs where identifiers stood, and hashes where pixels did."""
    names = called(image.identifiers, pseudonymiser)
    normalised, preview = (hashlib.sha256(png).hexdigest() for png in (image.normalised_png, image.preview_png))
    return IngestedImage(
        study_pseudonym=names.study,
        patient_pseudonym=names.patient,
        patient_id_pseudonym=names.patient_id,
        accession_pseudonym=names.accession,
        sop_pseudonym=names.sop,
        renamed=renamed(image.identifiers, pseudonymiser),
        view=image.view,
        modality=image.modality,
        kind=image.kind,
        rows=image.rows,
        columns=image.columns,
        pixel_sha256=image.pixel_sha256,
        normalised_key=derived_key("normalised", normalised),
        normalised_sha256=normalised,
        preview_key=derived_key("preview", preview),
        preview_sha256=preview,
        expected_images=image.expected_images,
        flags=image.flags,
        origin=image.origin,
    )
