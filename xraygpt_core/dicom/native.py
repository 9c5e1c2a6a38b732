"""Uncompressed Pixel Data: which bytes are which sample (PS3.5 8.1, 8.2 and annex A), in the header's way or another.

The length decides how many bytes a pixel has, against Bits Allocated and Samples per Pixel if need be. Byte order, the
order of the colour planes and exchanged Rows and Columns show in the picture: only one reading is one
(:mod:`xraygpt_core.dicom.measure`).
"""

from dataclasses import replace
from operator import attrgetter

import numpy as np

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.layout import GREY, PixelLayout, is_consistent, of_samples
from xraygpt_core.dicom.measure import CLEARLY, are_pairs_exchanged, roughness, row_roughness, variation
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

_UNFIT = 0.5  # of the pixels: more than old overlays may cover
_EVEN = 0.8  # times as uneven: on real pictures it is below 0.77 or above 1.3
_UNEVEN = 0.1  # difference of a row and the next, of that of any two
_FEW = 2**12  # pixels: of fewer nothing is concluded


def is_native_length(length: int, image: PixelLayout) -> bool:
    """True if so many bytes are this image, a byte of padding included."""
    return image.native_bytes <= length <= image.native_bytes + 1 and image.native_bytes > 0


def unswap(value: bytes) -> bytes:
    """Bytes of words that were written big endian (PS3.5 A.3), in the order of the pixels."""
    return np.frombuffer(value, dtype=">u2", count=len(value) // 2).astype("<u2").tobytes() + value[len(value) & ~1 :]


def read_native(value: bytes, image: PixelLayout, *, little: bool, cut: bool) -> tuple[Values, PixelLayout, bool]:
    """The samples of an uncompressed image.

    Args:
        value: of Pixel Data.
        image: what the header claims.
        little: the byte order of the dataset.
        cut: the file ends within the value.

    Returns:
        Unsigned samples (rows, columns) or (rows, columns, samples) in this machine's byte order, how they were stored,
        and True if that is not what the header claims.

    Raises:
        Rejected: TRUNCATED, UNDECODABLE.
    """
    true = _of_length(value, image, little, cut)
    if true.photometric == "YBR_FULL_422":
        return _samples_422(value, true), true, true != image or _has_more(value, true)
    if true.samples == 3:
        found = _with_planes(value, true, little)
        raw, exchanged = with_stride(_shaped(value, found, little))
        return raw, found, found != image or exchanged or _has_more(value, true)
    raw, swapped = in_order(_shaped(value, true, little), true)
    raw, exchanged = with_stride(raw)
    return raw, true, true != image or swapped or exchanged or _has_more(value, true)


def _has_more(value: bytes, image: PixelLayout) -> bool:
    """True for more behind the pixels than padding: zeros of a row and more may be another picture's, of other rows."""
    return len(value) - image.native_bytes >= image.native_bytes // image.rows or any(value[image.native_bytes + 1 :])


def _of_length(value: bytes, image: PixelLayout, little: bool, cut: bool) -> PixelLayout:
    """The claim, with the samples and bytes a pixel that the length allows.

    Raises:
        Rejected: TRUNCATED, UNDECODABLE.
    """
    length = len(value)
    claims = image.allocated in (8, 16) and is_consistent(image) and _may_share(image)
    if claims and length >= image.native_bytes:
        if is_native_length(length, image) and image.photometric != "YBR_FULL_422":
            return image
        limit = CLEARLY * _rough(value, image, little)
        others = [] if cut else [one for one in _readings(image) if one.native_bytes <= length]
        return min(
            (one for one in others if _rough(value, one, little) < limit), default=image, key=attrgetter("native_bytes")
        )
    others = [] if cut else [one for one in _readings(image) if is_native_length(length, one)]
    if len(others) > 1:
        others.sort(key=lambda one: _rough(value, one, little))
    if others:
        return others[0]
    if claims or cut:
        raise Rejected(ReasonCode.TRUNCATED, f"{length} bytes of pixels; {image.native_bytes} are promised")
    raise Rejected(
        ReasonCode.UNDECODABLE, f"{length} bytes do not fit the description of {image.rows * image.columns} pixels"
    )


def _readings(image: PixelLayout) -> list[PixelLayout]:
    """The other readings of the same bytes."""
    shared = replace(of_samples(image, 3), allocated=8, photometric="YBR_FULL_422", planar=0)
    full = "YBR_FULL" if image.photometric.startswith("YBR") else None
    found = [
        replace(_of_width(image, bits), samples=samples, photometric=of_samples(image, samples, full).photometric)
        for samples, bits in ((1, 16), (1, 8), (3, 8), (3, 16))
    ]
    if image.photometric == "YBR_FULL" and _may_share(shared):
        found.append(shared)
    return found


def _may_share(image: PixelLayout) -> bool:
    """False where two pixels of 8 bits are to share their colour and there are no such pairs."""
    return image.photometric != "YBR_FULL_422" or (image.allocated == 8 and image.rows * image.columns % 2 == 0)


def _of_width(image: PixelLayout, allocated: int) -> PixelLayout:
    """With so many bits allocated; Bits Stored and High Bit are dropped where they come from the wrong number."""
    if allocated == image.allocated:
        return image
    fits = 8 < image.stored <= allocated
    return replace(
        image, allocated=allocated, stored=image.stored if fits else 0, high_bit=image.high_bit if fits else -1
    )


def _rough(value: bytes, image: PixelLayout, little: bool) -> float:
    """Of the smoothest reading of this layout."""
    if image.samples == 3:
        if image.photometric == "YBR_FULL_422":
            return roughness(_samples_422(value, image)[..., 0])
        return min(roughness(_shaped(value, replace(image, planar=planar), little)[..., 0]) for planar in (0, 1))
    orders = (True, False) if image.allocated == 16 else (little,)
    return min(_signed_or_not(_shaped(value, image, order)) for order in orders)


def _signed_or_not(raw: Values) -> float:
    """Values around zero look rough unless their sign is seen."""
    return min(roughness(raw), roughness(raw.view(f"i{raw.dtype.itemsize}")))


def in_order(raw: Values, image: PixelLayout) -> tuple[Values, bool]:
    """Samples in the byte order in which they are a picture: True, if it is clearly not the one they were read in."""
    if raw.dtype.itemsize == 1:
        return (_exchanged(raw), True) if are_pairs_exchanged(raw) else (raw, False)
    swapped = raw.byteswap()
    here, there = _signed_or_not(raw), _signed_or_not(swapped)
    if there < CLEARLY * here:
        return swapped, True
    if here < CLEARLY * there or image.photometric not in GREY:
        return raw, False
    fits = _outside(swapped, image) == 0 and _outside(raw, image) > _UNFIT
    return (swapped, True) if fits else (raw, False)


def _exchanged(raw: Values) -> Values:
    """8-bit samples that share a word of the other byte order (PS3.5 section 7.3)."""
    flat = np.frombuffer(unswap(raw.tobytes()), dtype=np.uint8)
    return flat.reshape(raw.shape)


def _outside(raw: Values, image: PixelLayout) -> float:
    """Share of the pixels with bits above High Bit; sign extension has them, too, and is not counted."""
    top = (image.high_bit if image.high_bit >= 0 else image.stored - 1) + 1
    if not 0 < top < 16:
        return 0.0
    above = raw >> top
    extended = (above == (1 << (16 - top)) - 1) & image.signed
    return float(np.count_nonzero((above != 0) & ~extended) / raw.size)


def _with_planes(value: bytes, image: PixelLayout, little: bool) -> PixelLayout:
    """Colour by pixel or by plane (PS3.3 C.7.6.3.1.3): the header's, unless the other is clearly a picture."""
    other = replace(image, planar=1 - image.planar)
    here, there = (
        sum(variation(samples[..., colour]) for colour in range(3))
        for samples in (_shaped(value, image, little), _shaped(value, other, little))
    )
    return other if there < CLEARLY * here and image.rows * image.columns >= _FEW else image


def with_stride(raw: Values) -> tuple[Values, bool]:
    """Should Rows and Columns be exchanged? True if neighbouring rows are alike only so."""
    rows, columns = raw.shape[:2]
    if rows == columns:
        return raw, False
    turned = np.ascontiguousarray(raw).reshape(columns, rows, *raw.shape[2:])
    here, there = (row_roughness(one if one.ndim == 2 else one[..., 1]) for one in (raw, turned))
    return (turned, True) if here > _UNEVEN and there < _EVEN * here else (raw, False)


def _shaped(value: bytes, image: PixelLayout, little: bool) -> Values:
    """(rows, columns) or (rows, columns, samples)."""
    wide = image.allocated == 16
    count = image.rows * image.columns * image.samples
    raw = np.frombuffer(value, dtype=("<u2" if little else ">u2") if wide else "u1", count=count)
    raw = raw.astype(np.uint16 if wide else np.uint8, copy=False)
    if image.samples == 1:
        return raw.reshape(image.rows, image.columns)
    if image.planar:
        return raw.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
    return raw.reshape(image.rows, image.columns, image.samples)


def _samples_422(value: bytes, image: PixelLayout) -> Values:
    """Two luminances share their chrominances: Y1 Y2 CB CR (PS3.3 C.7.6.3.1.2)."""
    count = image.native_bytes // 4 * 4
    four = np.frombuffer(value, dtype="u1", count=count).reshape(-1, 4)
    pairs = np.stack([four[:, (0, 2, 3)], four[:, (1, 2, 3)]], axis=1)
    return pairs.reshape(image.rows, image.columns, 3)
