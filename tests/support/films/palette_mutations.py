"""Mutations of palettes (PS3.3 C.7.6.3.1.5)."""

import numpy as np

from tests.support.films.drafts import palette_header
from tests.support.films.mutations import of_tables
from tests.support.films.table_mutations import is_palette


@of_tables("palette", is_palette)
def palette_of_8_under_16_bits(draft):
    palette_header(draft, 16, draft.colours)
    if draft.rng.random() < 0.5:
        for tag in (0x00281201, 0x00281202, 0x00281203):
            draft.header[tag] = ("OW", draft.header[tag][1].astype("u1"))


@of_tables("palette", is_palette, legal=True)
def palette_of_8_bits(draft):
    palette_header(draft, 8, draft.colours)
    if draft.rng.random() < 0.5:
        for tag in (0x00281201, 0x00281202, 0x00281203):
            draft.header[tag] = ("OW", draft.header[tag][1].astype("u2"))


@of_tables("palette", is_palette)
def palette_too_short_or_too_long(draft):
    entries = draft.colours * 257
    if draft.rng.random() < 0.5:
        entries = entries[:240]
        draft.colours = draft.colours[np.minimum(np.arange(256), 239)]
    else:
        entries = np.concatenate([entries, entries[:9]])
    palette_header(draft, 16, entries)
    for tag in (0x00281101, 0x00281102, 0x00281103):
        draft.header[tag] = ("US", [256, 0, 16])


@of_tables("palette", is_palette, legal=True)
def palette_in_segments(draft):
    for place in range(3):
        column = draft.colours[:, place] * 257
        segments = np.concatenate([[0, 128], column[:128], [0, 128], column[128:]]).astype("u2")
        draft.header[0x00281101 + place] = ("US", [256, 0, 16])
        draft.header[0x00281201 + place] = None
        draft.header[0x00281221 + place] = ("OW", segments)
