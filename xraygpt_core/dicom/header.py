"""Read single header values without trusting them: a value that is absent, empty or malformed is None."""

import struct
import zlib
from math import isfinite
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException

from xraygpt_core.clinical_text import LONGEST, Clinical
from xraygpt_core.dicom.elements import BIG, EXPLICIT, IMPLICIT, ITEM, UNDEFINED, Encoding, tag_at, value_at, vr_of
from xraygpt_core.dicom.header_budget import spend
from xraygpt_core.dicom.types import Identifiers

# What pydicom, numpy, Pillow and the codecs raise on broken input. MemoryError is missing on purpose: see normalise.
PARSE_ERRORS = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError, EOFError, OSError,
    RuntimeError, SyntaxError, BytesLengthException, struct.error, zlib.error,
)  # fmt: skip

_PYDICOM = 10  # steps that an element costs pydicom
_BYTES = 8  # of a value that is no sequence, a step: a backslash may part numbers every second byte


def text(value: Any) -> str | None:
    """The value as text without padding (PS3.5 section 6.2); None if nothing is left."""
    return str(value).strip(" \0\r\n\t") or None if value is not None else None


def values(dataset: Any, keyword: str) -> list[Any]:
    """All values of one element, [] if it is absent or malformed.

    Raises:
        Rejected: TOO_LARGE, converting it would cost more than the header may.
    """
    try:
        _weigh(dataset, keyword)
        value = dataset.get(keyword)
        if value is None:
            return []
        multiple = not isinstance(value, str | bytes) and hasattr(value, "__iter__") and hasattr(value, "__len__")
        return list(value) if multiple and not hasattr(value, "components") else [value]
    except PARSE_ERRORS:
        return []


def _weigh(dataset: Any, keyword: str) -> None:
    """pydicom reads every item of a sequence to give the first: count the cost of a value before it does.

    Counted are the elements of this sequence, or the bytes of this value, unless that was done when it was converted.

    Raises:
        Rejected: TOO_LARGE, the budget is used up.
    """
    raw = dataset.get_item(keyword)
    if not isinstance(raw, RawDataElement) or not raw.value:
        return
    if raw.VR == "SQ" or (raw.VR in (None, "UN") and vr_of(int(raw.tag)) == b"SQ"):
        implicit = raw.is_implicit_VR or raw.VR == "UN"
        _weigh_items(raw.value, IMPLICIT if implicit else EXPLICIT if raw.is_little_endian else BIG)
    else:
        spend(len(raw.value) // _BYTES)


def _weigh_items(value: bytes, encoding: Encoding) -> None:
    """All that is below an item counts; an element of defined length within one waits until it is asked for."""
    position = 0
    while (tag := tag_at(value, position, encoding.order)) >= 0:
        spend(_PYDICOM)
        found = value_at(value, position, encoding, tag)
        if found is None:
            return
        _, start, length = found
        position = start + (0 if length == UNDEFINED or tag == ITEM else length)


def word(dataset: Any, keyword: str) -> str | None:
    """The first value as text."""
    found = values(dataset, keyword)
    return text(found[0]) if found else None


def whole(dataset: Any, keyword: str) -> str | None:
    """The value as it stands, where a backslash must not be but is: two ids that begin alike are not one patient."""
    found = [text(value) or "" for value in values(dataset, keyword)]
    return text("\\".join(found))


def number(dataset: Any, keyword: str) -> float | None:
    """The first value as a finite number."""
    found = values(dataset, keyword)
    try:
        value = float(found[0]) if found else None
    except PARSE_ERRORS:
        return None
    return value if value is not None and isfinite(value) else None


def integer(dataset: Any, keyword: str) -> int | None:
    """The first value as a whole number."""
    value = number(dataset, keyword)
    return int(value) if value is not None else None


def first_item(dataset: Any, keyword: str) -> Any | None:
    """The first item of a sequence."""
    found = values(dataset, keyword)
    return found[0] if found and hasattr(found[0], "get") else None


def identifiers(dataset: Any) -> Identifiers:
    """What names the patient, the study and the image."""
    issuer = first_item(dataset, "IssuerOfAccessionNumberSequence")
    accession_issuer = None
    if issuer is not None:
        accession_issuer = word(issuer, "LocalNamespaceEntityID") or word(issuer, "UniversalEntityID")
    return Identifiers(
        patient_id=whole(dataset, "PatientID"),
        patient_id_issuer=whole(dataset, "IssuerOfPatientID") or _universal_issuer(dataset),
        study_instance_uid=word(dataset, "StudyInstanceUID"),
        accession_number=word(dataset, "AccessionNumber"),
        accession_issuer=accession_issuer,
        sop_instance_uid=word(dataset, "SOPInstanceUID"),
    )


def clinical(dataset: Any) -> Clinical:
    """What was known when the film was asked for (PS3.3 C.7.3.1, C.7.2.2 and C.8.11), in the words of the hospital.

    The reason for the request (0040,1002), or for the study (0032,1030, retired), and the history (0010,21B0); body
    part (0018,0015) and protocol (0018,1030). A header has no comparison.
    """
    reason = whole(dataset, "ReasonForTheRequestedProcedure") or whole(dataset, "ReasonForStudy")
    return Clinical(
        indication=_joined(reason, whole(dataset, "AdditionalPatientHistory")),
        technique=_joined(whole(dataset, "BodyPartExamined"), whole(dataset, "ProtocolName")),
    )


def _joined(*parts: str | None) -> str | None:
    """Each part once, on one line."""
    lines = dict.fromkeys(" ".join(part.split()) for part in parts if part)
    return "; ".join(lines)[:LONGEST] or None


def _universal_issuer(dataset: Any) -> str | None:
    """The issuer's universal id, in Issuer of Patient ID Qualifiers Sequence (0010,0024)."""
    qualifiers = first_item(dataset, "IssuerOfPatientIDQualifiersSequence")
    return word(qualifiers, "UniversalEntityID") if qualifiers is not None else None
