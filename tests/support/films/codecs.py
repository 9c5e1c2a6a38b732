"""Encoders of the still image transfer syntaxes, each from a wheel that the product has anyway, or written here."""

import io
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gdcm
import numpy as np
from openjpeg import encode as openjpeg
from PIL import Image

from tests.support.films import jpeg12
from tests.support.films.encoding import EXPLICIT, File

_GDCM = {
    "1.2.840.10008.1.2.4.57": "JPEGLosslessProcess14",
    "1.2.840.10008.1.2.4.70": "JPEGLosslessProcess14_1",
    "1.2.840.10008.1.2.4.80": "JPEGLSLossless",
    "1.2.840.10008.1.2.4.81": "JPEGLSNearLossless",
}
RLE, JPEG, JPEG_EXTENDED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
J2K, J2K_LOSSY = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
LOSSLESS = (RLE, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", J2K)

JPEGS = (JPEG, JPEG_EXTENDED, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")


@dataclass(frozen=True)
class Coded:
    """A codestream and how far from the original it may be, in mean grey levels of the picture."""

    stream: bytes
    tolerance: float


def syntaxes(values, bits, signed):
    """The compressed syntaxes that can hold these values."""
    if values.ndim == 3:
        return [RLE, J2K, *([JPEG] if bits == 8 else [])]
    if signed:
        return [RLE, J2K]
    if bits == 8 and values.size % 2:
        return [RLE, J2K, JPEG]  # GDCM reads no native file of odd length
    lossy = [JPEG] if bits == 8 else [JPEG_EXTENDED] if bits == 12 else []
    return [*LOSSLESS, "1.2.840.10008.1.2.4.81", J2K_LOSSY, *lossy]


def compress(values, bits, syntax):
    """(rows, columns) or (rows, columns, 3) values, of 8 or 16 bits allocated."""
    if syntax == RLE:
        return Coded(_rle(values), 0.6)
    if syntax == JPEG:
        return Coded(_jpeg(values), 3.0)
    if syntax in (J2K, J2K_LOSSY):
        kind = 1 if values.ndim == 3 else 2
        lossy = {"compression_ratios": [8]} if syntax == J2K_LOSSY else {}
        return Coded(
            openjpeg(values, bits_stored=bits, photometric_interpretation=kind, **lossy), 2.0 if lossy else 0.6
        )
    if syntax == JPEG_EXTENDED:
        return Coded(jpeg12.encode(values), 2.0)
    return Coded(_by_gdcm(values, bits, syntax), 0.6)


def _jpeg(values):
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _rle(values):
    """PS3.5 annex G: one segment for each byte of each sample, most significant first; rows end runs."""
    samples = values.view(f"u{values.dtype.itemsize}").reshape(*values.shape[:2], -1)
    planes = []
    for sample in range(samples.shape[2]):
        for shift in range(8 * (values.dtype.itemsize - 1), -1, -8):
            planes.append(_pack_bits((samples[..., sample] >> shift & 0xFF).astype(np.uint8)))
    offsets = np.cumsum([64] + [len(one) for one in planes])[:-1]
    return struct.pack("<16I", len(planes), *offsets, *[0] * (15 - len(planes))) + b"".join(planes)


def _pack_bits(plane):
    out = bytearray()
    for row in plane:
        for start in range(0, len(row), 128):
            run = row[start : start + 128].tobytes()
            alike = len(run) > 1 and run.count(run[:1]) == len(run)
            out += bytes([257 - len(run)]) + run[:1] if alike else bytes([len(run) - 1]) + run
    return bytes(out) + b"\0" * (len(out) % 2)


def _by_gdcm(values, bits, syntax):
    number = {"rows": [values.shape[0]], "columns": [values.shape[1]], "allocated": [8 * values.dtype.itemsize]}
    header = {
        0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.1"), 0x00080018: ("UI", "2.25.7"), 0x00280002: ("US", [1]),
        0x00280004: ("CS", "MONOCHROME2"), 0x00280010: ("US", number["rows"]), 0x00280011: ("US", number["columns"]),
        0x00280100: ("US", number["allocated"]), 0x00280101: ("US", [bits]), 0x00280102: ("US", [bits - 1]),
        0x00280103: ("US", [0]),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder, "native"), Path(folder, "coded")
        there.write_bytes(File(header, EXPLICIT, values).encode())
        reader, writer, change = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
        reader.SetFileName(str(there))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, _GDCM[syntax])))
        change.SetInput(reader.GetImage())
        assert change.Change(), syntax
        writer.SetFileName(str(back))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return _fragments(back.read_bytes())


def _fragments(file):
    """The codestream between the offset table and the delimiter of the Pixel Data that GDCM wrote."""
    at = file.rindex(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff") + 12
    out, first = b"", True
    while file[at : at + 4] == b"\xfe\xff\0\xe0":
        length = struct.unpack_from("<I", file, at + 4)[0]
        out += b"" if first else file[at + 8 : at + 8 + length]
        at, first = at + 8 + length, False
    return out


def boxed(stream):
    """A JP2 file of a grey codestream (ISO/IEC 15444-1 annex I)."""
    end = len(stream) - (stream[-2:] != b"\xff\xd9")
    rows, columns = (struct.unpack_from(">I", stream, at)[0] for at in (12, 8))
    depth = stream[42]
    header = _box(b"ihdr", struct.pack(">IIHBBBB", rows, columns, 1, depth, 7, 0, 0))
    header += _box(b"colr", struct.pack(">BBBI", 1, 0, 0, 17))
    boxes = _box(b"jP  ", b"\r\n\x87\n") + _box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + _box(b"jp2h", header)
    out = boxes + _box(b"jp2c", stream[:end])
    return out + b"\0" * (len(out) % 2)


def _box(kind, body):
    return struct.pack(">I", len(body) + 8) + kind + body
