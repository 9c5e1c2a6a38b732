"""The path of one image: bytes, header, decision, pixels, grey, PNG.

This runs in the process that calls it; workers call :class:`xraygpt_core.dicom.sandbox.Sandbox`, which runs it in a
child process, where a crash or a bomb does no harm.
"""

import warnings
import zlib
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from xraygpt_core.clinical_text import UNKNOWN, Clinical
from xraygpt_core.dicom import admission, header, plausible, views
from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.decode import decode, pixel_sha256, true_size
from xraygpt_core.dicom.deep import Deep
from xraygpt_core.dicom.facts import stated_facts
from xraygpt_core.dicom.header_budget import header_budget
from xraygpt_core.dicom.orientation import turned
from xraygpt_core.dicom.origin import flags_of, origin
from xraygpt_core.dicom.parse import Parsed, is_dicom, parse
from xraygpt_core.dicom.picture import is_picture, read_picture
from xraygpt_core.dicom.pixels import Shown, grey_of_dicom, histogram_gaps
from xraygpt_core.dicom.types import NO_FACTS, DeepCopy, HeaderFacts, Identifiers, Limits, NormalisedImage
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, Origin, ReasonCode

NORMALISED_SIDE, PREVIEW_SIDE = 2048, 1024  # pixels
_MOST_IMAGES = 1000  # a study of more is a header's slip


def normalise(data: bytes, limits: Limits, *, deep: bool = False) -> NormalisedImage:
    """Read one DICOM, PNG or JPEG file.

    Args:
        data: the whole file.
        limits: only ``max_pixels`` is enforced here; time and memory are the sandbox's.
        deep: whether the film's own values are kept, too.

    Raises:
        Rejected: with its reason code; the detail never quotes a header value.
    """
    if not data:
        raise Rejected(ReasonCode.EMPTY, "the file has no bytes")
    try:
        with warnings.catch_warnings(), header_budget():
            warnings.simplefilter("ignore")  # pydicom's warnings quote header values
            if is_dicom(data):
                return _normalise_dicom(data, limits, deep=deep)
            if is_picture(data):
                return _normalise_picture(data, limits, deep=deep)
    except MemoryError:
        raise Rejected(ReasonCode.UNDECODABLE, "decoding needs more memory than it may have") from None
    raise Rejected(ReasonCode.NOT_DICOM_OR_IMAGE, "the file is neither DICOM nor PNG nor JPEG")


def _normalise_dicom(data: bytes, limits: Limits, *, deep: bool) -> NormalisedImage:
    parsed = parse(data, limits)
    dataset = parsed.dataset
    if parsed.pixels is None:
        reason = ReasonCode.TRUNCATED if parsed.cut else ReasonCode.NO_PIXELS
        raise Rejected(reason, "the file ends before its pixels" if parsed.cut else "there is no Pixel Data element")
    view = views.view(dataset)
    stated = stated_facts(dataset, view)
    wrong_size = _correct_size(parsed)
    flags = admission.accept(dataset, limits)
    decoded = decode(parsed)
    if decoded.values.ndim == 2:  # what the header's tables, padding and ranges are read by
        dataset.BitsStored, dataset.PixelRepresentation = decoded.stored_bits, int(decoded.signed)
    shown = grey_of_dicom(decoded.values, dataset, decoded.stored_bits, deep=deep)
    made = origin(dataset, captured=Flag.SECONDARY_CAPTURE in flags, synthetic=Flag.SYNTHETIC in flags)
    shown, uncertain = _positioned(shown, dataset, view)
    doubts = (
        (Flag.HEADER_CONTRADICTS_PIXELS, shown.contradicted or decoded.contradicted or wrong_size),
        (Flag.ORIENTATION_UNCERTAIN, uncertain),
        (Flag.VIEW_UNKNOWN, view is None),
    )
    expected = header.integer(dataset, "NumberOfStudyRelatedInstances")
    return _result(
        decoded.values,
        shown,
        kind="dicom",
        view=view,
        made=made,
        modality=admission.modality(dataset),
        expected_images=expected if expected is not None and 1 <= expected <= _MOST_IMAGES else None,
        flags=(*flags, *flags_of(made), *(flag for flag, doubtful in doubts if doubtful)),
        identifiers=header.identifiers(dataset),
        clinical=header.clinical(dataset),
        facts=stated.of(*decoded.values.shape[:2]),
    )


def _correct_size(parsed: Parsed) -> bool:
    """Hold the size limits against what a codestream says: True if the header says something else."""
    size = true_size(parsed)
    if size is None or size == (header.integer(parsed.dataset, "Rows"), header.integer(parsed.dataset, "Columns")):
        return False
    parsed.dataset.Rows, parsed.dataset.Columns = size
    return True


def _positioned(shown: Shown, dataset: Any, view: str | None) -> tuple[Shown, bool]:
    """The film as it is read, and whether that is uncertain."""
    grey, uncertain = turned(shown.grey, dataset, view)
    deep = shown.deep and replace(shown.deep, codes=turned(shown.deep.codes, dataset, view)[0])
    return replace(shown, grey=grey, deep=deep), uncertain


def _normalise_picture(data: bytes, limits: Limits, *, deep: bool) -> NormalisedImage:
    values, shown = read_picture(data, limits, deep=deep)
    return _result(
        values,
        shown,
        kind="picture",
        flags=(Flag.NOT_VERIFIED_CHEST, Flag.BURNED_IN_UNCHECKED, Flag.VIEW_UNKNOWN),
        identifiers=Identifiers(),
    )


def _result(
    values: Values,
    shown: Shown,
    *,
    kind: str,
    flags: tuple[Flag, ...],
    identifiers: Identifiers,
    view: str | None = None,
    made: Origin = Origin.DETECTOR,
    facts: HeaderFacts = NO_FACTS,
    clinical: Clinical = UNKNOWN,
    modality: str | None = None,
    expected_images: int | None = None,
) -> NormalisedImage:
    grey = shown.grey
    plausible.refuse_noise(grey if values.ndim == 3 else values)
    if plausible.doubts(grey):
        flags = (*flags, Flag.IMPLAUSIBLE_PIXELS)
    normalised = _shrink(Image.fromarray(grey), NORMALISED_SIDE)
    return NormalisedImage(
        normalised_png=_png(normalised),
        preview_png=_png(_shrink(normalised, PREVIEW_SIDE)),
        rows=grey.shape[0],
        columns=grey.shape[1],
        pixel_sha256=pixel_sha256(values),
        view=view,
        origin=made,
        modality=modality,
        kind=kind,
        expected_images=expected_images,
        flags=flags,
        identifiers=identifiers,
        facts=facts,
        clinical=clinical,
        histogram_gaps=histogram_gaps(grey),
        deep=_deep_copy(shown.deep) if shown.deep else None,
    )


def _deep_copy(deep: Deep) -> DeepCopy:
    small = np.asarray(_shrink(Image.fromarray(deep.codes), NORMALISED_SIDE))
    codes = small.clip(0, int(deep.codes.max())).astype(np.uint16)  # resampling swings beyond a sharp edge
    return DeepCopy(_png(Image.fromarray(codes)), deep.scale, deep.window)


def _shrink(image: Image.Image, side: int) -> Image.Image:
    """The image with its long side at most ``side`` pixels; never enlarged."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _png(image: Image.Image) -> bytes:
    """Grey PNG with no chunk but the pixels'; of films, run lengths compress as well as level 6, and faster."""
    buffer = BytesIO()
    image.save(buffer, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()
