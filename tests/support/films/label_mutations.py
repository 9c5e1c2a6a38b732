"""Mutations of what the header says about the pixels: syntax, photometric interpretation, bits, sizes, VRs."""

import numpy as np

from tests.support.films import codecs
from tests.support.films.drafts import NATIVE
from tests.support.films.encoding import BIG, DEFLATED, ENCAPSULATED_PLAIN, EXPLICIT, IMPLICIT, Items, Undercounted
from tests.support.films.mutations import of_files

_SAMPLES, _PHOTOMETRIC, _PLANAR, _ROWS, _COLUMNS = 0x00280002, 0x00280004, 0x00280006, 0x00280010, 0x00280011
_ALLOCATED, _STORED, _HIGH, _SIGN = 0x00280100, 0x00280101, 0x00280102, 0x00280103
_CODED = (codecs.RLE, codecs.JPEG, codecs.JPEG_EXTENDED, *codecs.LOSSLESS, codecs.J2K_LOSSY, "1.2.840.10008.1.2.4.81")
_CANNOT_TELL = ("undecodable",)


def _choice(draft, *choices):
    return choices[int(draft.rng.integers(len(choices)))]


def native(draft, file):
    return file.fragments is None


def coded(draft, file):
    return file.fragments is not None


def _native_grey(draft, file):
    return native(draft, file) and not draft.colour and draft.colours is None


def _wide(draft, file):
    return _native_grey(draft, file) and draft.bits > 8


def _put(file, tag, value, vr="US"):
    """Another value, or none."""
    if value is None:
        file.header.pop(tag, None)
    else:
        file.header[tag] = (vr, [value] if isinstance(value, int) else value)


@of_files("syntax", reasons=_CANNOT_TELL)
def any_other_syntax_label(draft, file):
    file.label = _choice(draft, *(one for one in (*NATIVE, *_CODED, ENCAPSULATED_PLAIN) if one != file.label))


@of_files("syntax", reasons=_CANNOT_TELL)
def a_label_that_is_none(draft, file):
    file.label = _choice(draft, "", "1.2.3", "1.2.840.10008.1.2.4.999", EXPLICIT + " ")


@of_files("syntax", lambda draft, file: native(draft, file) and file.little and not file.implicit and not file.deflated)
def native_values_in_fragments(draft, file):
    encoded = file.pixels.tobytes()
    cut = len(encoded) // 4 * 2
    file.fragments = [encoded] if draft.rng.random() < 0.5 else [encoded[:cut], encoded[cut:]]
    file.label = _choice(draft, EXPLICIT, ENCAPSULATED_PLAIN, codecs.RLE, codecs.J2K)


@of_files("order", _wide)
def pixels_in_the_other_byte_order(draft, file):
    file.pixels_little = not file.little


@of_files("photometric", reasons=_CANNOT_TELL)
def no_photometric_interpretation(draft, file):
    if draft.photometric == "MONOCHROME1" or draft.colours is not None:
        return  # nothing else says so
    _put(file, _PHOTOMETRIC, None)


@of_files("photometric", lambda draft, file: draft.colour and coded(draft, file), reasons=_CANNOT_TELL)
def colour_under_a_grey_label(draft, file):
    _put(file, _PHOTOMETRIC, "MONOCHROME2", "CS")
    _put(file, _SAMPLES, _choice(draft, 1, 3))


@of_files("photometric", lambda draft, file: not draft.colour and draft.colours is None, reasons=_CANNOT_TELL)
def grey_under_a_colour_label(draft, file):
    if draft.photometric == "MONOCHROME1":
        return
    _put(file, _PHOTOMETRIC, _choice(draft, "RGB", "YBR_FULL", "YBR_FULL_422"), "CS")
    _put(file, _SAMPLES, _choice(draft, 1, 3))


@of_files("photometric", lambda draft, file: draft.colour and file.label == codecs.JPEG)
def another_colour_space_than_the_jpeg_s(draft, file):
    _put(file, _PHOTOMETRIC, _choice(draft, "RGB", "YBR_FULL", "YBR_PARTIAL_420", "YBR_RCT"), "CS")


@of_files("samples", reasons=_CANNOT_TELL)
def samples_missing_or_wrong(draft, file):
    _put(file, _SAMPLES, None if draft.rng.random() < 0.5 else 1 if draft.colour else 3)


@of_files("samples", lambda draft, file: draft.colour and native(draft, file), reasons=_CANNOT_TELL)
def planes_under_the_other_configuration(draft, file):
    if draft.rng.random() < 0.5:
        file.pixels = np.ascontiguousarray(file.pixels.transpose(2, 0, 1))
    else:
        _put(file, _PLANAR, 1)


@of_files("allocated", reasons=_CANNOT_TELL)
def allocated_missing_or_wrong(draft, file):
    wide = draft.stored.dtype.itemsize == 2
    _put(file, _ALLOCATED, _choice(draft, None, 8 if wide else 16, 12, 0))


@of_files("allocated", lambda draft, file: _native_grey(draft, file) and draft.bits == 8, reasons=_CANNOT_TELL)
def bytes_under_16_allocated(draft, file):
    _put(file, _ALLOCATED, 16)
    if draft.rng.random() < 0.5:
        _put(file, _STORED, 16)
        _put(file, _HIGH, 15)


@of_files("allocated", _wide, reasons=_CANNOT_TELL)
def words_under_8_allocated(draft, file):
    _put(file, _ALLOCATED, 8)
    if draft.rng.random() < 0.5:
        _put(file, _STORED, 8)
        _put(file, _HIGH, 7)


@of_files("stored", reasons=_CANNOT_TELL)
def stored_missing(draft, file):
    _put(file, _STORED, None)


@of_files("stored", lambda draft, file: draft.colours is None and not draft.colour and draft.bits > 8)
def fewer_bits_stored_than_there_are(draft, file):
    stored = draft.bits - int(draft.rng.choice([1, 2, 4]))
    _put(file, _STORED, max(8, stored))
    if draft.rng.random() < 0.7:
        _put(file, _HIGH, max(8, stored) - 1)


@of_files("stored", lambda draft, file: _wide(draft, file) and draft.bits < 16)
def more_bits_stored_than_there_are(draft, file):
    stored = _choice(draft, 16, draft.bits + 1)
    _put(file, _STORED, stored)
    _put(file, _HIGH, stored - 1)


@of_files("stored", reasons=_CANNOT_TELL)
def stored_that_cannot_be(draft, file):
    _put(file, _STORED, _choice(draft, 0, 17, 32))


@of_files("high", reasons=_CANNOT_TELL)
def high_bit_missing_or_wrong(draft, file):
    _put(file, _HIGH, _choice(draft, None, 15, 7, draft.bits, 0))


@of_files("sign", lambda draft, file: draft.colours is None and not draft.colour, reasons=_CANNOT_TELL)
def the_other_sign(draft, file):
    _put(file, _SIGN, int(not draft.signed))


@of_files("sign", lambda draft, file: not draft.signed)
def sign_missing(draft, file):
    _put(file, _SIGN, None)


@of_files("size", coded, reasons=("undecodable", "truncated"))
def another_size_than_the_codestream(draft, file):
    rows, columns = draft.stored.shape[:2]
    if draft.rng.random() < 0.5:
        rows, columns = columns, rows
    else:
        rows += 8
    _put(file, _ROWS, rows)
    _put(file, _COLUMNS, columns)


@of_files("size", native, reasons=("undecodable", "truncated"))
def rows_that_do_not_fit_the_length(draft, file):
    _put(file, _ROWS, draft.stored.shape[0] + int(draft.rng.integers(1, 9)))


@of_files("frames")
def number_of_frames_as_nobody_writes_it(draft, file):
    file.header[0x00280008] = ("IS", _choice(draft, "1", "0", "", "+1", "x"))


@of_files("vr", lambda draft, file: not file.implicit)
def an_element_with_an_impossible_vr(draft, file):
    file.blank_vr = _choice(draft, "  ", "\0\0", "ZZ", "??")


@of_files("vr", lambda draft, file: not file.implicit)
def numbers_as_another_vr(draft, file):
    numbers = {_ROWS, _COLUMNS, _ALLOCATED, _STORED, _HIGH, _SIGN, _SAMPLES}
    for tag in sorted(numbers & set(file.header)):
        vr, value = file.header[tag]
        file.header[tag] = (_choice(draft, vr, "UN", "SS"), value)


@of_files("icon")
def an_icon_before_the_pixels(draft, file):
    side = 64
    values = np.indices((side, side)).sum(0).astype("u1")
    icon = {
        _SAMPLES: ("US", [1]), _PHOTOMETRIC: ("CS", "MONOCHROME2"), _ROWS: ("US", [side]), _COLUMNS: ("US", [side]),
        _ALLOCATED: ("US", [8]), _STORED: ("US", [8]), _HIGH: ("US", [7]), _SIGN: ("US", [0]),
        0x7FE00010: ("OB", Undercounted(values, int(_choice(draft, 0, 2, 64)))),
    }  # fmt: skip
    tag = _choice(draft, 0x00880200, 0x00880200, 0x00091001)
    if tag == 0x00091001:
        file.header[0x00090010] = ("LO", "SOMEBODY")
    file.header[tag] = ("SQ", Items([icon]))


@of_files("meta", legal=True)
def no_preamble(draft, file):
    file.preamble = False


@of_files("meta", native, reasons=_CANNOT_TELL)
def a_dataset_in_another_encoding_than_its_label(draft, file):
    file.little, file.implicit, file.deflated = _choice(
        draft, (True, False, False), (True, True, False), (False, False, False), (True, False, True)
    )
    file.label = _choice(draft, EXPLICIT, IMPLICIT, BIG, DEFLATED)
