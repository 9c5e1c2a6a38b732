"""Whose image is it? PatientID (0010,0020) under its issuer (0010,0021) names a patient (DICOM PS3.3 C.7.1.1).

A study belongs to one patient (PS3.3 A.1.2.2), yet cloned consoles and anonymisers write one StudyInstanceUID for two.
Then each patient has a study of their own. An absent id contradicts no other, nor does an absent issuer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping


@dataclass(frozen=True)
class Patient:
    """The patient a header names, or a study belongs to.

    Attributes:
        pseudonym: of id and issuer; None where no id is given.
        id_pseudonym: of the id without its issuer; None where no issuer is given: then ``pseudonym`` is just that.
    """

    pseudonym: str | None
    id_pseudonym: str | None

    @property
    def number(self) -> str | None:
        """What is equal for equal ids, whatever their issuers."""
        return self.id_pseudonym or self.pseudonym

    def becomes(self, other: "Patient") -> bool:
        """Is a study of this patient the other's once an image of the other's has joined it?"""
        return self.pseudonym in (None, other.pseudonym, other.id_pseudonym)

    def learns(self, other: "Patient") -> bool:
        """Does a study of this patient, who has a name, get another one by an image of the other's: with its issuer?"""
        return self.pseudonym not in (None, other.pseudonym) and self.becomes(other)

    def stays(self, other: "Patient") -> bool:
        """Does a study of this patient stay so when an image of the other's joins it?"""
        return other.pseudonym in (None, self.pseudonym, self.id_pseudonym)

    def contradicts(self, other: "Patient") -> bool:
        """Two ids, or one id under two issuers."""
        return not (self.becomes(other) or self.stays(other))


def patient_of(row: Mapping[str, Any] | RowMapping) -> Patient:
    """Of a row of ``images`` or ``studies``, or of what was read from a header."""
    return Patient(row["patient_pseudonym"], row["patient_id_pseudonym"])


def study_for(patient: Patient, studies: Sequence[tuple[UUID, Patient]]) -> UUID | None:
    """Which of the studies of one StudyInstanceUID an image of this patient belongs to.

    It is that of exactly this patient; else the one study that says less or more of the patient (no issuer, no id).
    Where several might be meant none is taken: a film without a name is not given to one of two patients.

    Args:
        studies: the ids of all of them, oldest first, and whose they are.

    Returns:
        None: it is a study of its own.
    """
    same = [study_id for study_id, owner in studies if owner.pseudonym == patient.pseudonym]
    if same:
        return same[0]
    near = [one for one in studies if patient.number is not None and one[1].number == patient.number]
    if not near and (patient.number is None or all(owner.number is None for _, owner in studies)):
        near = list(studies)
    if len(near) != 1 or near[0][1].contradicts(patient):
        return None
    return near[0][0]
