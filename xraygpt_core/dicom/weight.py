"""The cost of a value before pydicom converts it: pydicom reads every item of a sequence to give the first."""

from typing import Any

from pydicom.dataelem import RawDataElement

from xraygpt_core.dicom.elements import BIG, EXPLICIT, IMPLICIT, ITEM, UNDEFINED, Encoding, tag_at, value_at, vr_of
from xraygpt_core.dicom.header_budget import spend

_PYDICOM = 10  # steps that an element costs pydicom
_BYTES = 8  # of a value that is no sequence, a step: a backslash may part numbers every second byte


def weigh(dataset: Any, keyword: str) -> None:
    """Count the elements of this sequence, or the bytes of this value, unless that was done when it was converted.

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
