"""Decide from the header alone whether an image may become a summary, and which flags its reader must see."""

from typing import Any

from xraygpt_core.dicom.header import first_item, integer, word
from xraygpt_core.dicom.origin import DX_FOR_PROCESSING
from xraygpt_core.dicom.types import Limits
from xraygpt_core.dicom.views import named_view
from xraygpt_core.dicom.words import BodyPart, described_part, stated_part
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

SHORTEST_SIDE = 224  # pixels; what the image encoders see

# PS3.4 annex B.5
CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # its multi-frame relatives are .7.1 to .7.4

_RADIOGRAPH_CLASSES = {CR_STORAGE: "CR", DX_FOR_PRESENTATION: "DX", DX_FOR_PROCESSING: "DX"}
_RADIOGRAPHS = frozenset({"CR", "DX"})
_CAPTURED_RADIOGRAPHS = frozenset({"CR", "DX", "RG"})  # RG: film; a captured film is how old archives were digitised
_CAPTURES = frozenset({"", "OT", "SC"})  # says how the image was made, not what it shows
_RADIOGRAPH_WORDS = ("x-ray", "xray", "x ray", "radiogra", "röntgen", "rontgen", "cxr", "rx ", "rtg", "рентген")
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")  # the most specific first


def modality(dataset: Any) -> str | None:
    """Modality (0008,0060), else what the SOP class implies."""
    sop_class = word(dataset, "SOPClassUID") or ""
    return (word(dataset, "Modality") or "").upper() or _RADIOGRAPH_CLASSES.get(sop_class) or None


def accept(dataset: Any, limits: Limits) -> tuple[Flag, ...]:
    """Check what it is, then what it shows, then what is in the pixels, then their size.

    Raises:
        Rejected: WRONG_MODALITY, WRONG_BODY_PART, BURNED_IN_TEXT, MULTI_FRAME, UNDECODABLE, TOO_LARGE, TOO_SMALL.
    """
    captured = f"{word(dataset, 'SOPClassUID')}.".startswith(f"{SECONDARY_CAPTURE}.")
    _check_modality(dataset, captured)
    part = _body_part(dataset)
    if part is BodyPart.OTHER:
        raise Rejected(ReasonCode.WRONG_BODY_PART, "the header names another part of the body than the chest")
    if captured and part is not BodyPart.CHEST and _described(dataset) is not BodyPart.CHEST:
        raise Rejected(ReasonCode.WRONG_BODY_PART, "a secondary capture that does not say that it shows a chest")
    if (word(dataset, "BurnedInAnnotation") or "").upper() == "YES":
        raise Rejected(ReasonCode.BURNED_IN_TEXT, "the header says that identifying text is in the pixels")
    _check_size(dataset, limits)
    return _flags(dataset, captured, part)


def check_size(rows: int, columns: int, limits: Limits) -> None:
    """Refuse what costs too much to decode and what is too small to read.

    Raises:
        Rejected: TOO_LARGE, TOO_SMALL.
    """
    if rows * columns > limits.max_pixels:
        raise Rejected(ReasonCode.TOO_LARGE, f"{rows} x {columns} pixels; the limit is {limits.max_pixels} in all")
    if min(rows, columns) < SHORTEST_SIDE:
        raise Rejected(ReasonCode.TOO_SMALL, f"{rows} x {columns} pixels; the shorter side must have {SHORTEST_SIDE}")


def _check_modality(dataset: Any, captured: bool) -> None:
    sop_class, stated = word(dataset, "SOPClassUID"), (word(dataset, "Modality") or "").upper()
    if captured:
        fits = stated in _CAPTURED_RADIOGRAPHS or (stated in _CAPTURES and _says_radiograph(dataset))
    elif sop_class is None:
        fits = stated in _RADIOGRAPHS
    else:
        fits = sop_class in _RADIOGRAPH_CLASSES and (not stated or stated in _RADIOGRAPHS)
    if not fits:
        raise Rejected(ReasonCode.WRONG_MODALITY, "neither CR nor DX, nor a secondary capture that says so")


def _says_radiograph(dataset: Any) -> bool:
    """A capture without a modality of its own must call itself a radiograph, in words or by its view."""
    described = " ".join(word(dataset, keyword) or "" for keyword in _DESCRIPTIONS).casefold()
    projection = named_view(word(dataset, "ViewPosition") or "") is not None
    return projection or any(radiograph in f"{described} " for radiograph in _RADIOGRAPH_WORDS)


def _body_part(dataset: Any) -> BodyPart:
    """The stated part; where none is stated, another part that a description names."""
    stated = stated_part(word(dataset, "BodyPartExamined") or "")
    region = first_item(dataset, "AnatomicRegionSequence")
    if stated is BodyPart.NOT_STATED and region is not None:
        stated = stated_part(word(region, "CodeMeaning") or "")
    if stated is not BodyPart.NOT_STATED:
        return stated
    return BodyPart.OTHER if _described(dataset) is BodyPart.OTHER else BodyPart.NOT_STATED


def _described(dataset: Any) -> BodyPart:
    for keyword in _DESCRIPTIONS:
        part = described_part(word(dataset, keyword) or "")
        if part is not BodyPart.NOT_STATED:
            return part
    return BodyPart.NOT_STATED


def _check_size(dataset: Any, limits: Limits) -> None:
    if (integer(dataset, "NumberOfFrames") or 1) > 1:
        raise Rejected(ReasonCode.MULTI_FRAME, "more than one frame")
    rows, columns = integer(dataset, "Rows") or 0, integer(dataset, "Columns") or 0
    if rows < 1 or columns < 1:
        raise Rejected(ReasonCode.UNDECODABLE, "the header gives no Rows or Columns")
    check_size(rows, columns, limits)
    species = (word(dataset, "PatientSpeciesDescription") or "human").casefold()
    if "human" not in species and "homo sapiens" not in species:
        raise Rejected(ReasonCode.WRONG_BODY_PART, "not a human chest: the header names another species")


def _flags(dataset: Any, captured: bool, part: BodyPart) -> tuple[Flag, ...]:
    flags = []
    if part is BodyPart.NOT_STATED and not captured:
        flags.append(Flag.BODY_PART_UNKNOWN)
    if captured:
        flags += [Flag.SECONDARY_CAPTURE, Flag.BURNED_IN_UNCHECKED]
    described = " ".join(word(dataset, keyword) or "" for keyword in _DESCRIPTIONS).upper()
    if (word(dataset, "SyntheticData") or "").upper() == "YES" or "SYNTHETIC PHANTOM" in described:
        flags.append(Flag.SYNTHETIC)
    return tuple(flags)
