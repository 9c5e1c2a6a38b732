"""An image on its way into the ledger: the object to read, and what was found in it."""

from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.dicom.types import NO_FACTS, HeaderFacts, Pair
from xraygpt_core.sealing import SealedNumbers
from xraygpt_core.states import Flag, Origin

PseudonymPair = tuple[str, str]  # under the old key, and under the new one


@dataclass(frozen=True)
class IngestInput:
    """The object to read, exactly as it was registered."""

    image_id: UUID
    bucket: str
    key: str
    etag: str
    version_id: str | None


@dataclass(frozen=True)
class IngestedImage:
    """What was found in the pixels and the header. Identifiers are pseudonyms (HMACs) already.

    Attributes:
        patient_id_pseudonym: PatientID without its issuer, where one is named.
        renamed: its pseudonyms under the former key beside those under the new one, while the key is replaced.
        sealed: its numbers under seal, where the installation keeps them.
        deep_key, deep_sha256, deep_scale, deep_window: of its 16-bit copy
            (:class:`~xraygpt_core.dicom.types.DeepCopy`), where the installation keeps one.
        clinical_key, clinical_sha256: the box with what was known when it was asked for, where that is used.
    """

    study_pseudonym: str | None
    patient_pseudonym: str | None
    accession_pseudonym: str | None
    sop_pseudonym: str | None
    view: str | None
    modality: str | None
    kind: str
    rows: int
    columns: int
    pixel_sha256: str
    normalised_key: str
    normalised_sha256: str
    preview_key: str
    preview_sha256: str
    expected_images: int | None
    flags: tuple[Flag, ...]
    patient_id_pseudonym: str | None = None
    origin: Origin = Origin.DETECTOR
    renamed: tuple[PseudonymPair, ...] = ()
    facts: HeaderFacts = NO_FACTS
    sealed: SealedNumbers | None = None
    deep_key: str | None = None
    deep_sha256: str | None = None
    deep_scale: Pair | None = None
    deep_window: Pair | None = None
    clinical_key: str | None = None
    clinical_sha256: str | None = None

    @property
    def derived_keys(self) -> list[str]:
        """The keys of what it has in the derived bucket."""
        return [key for key in (self.normalised_key, self.preview_key, self.deep_key, self.clinical_key) if key]
