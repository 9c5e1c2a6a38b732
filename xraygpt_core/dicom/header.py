"""Read single header values without trusting them: a value that is absent, empty or malformed is None."""

import re
import struct
import zlib
from math import isfinite
from typing import Any

from xraygpt_core.dicom.types import Identifiers

# What pydicom, numpy, Pillow and the codecs raise on broken input. MemoryError is missing on purpose: see normalise.
PARSE_ERRORS = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError, EOFError, OSError,
    RuntimeError, SyntaxError, struct.error, zlib.error,
)  # fmt: skip

_FRONTAL_POSITIONS = {"PA": "PA", "AP": "AP"}
_LATERAL_POSITIONS = frozenset(
    {"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "L LAT", "R LAT", "LEFT LATERAL", "RIGHT LATERAL"}
)
# PS3.16 CID 4010 "DX View": SNOMED CT, and the SNOMED-RT codes older writers use.
_VIEW_CODES = {
    "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399348003": "AP", "R-10206": "AP",
    "399067008": "LATERAL", "399173006": "LATERAL", "399198007": "LATERAL",
    "R-102CD": "LATERAL", "R-10236": "LATERAL", "R-10232": "LATERAL", "R-10228": "LATERAL",
}  # fmt: skip
_VIEW_WORDS = (
    ("LATERAL", re.compile(r"\b(lat|lateral|laterale|seitlich|profil|perfil|ll)\b", re.IGNORECASE)),
    ("PA", re.compile(r"\b(pa|p\.a\.|postero-?anterior)(?!\w)", re.IGNORECASE)),
    ("AP", re.compile(r"\b(ap|a\.p\.|antero-?posterior)(?!\w)", re.IGNORECASE)),
)


def text(value: Any) -> str | None:
    """The value as text without padding (PS3.5 section 6.2); None if nothing is left."""
    return str(value).strip(" \0\r\n\t") or None if value is not None else None


def values(dataset: Any, keyword: str) -> list[Any]:
    """All values of one element, [] if it is absent or malformed."""
    try:
        value = dataset.get(keyword)
        if value is None:
            return []
        multiple = not isinstance(value, str | bytes) and hasattr(value, "__iter__") and hasattr(value, "__len__")
        return list(value) if multiple and not hasattr(value, "components") else [value]
    except PARSE_ERRORS:
        return []


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


def _universal_issuer(dataset: Any) -> str | None:
    """The issuer's universal id, in Issuer of Patient ID Qualifiers Sequence (0010,0024)."""
    qualifiers = first_item(dataset, "IssuerOfPatientIDQualifiersSequence")
    return word(qualifiers, "UniversalEntityID") if qualifiers is not None else None


def view(dataset: Any) -> str | None:
    """ "PA", "AP", "LATERAL" or None, from the most to the least formal place that says so.

    View Position (0018,5101), View Code Sequence (0054,0220), the series' and the protocol's own words, and at last
    Patient Orientation (0020,0020): rows that run front to back show a side view (PS3.3 C.7.6.1.1.1).
    """
    position = (word(dataset, "ViewPosition") or "").upper().replace(".", "").replace("_", " ")
    if position in _LATERAL_POSITIONS:
        return "LATERAL"
    if position.split(" ")[0] in _FRONTAL_POSITIONS:
        return _FRONTAL_POSITIONS[position.split(" ")[0]]
    code = first_item(dataset, "ViewCodeSequence")
    if code is not None and (word(code, "CodeValue") or "") in _VIEW_CODES:
        return _VIEW_CODES[word(code, "CodeValue") or ""]
    for keyword in ("SeriesDescription", "ProtocolName"):
        described = {name for name, pattern in _VIEW_WORDS if pattern.search(word(dataset, keyword) or "")}
        if len(described) == 1:  # "Chest PA/LAT" names the examination, not this image
            return described.pop()
    return "LATERAL" if (word(dataset, "PatientOrientation") or "")[:1] in ("A", "P") else None
