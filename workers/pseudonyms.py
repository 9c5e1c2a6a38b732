"""What the ledger keeps of an image: pseudonyms in place of its identifiers, hashes in place of its pixels."""

import hashlib
from dataclasses import astuple, dataclass
from uuid import UUID

from xraygpt_core.dicom.types import Identifiers, NormalisedImage
from xraygpt_core.ledger.studies.header_names import RejectedHeader
from xraygpt_core.ledger.studies.images import IngestedImage, PseudonymPair
from xraygpt_core.privacy import Pseudonymiser
from xraygpt_core.sealing import Numbers, SealedNumbers, Sealer


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


def rejected_header(
    image_id: UUID, identifiers: Identifiers, pseudonymiser: Pseudonymiser, sealer: Sealer | None
) -> RejectedHeader:
    """What the ledger keeps of the header of a rejected film: by this it is found."""
    names = pseudonyms_of(identifiers, pseudonymiser)
    found = (names.study, names.patient, names.accession)
    return RejectedHeader(tuple(name for name in found if name), sealed_numbers(image_id, identifiers, sealer))


def sealed_numbers(image_id: UUID, identifiers: Identifiers, sealer: Sealer | None) -> SealedNumbers | None:
    """An image's numbers under seal; None where the installation keeps none, or the header has none."""
    if sealer is None:
        return None
    numbers = Numbers(
        accession=identifiers.accession_number,
        accession_issuer=identifiers.accession_issuer,
        patient=identifiers.patient_id,
        patient_issuer=identifiers.patient_id_issuer,
    )
    return sealer.seal(image_id, numbers)


def derived_key(folder: str, sha256: str) -> str:
    """The key of a picture. It is made from the content: a repeat overwrites itself, and the key says nothing."""
    return f"{folder}/{sha256[:2]}/{sha256}.png"


def ingested_image(image: NormalisedImage, pseudonymiser: Pseudonymiser) -> IngestedImage:
    """What the ledger keeps of an image."""
    names = pseudonyms_of(image.identifiers, pseudonymiser)
    normalised, preview = (hashlib.sha256(png).hexdigest() for png in (image.normalised_png, image.preview_png))
    deep = hashlib.sha256(image.deep.png).hexdigest() if image.deep else None
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
        deep_key=derived_key("deep", deep) if deep else None,
        deep_sha256=deep,
        deep_scale=image.deep.scale if image.deep else None,
        deep_window=image.deep.window if image.deep else None,
        expected_images=image.expected_images,
        flags=image.flags,
        origin=image.origin,
        facts=image.facts,
    )
