"""From encoded Pixel Data (7FE0,0010) to stored values, by decoders that are fuzzed by others and free to ship."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.pixels import get_decoder

from xraygpt_core.dicom.header import PARSE_ERRORS, integer, word
from xraygpt_core.dicom.palette import colours_of
from xraygpt_core.dicom.parse import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, PIXEL_DATA, Parsed
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

Values = npt.NDArray[Any]  # (rows, columns) stored values, or (rows, columns, 3) red, green, blue

_NATIVE = {
    IMPLICIT_LITTLE: IMPLICIT_LITTLE,
    EXPLICIT_LITTLE: EXPLICIT_LITTLE,
    EXPLICIT_BIG: EXPLICIT_BIG,
    DEFLATED: EXPLICIT_LITTLE,  # inflated by the parser
}
# Named one by one, because pydicom tries every plug-in it finds, and pylibjpeg-libjpeg is GPL. The first that succeeds
# wins; the better tested one comes first. PS3.6 table A-1.
_PLUGINS: dict[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2.4.50": ("pillow", "gdcm"),  # JPEG baseline
    "1.2.840.10008.1.2.4.51": ("pillow", "gdcm"),  # JPEG extended; 8 bits only
    "1.2.840.10008.1.2.4.57": ("gdcm",),  # JPEG lossless
    "1.2.840.10008.1.2.4.70": ("gdcm",),  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": ("gdcm",),  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": ("gdcm",),  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": ("pylibjpeg", "gdcm"),  # JPEG 2000 lossless, by openjpeg
    "1.2.840.10008.1.2.4.91": ("pylibjpeg", "gdcm"),  # JPEG 2000
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",),  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202": ("pylibjpeg",),  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),  # HTJ2K
    "1.2.840.10008.1.2.5": ("pydicom",),  # RLE lossless; pylibjpeg-rle panics on broken runs, past every except
}
_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"})


@dataclass(frozen=True)
class Layout:
    """Image Pixel module (PS3.3 C.7.6.3) of a single-frame image."""

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int  # bits
    stored: int  # bits
    high_bit: int
    signed: bool
    planar: int

    @property
    def native_bytes(self) -> int:
        """What an uncompressed image needs; YBR_FULL_422 shares its colour between two pixels."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.allocated // 8


def layout(dataset: Any) -> Layout:
    """Read and check the description of the pixels.

    Raises:
        Rejected: UNDECODABLE if it is missing, contradicts itself, or is not 8 to 16 bits.
    """
    photometric = (word(dataset, "PhotometricInterpretation") or "MONOCHROME2").upper()
    allocated = integer(dataset, "BitsAllocated") or 0
    stored = integer(dataset, "BitsStored") or allocated
    high_bit = integer(dataset, "HighBit")
    found = Layout(
        rows=integer(dataset, "Rows") or 0,
        columns=integer(dataset, "Columns") or 0,
        samples=integer(dataset, "SamplesPerPixel") or (3 if photometric in _COLOUR else 1),
        photometric=photometric,
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=integer(dataset, "PixelRepresentation") == 1,
        planar=integer(dataset, "PlanarConfiguration") or 0,
    )
    fits = found.allocated in (8, 16) and 1 <= found.stored <= found.high_bit + 1 <= found.allocated
    if not fits or found.planar not in (0, 1):
        raise Rejected(ReasonCode.UNDECODABLE, f"{stored} of {allocated} bits, high bit {high_bit}: not 8 to 16 bits")
    expected = {1: _GREY | {"PALETTE COLOR"}, 3: _COLOUR}.get(found.samples, frozenset())
    if photometric not in expected:
        raise Rejected(
            ReasonCode.UNDECODABLE, f"{found.samples} samples a pixel do not fit the photometric interpretation"
        )
    return found


def decode(parsed: Parsed, image: Layout) -> Values:
    """Decode the only frame.

    Returns:
        Stored values (rows, columns), signed as the header says; or (rows, columns, 3) for colour.

    Raises:
        Rejected: NO_PIXELS, TRUNCATED, UNDECODABLE.
    """
    element = parsed.dataset.get_item(PIXEL_DATA, keep_deferred=True)
    encoded = element.value if element is not None else None
    if not isinstance(encoded, bytes) or not encoded:
        raise Rejected(ReasonCode.NO_PIXELS, "the Pixel Data element is empty")
    syntax = parsed.transfer_syntax
    if syntax in _NATIVE:
        if len(encoded) < image.native_bytes:
            raise Rejected(ReasonCode.TRUNCATED, f"{len(encoded)} bytes of pixels; {image.native_bytes} are promised")
        values = _decode(encoded, image, _NATIVE[syntax], "", "OB" if element.VR == "OB" else "OW")
    elif syntax in _PLUGINS:
        values = _decode_compressed(encoded, image, syntax)
    else:
        raise Rejected(ReasonCode.UNDECODABLE, "the transfer syntax is not one of a still image")
    if values is None:
        raise Rejected(ReasonCode.UNDECODABLE, f"no decoder could read the pixels (transfer syntax {syntax})")
    return colours_of(parsed.dataset, values)[0] if image.photometric == "PALETTE COLOR" else values


def _decode_compressed(encoded: bytes, image: Layout, syntax: str) -> Values | None:
    for plugin in _PLUGINS[syntax]:
        values = _decode(encoded, image, syntax, plugin, "OB")
        if values is not None:
            return values
    return None


def _decode(encoded: bytes, image: Layout, syntax: str, plugin: str, vr: str) -> Values | None:
    """One attempt; None if this decoder cannot read it. What it said is dropped: it may quote the header."""
    native = not plugin
    try:
        values, _ = get_decoder(syntax).as_array(
            encoded, decoding_plugin=plugin, index=0, raw=image.samples == 1,
            rows=image.rows, columns=image.columns, number_of_frames=1, samples_per_pixel=image.samples,
            photometric_interpretation=image.photometric, planar_configuration=image.planar,
            bits_allocated=image.allocated, bits_stored=image.stored, pixel_representation=int(image.signed),
            pixel_keyword="PixelData", pixel_vr=vr, correct_unused_bits=not native,
        )  # fmt: skip
    except PARSE_ERRORS:
        return None
    shape = (image.rows, image.columns) if image.samples == 1 else (image.rows, image.columns, image.samples)
    if values.shape != shape or values.dtype.itemsize > 2:
        return None
    return _drop_unused_bits(values, image) if native else np.asarray(values)


def _drop_unused_bits(values: Values, image: Layout) -> Values:
    """Bits outside [high bit - stored + 1, high bit] may hold anything, such as old overlays (PS3.5 section 8.1.1)."""
    above, unused = image.allocated - 1 - image.high_bit, image.allocated - image.stored
    if not unused:
        return values
    return np.right_shift(np.left_shift(values, above), unused)


def pixel_sha256(values: Values) -> str:
    """sha256 of shape and values. Equal pixels give equal hashes in whatever syntax or bit depth they were stored."""
    signed = values.dtype.kind == "i" and values.size > 0 and int(values.min()) < 0
    digest = hashlib.sha256(f"{values.shape} {'signed' if signed else 'unsigned'} ".encode())
    digest.update(np.ascontiguousarray(values, dtype="<i2" if signed else "<u2").data)
    return digest.hexdigest()
