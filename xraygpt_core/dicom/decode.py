"""From Pixel Data (7FE0,0010) to stored values; where header and data disagree the data decide, and are marked."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from pydicom.pixels import convert_color_space

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.bits import read_bits
from xraygpt_core.dicom.codecs import decode_stream
from xraygpt_core.dicom.codestream import LABELS, Codestream, CodestreamKind, identify
from xraygpt_core.dicom.fragments import read_fragments
from xraygpt_core.dicom.layout import GREY, PALETTE, PixelLayout, layout, of_stream
from xraygpt_core.dicom.native import in_order, is_native_length, read_native, unswap, with_stride
from xraygpt_core.dicom.palette import colours_of
from xraygpt_core.dicom.parse import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Parsed, PixelElement
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

_ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
_NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})
_STANDARD = "1.2.840.10008."
_TINT, _MOST = 8, 0.9  # levels of colour that the compression of a grey picture may leave; share of its pixels


@dataclass(frozen=True)
class Encoded:
    """The bytes of the only frame, and what they are."""

    frame: bytes
    stream: Codestream | None  # None: uncompressed
    little: bool  # byte order, if uncompressed
    words: bool  # written as words of 16 bits, of any sample size (VR OW)
    cut: bool  # the file ends within them
    contradicted: bool  # the transfer syntax names something else


@dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Attributes:
        values: (rows, columns) stored values, or (rows, columns, 3) red, green, blue.
        stored_bits: of a grey value; not always Bits Stored.
        signed: Pixel Representation, as the values have it.
        contradicted: the header described other pixels than there are.
    """

    values: Values
    stored_bits: int
    signed: bool
    contradicted: bool


def true_size(parsed: Parsed) -> tuple[int, int] | None:
    """Rows and columns as the codestream states them: what limits must be held against; None if there is none."""
    try:
        stream = locate(parsed).stream
    except Rejected:
        return None  # the header may have a better reason to refuse it
    return (stream.rows, stream.columns) if stream is not None and stream.rows else None


def locate(parsed: Parsed) -> Encoded:
    """Find the frame in Pixel Data; nothing is decoded.

    Raises:
        Rejected: NO_PIXELS, TRUNCATED, MULTI_FRAME, UNDECODABLE.
    """
    label, claimed = parsed.transfer_syntax, layout(parsed.dataset)
    pixels = None if parsed.pixels is None else _whole(parsed.pixels, claimed)
    if pixels is None or not pixels.value:
        raise Rejected(ReasonCode.NO_PIXELS, "the Pixel Data element is empty")
    fragments = read_fragments(pixels.value)
    if fragments is None:
        stream = None if is_native_length(len(pixels.value), claimed) else identify(pixels.value)
        expected = LABELS[stream.kind] if stream is not None else _NATIVE
        found = Encoded(
            pixels.value, stream, parsed.encoding.little, pixels.vr == b"OW", pixels.cut,
            _is_wrong(label, expected) or pixels is not parsed.pixels,
        )  # fmt: skip
    else:
        frame, stream = _joined(fragments.items, claimed)
        if stream is None and not frame:
            raise Rejected(ReasonCode.NO_PIXELS, "Pixel Data has no fragment")
        expected = LABELS[stream.kind] if stream is not None else frozenset({_ENCAPSULATED_UNCOMPRESSED})
        found = Encoded(frame, stream, True, False, fragments.cut or pixels.cut, _is_wrong(label, expected))
    return _checked(found, claimed, label, fragments is not None)


def _whole(pixels: PixelElement, claimed: PixelLayout) -> PixelElement:
    """With the bytes that its length leaves out, where the pixels need them."""
    if not pixels.behind or len(pixels.value) >= claimed.native_bytes:
        return pixels
    value = pixels.value + pixels.behind
    needed = len(value) >= claimed.native_bytes or read_fragments(value) is not None
    return replace(pixels, value=value) if needed else pixels


def _is_wrong(label: str | None, expected: frozenset[str]) -> bool:
    return label is not None and label.startswith(_STANDARD) and label not in expected


def _joined(items: tuple[bytes, ...], claimed: PixelLayout) -> tuple[bytes, Codestream | None]:
    """One frame is all fragments; the first item is the offset table, unless it is a fragment, too."""
    for begin in (1, 0):
        frame = b"".join(items[begin:])
        stream = identify(frame)
        if stream is not None:
            return frame, stream
        padded = begin and len(frame) >= claimed.native_bytes > 0 and not frame[claimed.native_bytes :].strip(b"\0")
        if is_native_length(len(frame), claimed) or padded:
            return frame[: claimed.native_bytes + 1], None
    return b"".join(items[1:]), None


def _checked(found: Encoded, claimed: PixelLayout, label: str | None, encapsulated: bool) -> Encoded:
    """Raises: Rejected: TRUNCATED, MULTI_FRAME, UNDECODABLE for what cannot be the frame."""
    if found.stream is not None:
        if (found.cut and found.stream.kind is CodestreamKind.RLE) or not found.stream.complete:
            raise Rejected(ReasonCode.TRUNCATED, f"the {found.stream.kind} codestream ends early")
        if found.stream.more:
            raise Rejected(ReasonCode.MULTI_FRAME, "more than one frame")
    elif encapsulated and not is_native_length(len(found.frame), claimed):
        if found.cut or (found.frame and label in _NATIVE | {_ENCAPSULATED_UNCOMPRESSED}):
            raise Rejected(ReasonCode.TRUNCATED, "the fragments end before the picture does")
        raise Rejected(ReasonCode.UNDECODABLE, "the fragments are no codestream of a still image")
    elif found.contradicted and not found.cut and len(found.frame) < claimed.native_bytes // 2:
        raise Rejected(ReasonCode.UNDECODABLE, "Pixel Data are neither fragments nor as long as the pixels")
    return found


def decode(parsed: Parsed) -> Decoded:
    """Decode the only frame.

    Raises:
        Rejected: NO_PIXELS, TRUNCATED, MULTI_FRAME, UNDECODABLE.
    """
    encoded, claimed = locate(parsed), layout(parsed.dataset)
    if encoded.stream is None:
        swapped = encoded.words and not encoded.little and claimed.allocated == 8
        value = unswap(encoded.frame) if swapped else encoded.frame
        raw, true, wrong = read_native(value, claimed, little=encoded.little, cut=encoded.cut)
        width = true.allocated
    else:
        true = of_stream(claimed, encoded.stream)
        raw = decode_stream(encoded.frame, encoded.stream, true)
        wrong = _stream_contradicts(claimed, true)
        width = encoded.stream.precision or true.allocated
        if encoded.stream.kind is CodestreamKind.RLE:
            raw, swapped = in_order(raw, true) if true.samples == 1 and true.allocated == 16 else (raw, False)
            raw, exchanged = with_stride(raw)
            wrong |= swapped or exchanged
    wrong |= encoded.contradicted or parsed.contradicted
    if true.samples == 3:
        return _colour(raw, true, claimed, encoded.stream is None, wrong)
    if true.photometric == PALETTE:
        colours, strange = colours_of(parsed.dataset, raw)
        return Decoded(colours, 8, False, wrong or strange)
    values, stored, signed, contradicted = read_bits(raw, true, width)
    return Decoded(values, stored, signed, wrong or contradicted)


def _stream_contradicts(claimed: PixelLayout, true: PixelLayout) -> bool:
    """Bits Allocated and the order of the planes are no matter of a compressed picture; size and colours are."""
    same = (true.rows, true.columns, true.samples) == (claimed.rows, claimed.columns, claimed.samples)
    return not same or _family(claimed.photometric) != _family(true.photometric)


def _family(photometric: str) -> str:
    if photometric in ("YBR_ICT", "YBR_RCT"):
        return "RGB"  # what the decoder undoes
    return "YBR" if photometric.startswith("YBR") else photometric


def _colour(raw: Values, true: PixelLayout, claimed: PixelLayout, native: bool, wrong: bool) -> Decoded:
    """Red, green and blue; their luma, if the header says that the picture is grey, and so how it is to be shown."""
    stated_ybr = native and true.photometric.startswith("YBR")
    is_ybr = _is_ybr(raw, stated=stated_ybr)
    if is_ybr:
        raw = convert_color_space(raw, "YBR_FULL", "RGB")
    stored = _colour_bits(raw, claimed)
    wrong |= stored != claimed.stored or is_ybr != stated_ybr
    if claimed.photometric not in GREY:
        return Decoded(raw, stored, False, wrong)
    return Decoded(luma(raw), stored, False, True)


def _colour_bits(raw: Values, claimed: PixelLayout) -> int:
    """Bits Stored, unless values go beyond, or leave three quarters of them unused: no colour film is so dark."""
    used = max(8, int(raw.max()).bit_length())
    return claimed.stored if used <= claimed.stored <= min(used + 1, 8 * raw.itemsize) else used + used % 2


def _is_ybr(raw: Values, *, stated: bool) -> bool:
    """True for luminance and two chrominances. A film is grey: then these are 128, or red, green and blue are alike."""
    if raw.dtype.itemsize > 1:
        return stated
    few = raw[:: max(1, raw.shape[0] // 256), :: max(1, raw.shape[1] // 256)].astype(np.int16)
    if stated:
        alike = np.abs(few[..., 1:] - few[..., :1]).max(axis=2) <= _TINT
        return not (alike.mean() > _MOST and not _is_neutral(few))
    return _is_neutral(few)


def _is_neutral(few: Values) -> bool:
    """Chrominances of a grey picture, and luminances that are not 128 as well."""
    neutral = np.abs(few[..., 1:] - 128).max(axis=2) <= _TINT
    return bool(neutral.mean() > _MOST and (np.abs(few[..., 0] - 128) > _TINT).mean() > 1 - _MOST)


def luma(values: Values) -> Values:
    """ITU-R BT.601, in the type of the values."""
    weighted = values[..., 0] * np.uint32(299) + values[..., 1] * np.uint32(587) + values[..., 2] * np.uint32(114)
    grey: Values = ((weighted + 500) // 1000).astype(values.dtype)
    return grey


def pixel_sha256(values: Values) -> str:
    """sha256 of shape and values. Equal pixels give equal hashes in every syntax and bit depth."""
    signed = values.dtype.kind == "i" and values.size > 0 and int(values.min()) < 0
    digest = hashlib.sha256(f"{values.shape} {'signed' if signed else 'unsigned'} ".encode())
    digest.update(np.ascontiguousarray(values, dtype="<i2" if signed else "<u2").data)
    return digest.hexdigest()
