"""The decoders of codestreams: fuzzed by others, free to ship, and called with the codestream's own description."""

from collections.abc import Callable
from functools import partial

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.codestream import Codestream, CodestreamKind, rle_sizes
from xraygpt_core.dicom.header import PARSE_ERRORS
from xraygpt_core.dicom.jpeg import read_jpeg_header
from xraygpt_core.dicom.layout import PixelLayout
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

# Named one by one, because pydicom tries every plug-in it finds, and pylibjpeg-libjpeg is GPL. The first that succeeds
# wins; the better tested one comes first. The transfer syntax (PS3.6 table A-1) is the one under which pydicom asks.
PLUGINS: dict[CodestreamKind, tuple[tuple[str, str], ...]] = {
    CodestreamKind.DCT: (("1.2.840.10008.1.2.4.50", "pillow"), ("1.2.840.10008.1.2.4.50", "gdcm")),
    # GDCM reads 12 bits; it is pydicom that does not ask it to under the name of JPEG extended.
    CodestreamKind.DCT_12: (("1.2.840.10008.1.2.4.50", "gdcm"),),
    CodestreamKind.LOSSLESS: (("1.2.840.10008.1.2.4.70", "gdcm"), ("1.2.840.10008.1.2.4.57", "gdcm")),
    CodestreamKind.JPEG_LS: (("1.2.840.10008.1.2.4.80", "gdcm"), ("1.2.840.10008.1.2.4.81", "gdcm")),
    CodestreamKind.JPEG_2000: (("1.2.840.10008.1.2.4.91", "pylibjpeg"), ("1.2.840.10008.1.2.4.91", "gdcm")),  # openjpeg
    CodestreamKind.HTJ2K: (("1.2.840.10008.1.2.4.203", "pylibjpeg"),),  # openjpeg
    CodestreamKind.RLE: (("1.2.840.10008.1.2.5", "pydicom"),),  # pylibjpeg-rle panics on broken runs, past every except
}
# libjpeg fills what is missing with grey.
_TOLERANT = frozenset({CodestreamKind.DCT, CodestreamKind.DCT_12, CodestreamKind.LOSSLESS})
# Codes of any table, and zeros: GDCM gives up after two warnings, and zeros are a valid code of every table.
_PROBES = (bytes((37 * step + 11) % 251 for step in range(256)), bytes(1024))


def decode_stream(frame: bytes, stream: Codestream, image: PixelLayout) -> Values:
    """Samples of one frame.

    Args:
        frame: the codestream, all fragments.
        stream: its header.
        image: as the codestream says (:func:`xraygpt_core.dicom.layout.of_stream`).

    Returns:
        Unsigned samples (rows, columns), or red, green and blue (rows, columns, 3).

    Raises:
        Rejected: TRUNCATED, UNDECODABLE.
    """
    if not stream.complete:
        raise Rejected(ReasonCode.TRUNCATED, f"the {stream.kind} codestream ends early")
    for call in PLUGINS[stream.kind]:
        values = _decode(frame, stream, image, call)
        if values is not None:
            if stream.kind in _TOLERANT:
                refuse_filled(frame, values, partial(_decode, stream=stream, image=image, call=call))
            return values
    if stream.kind is CodestreamKind.RLE and _is_short(rle_sizes(frame), image.rows * image.columns):
        raise Rejected(ReasonCode.TRUNCATED, "an RLE segment ends before the picture does")
    raise Rejected(ReasonCode.UNDECODABLE, f"no decoder could read the {stream.kind} codestream")


def _decode(frame: bytes, stream: Codestream, image: PixelLayout, call: tuple[str, str]) -> Values | None:
    """One attempt; None if this decoder cannot read it. Its messages are dropped: they may quote the header."""
    precision = image.allocated if stream.kind is CodestreamKind.RLE else stream.precision
    photometric = _as_decoded(frame, stream, image)
    syntax, plugin = call
    try:
        values, _ = get_decoder(syntax).as_array(
            encapsulate([frame]), decoding_plugin=plugin, index=0, raw=image.samples == 1,
            rows=image.rows, columns=image.columns, number_of_frames=1, samples_per_pixel=image.samples,
            photometric_interpretation=photometric, planar_configuration=image.planar,
            bits_allocated=image.allocated, bits_stored=precision, pixel_representation=0,
            pixel_keyword="PixelData", pixel_vr="OB", correct_unused_bits=False,
            apply_j2k_sign_correction=False, apply_jls_sign_correction=False,
        )  # fmt: skip
    except PARSE_ERRORS:
        return None
    shape = (image.rows, image.columns) if image.samples == 1 else (image.rows, image.columns, image.samples)
    if values.shape != shape or values.dtype.itemsize * 8 != image.allocated:
        return None
    raw = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
    if image.samples == 1 and precision < image.allocated:  # a sign may be spread over the bits above
        raw = np.bitwise_and(raw, np.array((1 << precision) - 1, raw.dtype), out=raw if raw.flags.writeable else None)
    return raw


def _as_decoded(frame: bytes, stream: Codestream, image: PixelLayout) -> str:
    """The photometric interpretation of what the decoder gives, which pydicom turns into RGB."""
    if image.samples == 1:
        return "MONOCHROME2"
    if stream.kind is CodestreamKind.DCT:
        header = read_jpeg_header(frame)
        if header is not None and header.has_adobe:
            return "RGB"  # Pillow heeds Adobe's segment itself
    return {"YBR_FULL_422": "YBR_FULL"}.get(image.photometric, image.photometric)


def refuse_filled(frame: bytes, values: Values, decode: Callable[[bytes], Values | None]) -> None:
    """Raise if the decoder silently ran out of data before it had every pixel.

    It leaves grey or black behind, which a film may have, too. So a few bytes are put behind the data: a decoder that
    has every pixel does not look at them, one that has not goes on reading.

    Args:
        frame: a JPEG codestream.
        values: what it was decoded to, (rows, columns) or (rows, columns, samples).
        decode: the same decoder; None if it fails.

    Raises:
        Rejected: TRUNCATED.
    """
    corner = values[-1, -8:]
    flat = corner.min() == corner.max() or (values[-1] == values[-2]).all()
    header = read_jpeg_header(frame)
    if header is None or (header.process != 0xC2 and not flat):
        return
    for probe in _PROBES:
        probed = decode(frame[: header.end] + probe + frame[header.end :])
        if probed is not None and not np.array_equal(probed, values):
            raise Rejected(ReasonCode.TRUNCATED, "the JPEG codestream has data for a part of the picture only")


def _is_short(sizes: list[int], pixels: int) -> bool:
    """True if the last segment alone is too short; if all are alike, the header gives a wrong size."""
    return sizes[-1] < pixels and (len(sizes) == 1 or max(sizes) - sizes[-1] > len(sizes))
