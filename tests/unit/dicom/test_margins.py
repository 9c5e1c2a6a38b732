"""Real pictures, stored honestly and dishonestly: how often the bytes are read as they are."""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from xraygpt_core.dicom.bits import read_bits
from xraygpt_core.dicom.layout import PixelLayout
from xraygpt_core.dicom.native import read_native

SHARE = 0.98  # of the dishonest files that must come out exact


def stored(grey):
    """(name, honest, samples as written, layout as described, little endian, right values)."""
    rows, columns = grey.shape
    noise = np.random.default_rng(1).integers(0, 16, grey.shape)
    eight = PixelLayout(rows, columns, 1, "MONOCHROME2", 8, 8, 7, signed=False, planar=0)
    twelve = replace(eight, allocated=16, stored=12, high_bit=11)
    sixteen = replace(twelve, stored=16, high_bit=15)
    wide = (grey * np.uint16(16) + noise).astype(np.uint16)
    narrow = (grey.astype(np.int16) - 128).astype(np.int8)
    centred, shifted = (wide.astype(np.int16) - 2048), (wide.astype(np.int16) - 1000)
    drawn = wide.copy()
    drawn[20:60, 20:120] |= 1 << 12
    words = grey.astype(np.uint16)
    yield "8 bits", True, grey, eight, True, grey
    yield "8 bits, signed", True, narrow, replace(eight, signed=True), True, narrow
    yield "8 bits in words", True, words, replace(twelve, stored=8, high_bit=7), True, words
    yield "12 bits", True, wide, twelve, True, wide
    yield "12 bits, big endian", True, wide.astype(">u2"), twelve, False, wide
    yield "12 bits and an overlay", True, drawn, twelve, True, wide
    yield "12 bits, signed", True, centred, replace(twelve, signed=True), True, centred
    yield "16 bits", True, words * np.uint16(257), sixteen, True, words * np.uint16(257)
    yield "16 bits, signed", True, shifted, replace(sixteen, signed=True), True, shifted
    yield "8 bits signed, said unsigned", False, narrow, eight, True, narrow
    yield "8 bits unsigned, said signed", False, grey, replace(eight, signed=True), True, grey
    yield "12 bits signed, said unsigned", False, centred, twelve, True, centred
    yield "12 bits unsigned, said signed", False, wide, replace(twelve, signed=True), True, wide
    yield "12 bits in the other byte order", False, wide.byteswap(), twelve, True, wide
    yield "12 bits, said 10", False, wide, replace(twelve, stored=10, high_bit=9), True, wide
    yield "12 low bits, said high", False, wide, replace(twelve, high_bit=15), True, wide
    yield "bytes, said words", False, grey, sixteen, True, grey
    yield "words, said bytes", False, wide, eight, True, wide
    if abs(rows - columns) > 1:
        yield "rows and columns exchanged", False, wide, replace(twelve, rows=columns, columns=rows), True, wide


def hold(files):
    counts, wrong = Counter(), []
    for path in files:
        grey = np.asarray(Image.open(path).convert("L"))
        for name, honest, samples, layout, little, right in stored(grey):
            raw, true, wrong_bytes = read_native(samples.tobytes(), layout, little=little, cut=False)
            values, _, _, wrong_bits = read_bits(raw, true, true.allocated)
            exact = np.array_equal(values, right) and (wrong_bytes or wrong_bits) != honest
            counts[honest, exact] += 1
            if not exact:
                wrong.append(f"{path.name}: {name}")
    sys.stdout.write(f"{len(files)} pictures, (honest, read as it is): {dict(counts)}; {wrong}\n")
    assert not counts[True, False]
    assert counts[False, True] >= SHARE * (counts[False, True] + counts[False, False])


@pytest.fixture(scope="module")
def pictures(shared_data):
    return sorted(path for path in (shared_data / "images").rglob("*") if path.suffix in (".png", ".jpg", ".jpeg"))


def test_no_honest_picture_is_read_otherwise_than_its_header_says(pictures):
    hold(pictures[::600])


@pytest.mark.long
def test_none_of_a_few_hundred_honest_pictures_is_read_otherwise_than_its_header_says(pictures):
    hold(pictures[1::8])
