"""An image on its way into the ledger: the object to read, and what was found in it."""

from dataclasses import dataclass
from uuid import UUID

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
