"""How pixels are stored (Image Pixel module, PS3.3 C.7.6.3): what the header claims, and what the data say instead."""

from dataclasses import dataclass, replace
from typing import Any

from xraygpt_core.dicom.codestream import Codestream, CodestreamKind
from xraygpt_core.dicom.header import integer, word
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"})
PALETTE = "PALETTE COLOR"


@dataclass(frozen=True)
class PixelLayout:
    """Of a single-frame image. As read from a header, numbers may contradict each other; 0 is what is absent."""

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int  # bits
    stored: int  # bits
    high_bit: int  # -1: not stated
    signed: bool
    planar: int
    named: bool = True  # the header names the photometric interpretation

    @property
    def native_bytes(self) -> int:
        """What an uncompressed image needs; YBR_FULL_422 shares its colour between two pixels."""
        samples = 2 if self.photometric == "YBR_FULL_422" and self.samples == 3 else self.samples
        return self.rows * self.columns * samples * self.allocated // 8


def layout(dataset: Any) -> PixelLayout:
    """Read the description of the pixels; what it says is checked where it is used.

    Raises:
        Rejected: UNDECODABLE for an unknown photometric interpretation.
    """
    three = integer(dataset, "SamplesPerPixel") == 3
    stated = word(dataset, "PhotometricInterpretation")
    photometric = (stated or ("RGB" if three else "MONOCHROME2")).upper()
    high_bit = integer(dataset, "HighBit")
    found = PixelLayout(
        rows=integer(dataset, "Rows") or 0,
        columns=integer(dataset, "Columns") or 0,
        samples=integer(dataset, "SamplesPerPixel") or (3 if photometric in COLOUR else 1),
        photometric=photometric,
        allocated=integer(dataset, "BitsAllocated") or 0,
        stored=integer(dataset, "BitsStored") or 0,
        high_bit=-1 if high_bit is None else high_bit,
        signed=integer(dataset, "PixelRepresentation") == 1,
        planar=1 if integer(dataset, "PlanarConfiguration") == 1 else 0,
        named=bool(stated),
    )
    if photometric not in GREY | COLOUR | {PALETTE}:
        raise Rejected(ReasonCode.UNDECODABLE, "the photometric interpretation is unknown")
    return found


def is_consistent(image: PixelLayout) -> bool:
    """True if the samples fit the photometric interpretation."""
    return image.samples == (3 if image.photometric in COLOUR else 1)


def of_samples(image: PixelLayout, samples: int, photometric: str | None = None) -> PixelLayout:
    """The same with this many samples a pixel, and a photometric interpretation that fits them."""
    if samples == 3:
        meant = photometric or (image.photometric if image.photometric in COLOUR else "RGB")
    else:
        meant = "MONOCHROME2" if image.photometric in COLOUR else image.photometric
    return replace(image, samples=samples, photometric=meant)


def of_stream(image: PixelLayout, stream: Codestream) -> PixelLayout:
    """What the codestream says, where it says something.

    Raises:
        Rejected: UNDECODABLE for what no decoder here reads.
    """
    if stream.kind is CodestreamKind.RLE:
        return _of_planes(image, stream.components)
    if stream.components not in (1, 3) or not 1 <= stream.precision <= 16:
        raise Rejected(
            ReasonCode.UNDECODABLE, f"a codestream of {stream.components} components of {stream.precision} bits"
        )
    described = of_samples(image, stream.components, stream.photometric or _colours_of_dct(image, stream))
    return replace(
        described, rows=stream.rows, columns=stream.columns, allocated=8 if stream.precision <= 8 else 16, planar=0
    )


def _colours_of_dct(image: PixelLayout, stream: Codestream) -> str | None:
    """Three components without a word about them are YCbCr, as every JPEG reader takes them, but for a header's RGB."""
    silent = stream.kind is CodestreamKind.DCT and not (image.photometric == "RGB" and image.named)
    return "YBR_FULL" if silent else None


def _of_planes(image: PixelLayout, planes: int) -> PixelLayout:
    """RLE: a segment is one byte of one sample (PS3.5 G.2)."""
    if planes not in (1, 2, 3, 6):
        raise Rejected(ReasonCode.UNDECODABLE, f"{planes} RLE segments")
    samples = 3 if planes % 3 == 0 else 1
    return replace(of_samples(image, samples), allocated=8 * planes // samples, planar=1 if samples == 3 else 0)
