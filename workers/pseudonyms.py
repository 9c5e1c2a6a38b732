"""What an image's identifiers are called in the ledger."""

from dataclasses import astuple, dataclass

from xraygpt_core.dicom.types import Identifiers
from xraygpt_core.ledger.studies.images import PseudonymPair
from xraygpt_core.privacy import Pseudonymiser


@dataclass(frozen=True)
class Pseudonyms:
    """HMACs where identifiers stood."""

    study: str | None
    patient: str | None
    patient_id: str | None
    accession: str | None
    sop: str | None


def called(said: Identifiers, pseudonymiser: Pseudonymiser) -> Pseudonyms:
    """Under this key."""
    return Pseudonyms(
        study=pseudonymiser.study(said.study_instance_uid),
        patient=pseudonymiser.patient(said.patient_id, said.patient_id_issuer),
        patient_id=pseudonymiser.patient_id(said.patient_id, said.patient_id_issuer),
        accession=pseudonymiser.accession(said.accession_number, said.accession_issuer),
        sop=pseudonymiser.sop(said.sop_instance_uid),
    )


def renamed(said: Identifiers, pseudonymiser: Pseudonymiser) -> tuple[PseudonymPair, ...]:
    """What they were called under the key before, beside what they are called now; nothing if there is none before."""
    if pseudonymiser.former is None:
        return ()
    before, now = astuple(called(said, pseudonymiser.former)), astuple(called(said, pseudonymiser))
    return tuple((old, new) for old, new in zip(before, now, strict=True) if old is not None)
