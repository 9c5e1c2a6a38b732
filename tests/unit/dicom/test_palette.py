"""Palettes as writers write them."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from xraygpt_core.dicom.palette import colours_of
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

INDICES = np.arange(256, dtype=np.uint8).reshape(16, 16)
SHADES = np.arange(256)[::-1]
BYTES, WORDS = SHADES.astype(np.uint8).tobytes(), (SHADES * 257).astype("<u2").tobytes()


def palettes(descriptor, data, *, segmented=False, big=False):
    made = Dataset()
    made.set_original_encoding(is_implicit_vr=False, is_little_endian=not big)
    for place in range(3):
        made.add_new(0x00281101 + place, "US", list(descriptor))
        made.add_new((0x00281221 if segmented else 0x00281201) + place, "OW", data)
    return made


@pytest.mark.parametrize(
    ("descriptor", "data", "contradicted"),
    [
        ((256, 0, 16), WORDS, False),
        ((256, 0, 8), BYTES, False),
        ((256, 0, 8), SHADES.astype("<u2").tobytes(), False),  # PS3.3 C.7.6.3.1.5, note 1
        ((256, 0, 16), BYTES, True),
        ((256, 0, 16), SHADES.astype("<u2").tobytes(), True),
        ((256, 0, 8), WORDS, True),
        ((256, 0, 16), WORDS + WORDS, False),
        ((256, 0, 16), WORDS[:-2], False),  # the missing one is the last one again
    ],
)
def test_a_palette_gives_its_shades_in_every_width(descriptor, data, contradicted):
    colours, told = colours_of(palettes(descriptor, data), INDICES)
    assert np.abs(colours[..., 0].ravel().astype(int) - SHADES).max() <= 1
    assert (colours[..., 0] == colours[..., 2]).all()
    assert told is contradicted


def test_a_big_endian_palette_swaps_within_its_words():
    packed = np.frombuffer(BYTES, "<u2").astype(">u2").tobytes()
    assert (colours_of(palettes((256, 0, 8), packed, big=True), INDICES)[0][..., 1].ravel() == SHADES).all()


def test_a_palette_clamps_outside_its_inputs():
    colours, _ = colours_of(palettes((128, 64, 8), BYTES[:128]), INDICES)
    assert colours[..., 0].ravel().tolist() == [255] * 64 + list(range(255, 127, -1)) + [128] * 64


@pytest.mark.parametrize("bits", [8, 16])
def test_segments_are_expanded(bits):
    # Four discrete entries, a line down to 100, the first segment once more (an offset of 32 bits), a line down.
    words = bits == 16
    segments = [0, 4, 200, 180, 160, 140, 1, 40, 100, 2, 1, 0, 0, *([] if words else [0, 0]), 1, 208, 36]
    encoded = np.array(segments, "<u2" if words else "u1").tobytes()
    made = palettes((256, 0, bits), encoded + b"\0" * (len(encoded) % 2), segmented=True)
    first = [200, 180, 160, 140]
    expected = [*first, *range(139, 99, -1), *first, *np.rint(np.linspace(140, 36, 209)[1:])]
    assert colours_of(made, INDICES)[0][..., 0].ravel().tolist() == expected


@pytest.mark.parametrize("data", [b"", np.array([3, 1, 0, 0], "<u2").tobytes(), np.array([1, 9, 50], "<u2").tobytes()])
def test_broken_segments_are_undecodable(data):
    with pytest.raises(Rejected) as caught:
        colours_of(palettes((256, 0, 16), data, segmented=True), INDICES)
    assert caught.value.reason is ReasonCode.UNDECODABLE
