"""Bare PNG and JPEG pictures as upright grey values. Nothing else of the file is kept."""

import warnings
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from xraygpt_core.dicom.admission import check_size
from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.codecs import refuse_filled
from xraygpt_core.dicom.header import PARSE_ERRORS
from xraygpt_core.dicom.pixels import Shown, grey_of_wide, refuse_constant
from xraygpt_core.dicom.png import SIGNATURE, chunks, is_short, without_texts
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

_JPEG = b"\xff\xd8\xff"
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "F"})


def is_picture(data: bytes) -> bool:
    """True for what starts like PNG or JPEG."""
    return data.startswith((SIGNATURE, _JPEG))


def read_picture(data: bytes, limits: Limits, *, deep: bool = False) -> tuple[Values, Shown]:
    """Decode a picture and turn it upright.

    Args:
        deep: whether a 16-bit picture's own values are asked for, too.

    Returns:
        Decoded grey values (rows, columns), 8 or 16 bits, and the same as they are shown.

    Raises:
        Rejected: TOO_LARGE, TOO_SMALL, MULTI_FRAME, TRUNCATED, UNDECODABLE, BLANK.
    """
    data = without_texts(data) if data.startswith(SIGNATURE) else data
    try:
        image = _open(data, limits)
        image.load()
        _refuse_filled(data, image)
        image = _upright(image)
    except PARSE_ERRORS as error:
        reason = ReasonCode.TRUNCATED if _is_cut(data) else ReasonCode.UNDECODABLE
        raise Rejected(reason, f"the picture cannot be decoded ({type(error).__name__})") from None
    if image.mode in _WIDE_MODES:
        wide = np.asarray(image).clip(0, 65535).astype(np.uint16)
        return wide, grey_of_wide(wide, deep=deep)
    grey = np.asarray(_grey(image))
    refuse_constant(grey)
    return grey, Shown(grey)


def _upright(image: Image.Image) -> Image.Image:
    """Turned by EXIF; unchanged where EXIF cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except PARSE_ERRORS:
        return image


def _open(data: bytes, limits: Limits) -> Image.Image:
    """The picture with its pixels still packed, if they are worth unpacking."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a bomb: our own limit follows
            image = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
    except Image.DecompressionBombError:
        raise Rejected(ReasonCode.TOO_LARGE, f"the limit is {limits.max_pixels} pixels") from None
    except UnidentifiedImageError:
        reason = ReasonCode.TRUNCATED if _is_cut(data) else ReasonCode.UNDECODABLE
        raise Rejected(reason, "the picture has no readable header") from None
    check_size(image.height, image.width, limits)
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise Rejected(ReasonCode.MULTI_FRAME, "an animated picture")
    return image


def _grey(image: Image.Image) -> Image.Image:
    """8-bit grey. What is transparent is outside the film, so it becomes black."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode in ("CMYK", "LAB", "HSV", "RGBA"):
        image = image.convert("RGB")
    return image.convert("L")


def _refuse_filled(data: bytes, image: Image.Image) -> None:
    """Pillow leaves grey or black where the data of a picture end early.

    Raises:
        Rejected: TRUNCATED.
    """
    pixels = np.asarray(image)
    if data.startswith(_JPEG):
        refuse_filled(data, pixels, lambda probed: np.asarray(Image.open(BytesIO(probed), formats=("JPEG",))))
    elif pixels[-1].min() == pixels[-1].max() and is_short(data):
        raise Rejected(ReasonCode.TRUNCATED, "the picture ends before its last row")


def _is_cut(data: bytes) -> bool:
    """True if the end mark is missing: PNG's IEND chunk, JPEG's EOI after the last scan; or if pixels are."""
    if data.startswith(_JPEG):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda") or b"\xff\xda" not in data
    if all(kind != b"IEND" for kind, _, _ in chunks(data)):
        return True
    try:
        return is_short(data)
    except PARSE_ERRORS:
        return False
