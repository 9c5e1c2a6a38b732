"""What the ledger keeps of an image: pseudonyms in place of its identifiers, hashes in place of its pixels."""

import hashlib
from dataclasses import astuple, dataclass

from xraygpt_core.dicom.types import Identifiers, NormalisedImage
from xraygpt_core.ledger.studies.images import IngestedImage, PseudonymPair
from xraygpt_core.privacy import Pseudonymiser


@dataclass(frozen=True)
class Pseudonyms:
    """HMACs where identifiers stood."""

    study: str | None
    patient: str | None
    patient_id: str | None
    accession: str | None
    sop: str | None


def pseudonyms_of(identifiers: Identifiers, pseudonymiser: Pseudonymiser) -> Pseudonyms:
    """Their pseudonyms under this key."""
    return Pseudonyms(
        study=pseudonymiser.study(identifiers.study_instance_uid),
        patient=pseudonymiser.patient(identifiers.patient_id, identifiers.patient_id_issuer),
        patient_id=pseudonymiser.patient_id(identifiers.patient_id, identifiers.patient_id_issuer),
        accession=pseudonymiser.accession(identifiers.accession_number, identifiers.accession_issuer),
        sop=pseudonymiser.sop(identifiers.sop_instance_uid),
    )


def renamed_pairs(identifiers: Identifiers, pseudonymiser: Pseudonymiser) -> tuple[PseudonymPair, ...]:
    """Their pseudonyms under the former key beside those under this one; none where there is no former key."""
    if pseudonymiser.former is None:
        return ()
    before, now = (astuple(pseudonyms_of(identifiers, key)) for key in (pseudonymiser.former, pseudonymiser))
    return tuple((old, new) for old, new in zip(before, now, strict=True) if old is not None)


def derived_key(folder: str, sha256: str) -> str:
    """The key of a picture. It is made from the content: a repeat overwrites itself, and the key says nothing."""
    return f"{folder}/{sha256[:2]}/{sha256}.png"


def ingested_image(image: NormalisedImage, pseudonymiser: Pseudonymiser) -> IngestedImage:
    """What the ledger keeps of an image."""
    names = pseudonyms_of(image.identifiers, pseudonymiser)
    normalised, preview = (hashlib.sha256(png).hexdigest() for png in (image.normalised_png, image.preview_png))
    return IngestedImage(
        study_pseudonym=names.study,
        patient_pseudonym=names.patient,
        patient_id_pseudonym=names.patient_id,
        accession_pseudonym=names.accession,
        sop_pseudonym=names.sop,
        renamed=renamed_pairs(image.identifiers, pseudonymiser),
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
