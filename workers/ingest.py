"""The ingest jobs: an object of the bucket becomes a image under pseudonyms, or is rejected with a reason."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from workers.context import Context
from workers.heartbeat import JobProgress
from workers.pseudonyms import ingested_image, rejected_header, sealed_numbers
from xraygpt_core.clinical_sealing import ClinicalSealer, box_key
from xraygpt_core.dicom.sandbox import Sandbox, deep_sandbox, header_sandbox
from xraygpt_core.dicom.types import Limits, NormalisedImage
from xraygpt_core.errors import InvalidRequest, LeaseLost, ObjectMissing, ObjectReplaced, Rejected
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.accept import complete_ingests, ingest_inputs
from xraygpt_core.ledger.studies.end_image import reject_image, replace_image
from xraygpt_core.ledger.studies.header_names import RejectedHeader
from xraygpt_core.ledger.studies.images import IngestedImage, IngestInput
from xraygpt_core.ledger.studies.purge import orphaned_keys
from xraygpt_core.ledger.studies.register import ObjectRef
from xraygpt_core.metrics import HISTOGRAM_GAPS
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.sealing import Sealer
from xraygpt_core.settings import Settings
from xraygpt_core.states import ReasonCode

# There is no header to read in these.
_WITHOUT_HEADER = frozenset({ReasonCode.NOT_DICOM_OR_IMAGE, ReasonCode.EMPTY})


class Normaliser(Protocol):
    """Turns the bytes of a file into an image, or raises Rejected."""

    def normalise(self, data: bytes, /) -> NormalisedImage: ...

    def close(self) -> None: ...


def sandbox_of(settings: Settings, make: Callable[..., Sandbox] = Sandbox) -> Sandbox:
    """A sandbox with the limits of these settings."""
    limits = Limits(settings.max_pixels, settings.decode_seconds, settings.decode_memory_bytes)
    return make(limits, cell_required=settings.decoder_cell == "required")


def study_sandbox_of(settings: Settings) -> Sandbox:
    """The same for films of studies: with their 16-bit copy, where the settings ask for it."""
    return sandbox_of(settings, deep_sandbox if settings.keep_16_bit else Sandbox)


def header_sandbox_of(settings: Settings) -> Sandbox:
    """The same for headers alone."""
    return sandbox_of(settings, header_sandbox)


class Ingest:
    """The ingest jobs of one process. Each thread has a sandbox of its own, so one hostile file stops one thread."""

    def __init__(
        self,
        context: Context,
        pseudonymiser: Pseudonymiser,
        normaliser: Callable[[Settings], Normaliser] = study_sandbox_of,
        sealer: Sealer | None = None,
        clinical: ClinicalSealer | None = None,
    ) -> None:
        self._context = context
        self._pseudonymiser = pseudonymiser
        self._sealer = sealer
        self._clinical = clinical
        self._headers = header_sandbox_of(context.settings)  # its child starts with the first film that is rejected
        self._normaliser = normaliser
        self._local = threading.local()
        self._sandboxes: list[Normaliser] = []

    def prepare(self, claims: Sequence[Claim]) -> dict[UUID, IngestInput]:
        """The object of each of these jobs, by image."""
        return ingest_inputs(self._context.ledger, claims)

    def do(self, claim: Claim, progress: JobProgress, given: IngestInput | None) -> IngestedImage | None:
        """Fetch exactly the registered object, decode it in the sandbox, and store its pictures.

        Returns:
            What the ledger is to keep of the image; None if it was rejected, replaced or removed.
        """
        if given is None:
            raise LeaseLost(f"image {claim.subject} was purged")
        ledger, data = self._context.ledger, b""
        try:
            data = self._fetch(given)
            progress.check()
            image = self._read(data, progress)
        except Rejected as rejection:
            header = self._header(given.image_id, data, rejection) if data else None
            reject_image(ledger, claim, rejection.reason, rejection.detail, header)
        except ObjectReplaced:
            replace_image(ledger, claim, self._object_now(given))
        except ObjectMissing:
            replace_image(ledger, claim, None)
        else:
            return self._store(given.image_id, image, progress)
        return None

    def _fetch(self, given: IngestInput) -> bytes:
        if given.bucket == self._context.store.derived_bucket:
            raise InvalidRequest("the derived bucket holds our own images; they are not read again")
        return self._context.store.read(
            given.bucket,
            given.key,
            etag=given.etag,
            version_id=given.version_id,
            max_bytes=self._context.settings.max_object_bytes,
        )

    def _read(self, data: bytes, progress: JobProgress) -> NormalisedImage:
        image = self._sandbox().normalise(data)
        HISTOGRAM_GAPS.observe(image.histogram_gaps)
        progress.check()
        return image

    def _header(self, image_id: UUID, data: bytes, rejection: Rejected) -> RejectedHeader | None:
        """What is kept of the header of a film that was rejected; None where none can be read."""
        if rejection.reason in _WITHOUT_HEADER:
            return None
        with suppress(Rejected):
            identifiers = self._headers.identify(data)
            return rejected_header(image_id, identifiers, self._pseudonymiser, self._sealer)
        return None

    def _sandbox(self) -> Normaliser:
        sandbox: Normaliser | None = getattr(self._local, "sandbox", None)
        if sandbox is None:
            sandbox = self._normaliser(self._context.settings)
            self._local.sandbox = sandbox
            self._sandboxes.append(sandbox)
        return sandbox

    def _object_now(self, given: IngestInput) -> ObjectRef | None:
        try:
            head = self._context.store.head(given.bucket, given.key)
        except ObjectMissing:
            return None
        return ObjectRef(given.bucket, given.key, head.etag, head.version_id, head.size)

    def _store(self, image_id: UUID, image: NormalisedImage, progress: JobProgress) -> IngestedImage:
        sealed = sealed_numbers(image_id, image.identifiers, self._sealer)
        stored = replace(ingested_image(image, self._pseudonymiser), sealed=sealed)
        self._context.store.put(stored.normalised_key, image.normalised_png, "image/png")
        progress.report()
        if image.deep and stored.deep_key:
            self._context.store.put(stored.deep_key, image.deep.png, "image/png")
            progress.report()
        self._context.store.put(stored.preview_key, image.preview_png, "image/png")
        box = self._clinical.seal(image_id, image.clinical) if self._clinical is not None else None
        if box is None:
            return stored
        key, sha256 = box_key(box)
        self._context.store.put(key, box, "application/octet-stream")
        return replace(stored, clinical_key=key, clinical_sha256=sha256)

    def finish(self, read: Sequence[tuple[Claim, IngestedImage]]) -> set[UUID]:
        """Keep these images, and remove the pictures of those that were purged while they were read."""
        finished = complete_ingests(self._context.ledger, read)
        for claim, stored in read:
            if claim.job_id not in finished:
                for key in orphaned_keys(self._context.ledger, claim, stored.derived_keys):
                    self._context.store.delete(key)
        return finished

    def close(self) -> None:
        """End the sandboxes' processes."""
        for sandbox in (*self._sandboxes, self._headers):
            sandbox.close()
