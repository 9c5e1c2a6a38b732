"""Mutations of look-up tables, windows, rescale, padding and palettes (PS3.3 C.11, C.7.5.1.1.2, C.7.6.3.1.5)."""

import numpy as np

from tests.support.films.codecs import J2K_LOSSY, JPEG_EXTENDED
from tests.support.films.drafts import lut_item
from tests.support.films.drawing import Lut, Rescale, Window
from tests.support.films.encoding import IMPLICIT, Items
from tests.support.films.mutations import of_tables

_VOI, _MODALITY, _PRESENTATION = 0x00283010, 0x00283000, 0x20500010
_CENTER, _WIDTH, _FUNCTION = 0x00281050, 0x00281051, 0x00281056


def is_grey(draft):
    return not draft.colour and draft.colours is None


def is_palette(draft):
    return draft.colours is not None


def _has_window(draft):
    return is_grey(draft) and isinstance(draft.voi, Window)


def _ends(draft, *, stored=False):
    """The values that can occur, before or after the modality transform."""
    low = -(2 ** (draft.bits - 1)) if draft.signed else 0
    ends = [low, low + 2**draft.bits - 1]
    mapped = ends if stored or draft.modality is None else [draft.modality(one) for one in ends]
    return sorted(int(one) for one in mapped)


def _takes_lut(draft):
    if not is_grey(draft) or isinstance(draft.modality, Lut):
        return False
    low, high = _ends(draft)
    return low >= -32768 and high <= 65535 and high - low < 65536


def _curve(draft, ends, bits=None):
    bits = int(draft.rng.choice([8, 10, 12, 16])) if bits is None else bits
    power, count = float(draft.rng.choice([0.5, 0.7, 1.5])), ends[1] - ends[0] + 1
    entries = np.rint((2**bits - 1) * (np.arange(count) / (count - 1)) ** power).astype(np.int64)
    return Lut(entries, ends[0], bits)


def _item(draft, table, *, count=None, bits=None, data=None):
    """The table in a VR of chance."""
    bits, count = table.bits if bits is None else bits, len(table.entries) if count is None else count
    data = table.entries.astype("u1" if bits <= 8 else "u2") if data is None else data
    vr = str(draft.rng.choice(["US", "SS", "UN", "OW"]))
    numbers = [count % 65536, table.first % 65536, bits]
    descriptor = np.array(numbers, "u2") if vr in ("UN", "OW") else numbers
    if vr == "SS":
        descriptor = [one - 65536 if one > 32767 else one for one in numbers]
    data_vr = str(draft.rng.choice(["OW", "UN"]))
    if data.dtype.itemsize == 2 and len(data) <= 30_000 and draft.rng.random() < 0.25:
        data, data_vr = [int(one) for one in data], "US"
    return lut_item(descriptor, data, vr, data_vr)


def _set_voi(draft, table, item, *others):
    draft.voi = table
    draft.header[_VOI] = ("SQ", Items([*others, item], undefined=bool(draft.rng.random() < 0.5)))
    if draft.rng.random() < 0.5:  # a window that the table outweighs
        draft.header[_CENTER], draft.header[_WIDTH] = ("DS", "77"), ("DS", "33")


@of_tables("voi", _takes_lut, legal=True)
def voi_lut(draft):
    table = _curve(draft, _ends(draft))
    _set_voi(draft, table, _item(draft, table))


@of_tables("voi", _takes_lut)
def voi_lut_data_too_short(draft):
    table = _curve(draft, _ends(draft))
    count = len(table.entries)
    lacking = int(draft.rng.choice([1, 2, 3, count // 50, count // 4]))
    kept = table.entries[: count - max(1, lacking)]
    item = _item(draft, Lut(kept, table.first, table.bits), count=count)
    _set_voi(draft, Lut(kept, table.first, table.bits), item)


@of_tables("voi", _takes_lut, legal=True)
def voi_lut_data_too_long(draft):
    table = _curve(draft, _ends(draft))
    junk = draft.rng.integers(0, 2**table.bits, int(draft.rng.choice([2, 6, 40])))
    data = np.concatenate([table.entries, junk]).astype("u1" if table.bits == 8 else "u2")
    _set_voi(draft, table, _item(draft, table, data=data))


@of_tables("voi", _takes_lut)
def voi_lut_of_bytes_under_more_bits(draft):
    table = _curve(draft, _ends(draft), 8)
    bits = int(draft.rng.choice([10, 12, 16]))
    item = _item(draft, table, bits=bits, data=table.entries.astype("u1"))
    item[0x00283006] = (str(draft.rng.choice(["OW", "UN"])), table.entries.astype("u1"))
    _set_voi(draft, table, item)


@of_tables("voi", _takes_lut, legal=True)
def voi_lut_of_words_under_8_bits(draft):
    table = _curve(draft, _ends(draft), 8)
    _set_voi(draft, table, _item(draft, table, data=table.entries.astype("u2")))


@of_tables("voi", _takes_lut, legal=True)
def voi_lut_of_16_bits_over_fewer(draft):
    table = _curve(draft, _ends(draft), int(draft.rng.choice([8, 10, 12])))
    _set_voi(draft, table, _item(draft, table, bits=16, data=table.entries.astype("u2")))


@of_tables("voi", _takes_lut)
def voi_lut_in_the_other_byte_order(draft):
    table = _curve(draft, _ends(draft), int(draft.rng.choice([10, 12, 16])))
    _set_voi(draft, table, _item(draft, table, data=table.entries.astype("u2").byteswap()))


@of_tables("voi", _takes_lut)
def voi_lut_of_bits_nobody_has(draft):
    table = _curve(draft, _ends(draft), 12)
    bits = int(draft.rng.choice([0, 17, 32, 4096]))
    _set_voi(draft, table, _item(draft, table, bits=bits, data=table.entries.astype("u2")))


def _meets(first, low, high):
    """Does a table of 256 entries, with the first input of either sign, reach the values?"""
    return any(low - 300 <= one <= high + 300 for one in (first, first - 65536))


def _unusable(draft):
    low, high = _ends(draft)
    count = 256
    flat = np.full(count, int(draft.rng.choice([0, 255, 4095])), "u2")
    rising = np.arange(count, dtype="u2") * 16
    places = [one for one in (high + 5000, low - 5000) if not _meets(one % 65536, low, high)]
    kinds = [
        {},
        lut_item([count, low % 65536, 12], flat),
        lut_item([count, 0, 12], b""),
        {0x00283002: ("US", [count, 0, 12])},
        {0x00283006: ("OW", rising)},
        lut_item([count], rising),
    ]
    kinds += [lut_item([count, one % 65536, 12], rising) for one in places if abs(one) < 65536]
    return kinds[int(draft.rng.integers(len(kinds)))]


@of_tables("voi", _takes_lut, legal=True)
def unusable_voi_lut_before_a_good_one(draft):
    table = _curve(draft, _ends(draft))
    _set_voi(draft, table, _item(draft, table), _unusable(draft))


@of_tables("voi", is_grey, legal=True)
def unusable_voi_lut_beside_the_rest(draft):
    items = [_unusable(draft) for _ in range(int(draft.rng.integers(0, 3)))]
    draft.header[_VOI] = ("SQ", Items(items, undefined=bool(draft.rng.random() < 0.5)))


@of_tables("voi", _has_window, legal=True)
def unusable_window_before_a_good_one(draft):
    first = [("2000000", "100"), ("-900000", "5"), ("", "400"), ("nan", "400"), ("12", "0"), ("12", "-400")]
    center, width = first[int(draft.rng.integers(len(first)))]
    draft.header[_CENTER] = ("DS", f"{center}\\{draft.voi.center}")
    draft.header[_WIDTH] = ("DS", f"{width}\\{draft.voi.width}")


@of_tables("voi", _has_window, legal=True)
def two_good_windows(draft):
    draft.header[_CENTER] = ("DS", f"{draft.voi.center}\\{draft.voi.center + 40}")
    draft.header[_WIDTH] = ("DS", f"{draft.voi.width}\\{draft.voi.width / 2}")
    draft.header[0x00281055] = ("LO", "NORMAL\\HARDER")


@of_tables("voi", is_grey)
def only_unusable_windows(draft):
    draft.voi = None
    center, width = draft.rng.choice(["100000", "-50000", "", "x"]), draft.rng.choice(["0", "-3", "", "0.4"])
    draft.header[_CENTER], draft.header[_WIDTH] = ("DS", str(center)), ("DS", str(width))
    draft.header[_FUNCTION] = ("CS", "LINEAR")


@of_tables("voi", _has_window, legal=True)
def a_window_in_other_numbers(draft):
    center, width = draft.voi.center, draft.voi.width
    if draft.rng.random() < 0.5 or draft.syntax == IMPLICIT:
        draft.header[_CENTER], draft.header[_WIDTH] = ("DS", f"{center:.1f}".replace(".", ",")), ("DS", f"{width:.8e}")
    else:
        draft.header[_CENTER], draft.header[_WIDTH] = ("FD", center), ("FL", width)


@of_tables("voi", lambda draft: _has_window(draft) and draft.voi.function == "LINEAR", legal=True)
def no_or_another_function(draft):
    draft.header[_FUNCTION] = (None, ("CS", "linear"), ("CS", ""), ("CS", "NONSENSE"))[int(draft.rng.integers(4))]


def _modality_lut(draft, item_of):
    ends = _ends(draft, stored=True)
    table = _curve(draft, ends, int(draft.rng.choice([10, 12, 16])))
    item, draft.modality = item_of(table)
    top = 2**table.bits - 1
    draft.voi = Window(top / 2, float(top)) if draft.rng.random() < 0.7 else None
    draft.header[_MODALITY] = ("SQ", Items([item], undefined=bool(draft.rng.random() < 0.5)))


@of_tables("modality", is_grey, legal=True)
def modality_lut(draft):
    _modality_lut(draft, lambda table: (_item(draft, table), table))


@of_tables("modality", is_grey)
def modality_lut_data_too_short(draft):
    def cut(table):
        count = len(table.entries)
        kept = Lut(table.entries[: count - max(1, count // 30)], table.first, table.bits)
        return _item(draft, kept, count=count), kept

    _modality_lut(draft, cut)


@of_tables("modality", is_grey)
def modality_lut_beside_a_rescale(draft):
    _modality_lut(draft, lambda table: (_item(draft, table), table))
    draft.header[0x00281052], draft.header[0x00281053] = ("DS", "-7000"), ("DS", "3")


@of_tables("modality", is_grey)
def unusable_modality_lut(draft):
    before, draft.modality = draft.modality, None
    item = _unusable(draft)
    draft.modality = before
    draft.header[_MODALITY] = ("SQ", Items([item]))


@of_tables("modality", lambda draft: is_grey(draft) and draft.modality is None)
def slope_that_is_none(draft):
    slope = str(draft.rng.choice(["0", "", "abc", "0.0"]))
    draft.header[0x00281052], draft.header[0x00281053] = ("DS", "0"), ("DS", slope)


@of_tables("modality", lambda draft: is_grey(draft) and draft.voi is None, legal=True)
def any_rescale_without_a_window(draft):
    draft.modality = Rescale(float(draft.rng.choice([0.01, 7.0, -3.0])), float(draft.rng.choice([-9000, 0.5, 100])))


@of_tables("presentation", is_grey, legal=True)
def presentation_lut(draft):
    draft.presented = _curve(draft, [0, int(draft.rng.choice([255, 4095]))], 12)
    draft.header[_PRESENTATION] = ("SQ", Items([_item(draft, draft.presented)]))


@of_tables("presentation", is_grey, legal=True)
def presentation_shape(draft):
    inverse = draft.photometric == "MONOCHROME1"
    draft.header[0x20500020] = ("CS", "INVERSE" if inverse and draft.rng.random() < 0.7 else "IDENTITY")


@of_tables("presentation", is_grey)
def unusable_presentation_lut(draft):
    flat = lut_item([16, 0, 12], np.full(16, 9, "u2"))
    draft.header[_PRESENTATION] = ("SQ", Items([flat if draft.rng.random() < 0.5 else {}]))


def _takes_padding(draft):
    """A lossy codec blurs the edge of the padding."""
    return is_grey(draft) and 8 < draft.bits < 16 and draft.syntax not in (J2K_LOSSY, JPEG_EXTENDED)


@of_tables("padding", _takes_padding, legal=True)
def padding_of_either_sign(draft):
    value = int(draft.rng.choice([2**draft.bits - 1, 0])) - (2 ** (draft.bits - 1) if draft.signed else 0)
    border = int(draft.rng.integers(4, 30))
    draft.stored = draft.stored.copy()
    draft.stored[:, :border] = value
    draft.padding = draft.stored == value
    vr = "US" if value >= 0 or draft.rng.random() < 0.5 else "SS"
    draft.header[0x00280120] = (vr, [value % 65536 if vr == "US" else value])
