"""From the bits of a sample to its value (PS3.5 8.1.1): Bits Stored, High Bit and Pixel Representation, and what the
values themselves say where these are missing or wrong."""

from dataclasses import dataclass

import numpy as np

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.layout import PixelLayout
from xraygpt_core.dicom.measure import CLEARLY, is_better, roughness

_RARE = 0.05  # of the pixels: an overlay is drawn in fewer (a mask in nearly all of them)
_MANY = 0.003  # of the pixels: values with a sign are no letters
_WIDE = 0.1  # times as different as the others
_SAMPLE = 2**16  # pixels


@dataclass(frozen=True)
class Field:
    """Which bits of a sample are the value."""

    stored: int
    low: int  # the lowest of them
    signed: bool

    def of(self, raw: Values) -> Values:
        """Values of unsigned samples, as int16 or uint16 (int8 or uint8 of bytes)."""
        container = raw.dtype.itemsize * 8
        above = container - self.low - self.stored
        meant = raw.view(f"i{raw.dtype.itemsize}") if self.signed else raw
        if not above and not self.low:
            return meant
        shifted: Values = np.right_shift(np.left_shift(meant, above), above + self.low)
        return shifted


def read_bits(raw: Values, image: PixelLayout, width: int) -> tuple[Values, int, bool, bool]:
    """Values of a grey image.

    Args:
        raw: unsigned samples (rows, columns), as they stand in memory.
        image: what the header claims.
        width: bits of a sample that can be used: allocated, or the precision of a codestream.

    Returns:
        Values, their bits, True if they are signed, True if the header's claim was wrong.
    """
    used = int(np.bitwise_or.reduce(raw, axis=None))
    claimed, contradicted = _claimed(image, width, used)
    claimed, moved = _without_low_bits(raw, claimed, used)
    varying = used & ~int(np.bitwise_and.reduce(raw, axis=None))
    values, chosen = _settle(raw, claimed, width, varying)
    return values, chosen.stored, chosen.signed, contradicted or moved or chosen != claimed


def _claimed(image: PixelLayout, width: int, used: int) -> tuple[Field, bool]:
    """The field that the header states; repaired where it is impossible: True."""
    top = max(used.bit_length(), 1)
    if not image.stored:  # a high bit states as much
        stored = image.high_bit + 1 if 0 < image.high_bit < width else top
        return Field(stored, 0, image.signed), not 0 < image.high_bit < width
    if image.stored > width:
        return Field(width, 0, image.signed), True
    high_bit = image.stored - 1 if image.high_bit < 0 else image.high_bit
    if not image.stored - 1 <= high_bit < width:
        return Field(image.stored, 0, image.signed), True
    spare = width - image.stored
    if spare and high_bit < top - 1 and not used & ((1 << spare) - 1):  # so many bits, but at the other end
        return Field(image.stored, spare, image.signed), True
    return Field(image.stored, high_bit - image.stored + 1, image.signed), False


def _without_low_bits(raw: Values, claimed: Field, used: int) -> tuple[Field, bool]:
    """Bits below the field belong to the value if each of them is set now and then; overlays are drawn rarely."""
    if not claimed.low or not used & ((1 << claimed.low) - 1):
        return claimed, False
    shares = [np.count_nonzero(raw & (1 << bit)) / raw.size for bit in range(claimed.low)]
    if any(not _RARE < share < 1 - _RARE for share in shares):
        return claimed, False
    fits = used.bit_length() <= claimed.stored
    return Field(claimed.stored if fits else claimed.low + claimed.stored, 0, claimed.signed), True


def _settle(raw: Values, claimed: Field, width: int, varying: int) -> tuple[Values, Field]:
    """The header's reading, unless another one is clearly that of a picture.

    Args:
        varying: the bits that are not alike in all samples; the others say nothing.
    """
    values = claimed.of(raw)
    top = claimed.low + claimed.stored
    if varying >> top:  # bits above the field: old overlays, a sign, or values wider than the header says
        for reading in (Field(max(varying.bit_length(), top), 0, False), Field(width, 0, True)):
            other = reading.of(raw)
            if is_better(other, values) or roughness(other) < CLEARLY * roughness(values):
                values, claimed = other, reading
    reading = Field(claimed.stored, claimed.low, not claimed.signed)
    if varying >> (claimed.low + claimed.stored - 1) & 1 and _may_have_signs(raw, claimed):
        other = reading.of(raw)
        if is_better(other, values, without_ends=True):
            values, claimed = other, reading
    return values, claimed


def _may_have_signs(raw: Values, claimed: Field) -> bool:
    """True if the values with the highest bit are many and differ: white letters on black have it, too."""
    few = Field(claimed.stored, claimed.low, False).of(raw.ravel()[:: max(1, raw.size // _SAMPLE)])
    is_high = few >> (claimed.stored - 1) > 0
    high, low = few[is_high], few[~is_high]
    if high.size < _MANY * few.size:
        return False
    spread, other = (np.subtract(*np.percentile(one, (95, 5))) if one.size else 0 for one in (high, low))
    return bool(spread > _WIDE * other)
