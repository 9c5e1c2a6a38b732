"""What a header says about its film beside who it is of: when it was taken, which side, how large its pixels are.

A value that is absent, malformed or impossible is None, never an error: a film is read without it.
"""

import re
from datetime import date, time
from math import isclose, isfinite
from typing import Any, cast

from xraygpt_core.dicom.header import PARSE_ERRORS, integer, number, values, word
from xraygpt_core.dicom.orientation import exchanges_axes
from xraygpt_core.dicom.types import HeaderFacts, Plane, Side, Spacing, StatedFacts

# From the exposure itself to the day on which the examination was opened. PS3.3: the acquisition began (C.7.10.1 and
# C.7.6.1), the pixels were made (C.7.6.1), the series (C.7.3.1) and the study (C.7.2.1) began. A film that is sent
# again or processed later keeps the first; the last may be the day before, or that of the order.
_DAYS = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("AcquisitionDateTime", "AcquisitionDateTime"),
    ("ContentDate", "ContentTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)
# PS3.5 6.2: YYYYMMDD, and YYYY.MM.DD as ACR-NEMA wrote it; HHMMSS.FFFFFF, of which all but the hour may be missing.
_DATE = re.compile(r"([0-9]{4})([.\-/]?)([0-9]{2})\2([0-9]{2})(?![0-9.\-/])")
_MOMENT = re.compile(r"([0-9]{4})()([0-9]{2})([0-9]{2})(?:([0-9]{2,6}(?:\.[0-9]{1,6})?))?(?:[+-][0-9]{4})?")
_TIME = re.compile(r"([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:\.([0-9]{1,6}))?)?)?")
_PLACEHOLDERS = 1900  # X-rays were found in 1895; a film of that year or before has a date that nobody set

_CALIBRATED = frozenset({"GEOMETRY", "FIDUCIAL"})  # PS3.3 10.7.1.1
_LEAST_MM, _MOST_MM = 0.01, 10.0  # between two pixels
_MOST_MAGNIFIED = 3.0  # times: source to detector over source to patient


def stated_facts(dataset: Any, view: str | None) -> StatedFacts:
    """What the header says, before it is held against the pixels.

    Args:
        view: what the header calls it, or None; it decides with Patient Orientation whether the film is turned.

    Raises:
        Rejected: TOO_LARGE, a value would cost more to convert than the header may.
    """
    day, hour = _acquired(dataset)
    spacing, plane = _spacing(dataset)
    return StatedFacts(
        HeaderFacts(day, hour, _side(dataset), spacing, plane),
        rows=integer(dataset, "Rows"),
        columns=integer(dataset, "Columns"),
        exchanged=exchanges_axes(dataset, view),
    )


def _acquired(dataset: Any) -> tuple[date | None, time | None]:
    """The first day that makes sense, and the time beside it: no time of another element is put to a day."""
    for day, hour in _DAYS:
        stated = word(dataset, day) or ""
        if day == hour:
            moment = _MOMENT.fullmatch(stated)
            found, rest = _date(moment), moment[5] if moment else None
        else:
            found, rest = _date(_DATE.fullmatch(stated)), word(dataset, hour)
        if found is not None:
            return found, _time(rest or "")
    return None, None


def _date(stated: re.Match[str] | None) -> date | None:
    if stated is None or int(stated[1]) <= _PLACEHOLDERS:
        return None
    try:
        return date(int(stated[1]), int(stated[3]), int(stated[4]))
    except ValueError:
        return None


def _time(stated: str) -> time | None:
    parts = _TIME.fullmatch(stated)
    if parts is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()[:3])
    try:
        return time(hours, minutes, seconds, int((parts[4] or "").ljust(6, "0")))
    except ValueError:
        return None


def _side(dataset: Any) -> Side | None:
    """Image Laterality (0020,0062) of a paired part; where it is not stated, Laterality (0020,0060) of the series."""
    stated = (word(dataset, "ImageLaterality") or word(dataset, "Laterality") or "").upper()
    return cast(Side, stated) if stated in ("L", "R") else None


def _spacing(dataset: Any) -> tuple[Spacing | None, Plane | None]:
    """Millimetres between rows and between columns, and the plane in which they are true (PS3.3 10.7).

    Pixel Spacing (0028,0030) is that within the patient, unless it only repeats Imager Pixel Spacing (0018,1164),
    which is that on the detector's surface: then nobody corrected it. Pixel Spacing Calibration Type (0028,0A02) says
    that somebody did. Divided by Estimated Radiographic Magnification Factor (0018,1114) a detector's spacing becomes
    that within the patient.
    """
    patient, detector = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    calibrated = (word(dataset, "PixelSpacingCalibrationType") or "").upper() in _CALIBRATED
    if patient is not None and (calibrated or detector is None or not _same(patient, detector)):
        return patient, "patient"
    if detector is None:
        return None, None
    factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
    if factor is not None and 1 <= factor <= _MOST_MAGNIFIED:
        return (detector[0] / factor, detector[1] / factor), "patient"
    return detector, "detector"


def _pair(dataset: Any, keyword: str) -> Spacing | None:
    """Row spacing, column spacing (PS3.3 10.7.1.3)."""
    try:
        found = [float(value) for value in values(dataset, keyword)]
    except PARSE_ERRORS:
        return None
    sound = len(found) == 2 and all(isfinite(one) and _LEAST_MM <= one <= _MOST_MM for one in found)
    return (found[0], found[1]) if sound else None


def _same(one: Spacing, other: Spacing) -> bool:
    return all(isclose(a, b, rel_tol=1e-6) for a, b in zip(one, other, strict=True))
