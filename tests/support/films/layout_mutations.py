"""Layouts that the standard allows and few writers choose, and their faulty relatives (PS3.5 8.1, PS3.3 C.7.6.3)."""

import numpy as np

from tests.support.films import codecs
from tests.support.films.encoding import DEFLATED
from tests.support.films.label_mutations import coded, native
from tests.support.films.mutations import of_files

_SAMPLES, _PHOTOMETRIC, _PLANAR, _ROWS, _COLUMNS = 0x00280002, 0x00280004, 0x00280006, 0x00280010, 0x00280011
_HIGH = 0x00280102
_CANNOT_TELL = ("undecodable",)


def _spare(draft, file):
    """Native 16-bit words with bits to spare."""
    grey = not draft.colour and draft.colours is None
    return native(draft, file) and grey and 8 < draft.bits < 16 and draft.padding is None


def _words(file):
    return file.pixels.astype(np.int64)


@of_files("stored+high+allocated", _spare)
def values_at_the_high_end(draft, file):
    """Legal: High Bit 15. A fault if it still says that they are at the low end."""
    shift = 16 - draft.bits
    file.pixels = (_words(file) << shift & 0xFFFF).astype("u2")
    if draft.rng.random() < 0.7:
        file.header[_HIGH] = ("US", [15])


@of_files("stored+high+allocated", _spare, legal=True)
def overlays_in_the_spare_bits(draft, file):
    drawn = np.zeros(file.pixels.shape, dtype=np.int64)
    drawn[20:60, 30:33] = drawn[100:103, 40:150] = 1
    kept = _words(file) & (1 << draft.bits) - 1
    file.pixels = (kept | drawn << int(draft.rng.integers(draft.bits, 16))).astype("u2")


@of_files("stored+high+allocated", lambda draft, file: _spare(draft, file) and draft.signed, legal=True)
def negative_values_without_their_sign_extension(draft, file):
    file.pixels = (_words(file) & (1 << draft.bits) - 1).astype("u2")


@of_files("order", lambda draft, file: native(draft, file) and not draft.colour and draft.stored.dtype.itemsize == 1)
def bytes_swapped_in_pairs(draft, file):
    flat = file.pixels.reshape(-1)
    even = len(flat) // 2 * 2
    swapped = flat.copy()
    swapped[:even] = flat[:even].reshape(-1, 2)[:, ::-1].reshape(-1)
    file.pixels = swapped.reshape(file.pixels.shape)


@of_files("size", native, reasons=_CANNOT_TELL)
def rows_and_columns_exchanged(draft, file):
    rows, columns = draft.stored.shape[:2]
    if abs(rows - columns) < 4:
        return  # nearly square: nearly the same
    file.header[_ROWS], file.header[_COLUMNS] = ("US", [columns]), ("US", [rows])


@of_files("size", coded, reasons=_CANNOT_TELL)
def no_rows_or_columns(draft, file):
    file.header.pop(_ROWS if draft.rng.random() < 0.5 else _COLUMNS)


@of_files("samples", lambda draft, file: not draft.colour)
def a_planar_configuration_of_grey(draft, file):
    file.header[_PLANAR] = ("US", [int(draft.rng.integers(0, 3))])


@of_files("samples", lambda draft, file: draft.colour and native(draft, file), legal=True)
def planes_one_after_the_other(draft, file):
    file.pixels = np.ascontiguousarray(file.pixels.transpose(2, 0, 1))
    file.header[_PLANAR] = ("US", [1])


@of_files("photometric", lambda draft, file: draft.colour and native(draft, file) and draft.bits == 8, legal=True)
def luma_and_chroma(draft, file):
    """PS3.3 C.7.6.3.1.2."""
    to_ycc = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    ycc = file.pixels.astype(float) @ to_ycc.T + [0, 128, 128]
    ycc = np.clip(np.rint(ycc), 0, 255).astype("u1")
    file.header[_PHOTOMETRIC] = ("CS", "YBR_FULL")
    draft.tolerance = max(draft.tolerance, 1.5)
    if file.pixels.shape[1] % 2 == 0 and draft.rng.random() < 0.5:
        halved = ycc.reshape(ycc.shape[0], -1, 2, 3)
        pairs = np.concatenate([halved[:, :, 0, :1], halved[:, :, 1, :1], halved[:, :, 0, 1:]], axis=-1)
        ycc = pairs.reshape(ycc.shape[0], -1)
        file.header[_PHOTOMETRIC] = ("CS", "YBR_FULL_422")
    file.pixels = ycc


@of_files("photometric", lambda draft, file: native(draft, file) or not draft.colour)
def a_photometric_interpretation_in_other_letters(draft, file):
    vr, said = file.header[_PHOTOMETRIC]
    file.header[_PHOTOMETRIC] = (vr, said.lower() if draft.rng.random() < 0.5 else f" {said} ")


def _jpeg_2000(draft, file):
    return draft.syntax in (codecs.J2K, codecs.J2K_LOSSY)


@of_files("stream", lambda draft, file: _jpeg_2000(draft, file) and not draft.colour)
def a_jpeg_2000_file_around_the_codestream(draft, file):
    file.fragments = [codecs.boxed(b"".join(file.fragments))]


@of_files("stream", lambda draft, file: draft.syntax == codecs.J2K and not draft.colour and not draft.signed)
def a_codestream_of_more_bits_than_stored(draft, file):
    if draft.bits in (8, 16):
        return
    file.fragments = [codecs.compress(draft.stored, 16, codecs.J2K).stream]


@of_files(
    "stream", lambda draft, file: coded(draft, file) and not draft.colour and draft.bits == 8 and not draft.signed
)
def grey_as_three_components(draft, file):
    colours = np.repeat(draft.stored[..., None], 3, axis=2)
    file.label = str(draft.rng.choice([codecs.JPEG, codecs.J2K, codecs.RLE]))
    made = codecs.compress(colours, 8, file.label)
    file.fragments = [made.stream + b"\0" * (len(made.stream) % 2)]
    draft.tolerance = max(draft.tolerance, made.tolerance)


@of_files("stream", lambda draft, file: draft.syntax == codecs.RLE and draft.bits > 8 and not draft.colour)
def planes_of_bytes_in_the_other_order(draft, file):
    swapped = draft.stored.view("u2").byteswap()
    file.fragments = [codecs.compress(swapped, 16, codecs.RLE).stream]


@of_files("stream", lambda draft, file: draft.syntax == DEFLATED, reasons=_CANNOT_TELL)
def deflated_with_the_header_of_zlib(draft, file):
    file.zlib_header = True


@of_files("stream", lambda draft, file: draft.syntax in codecs.JPEGS, reasons=("truncated",))
def no_end_of_image(draft, file):
    stream = b"".join(file.fragments)
    file.fragments = [stream[: stream.rindex(b"\xff\xd9") // 2 * 2]]
