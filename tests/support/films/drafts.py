"""A film before it is a file: stored values, the transforms that its header will name, and the picture they give."""

from dataclasses import dataclass, field

import numpy as np

from tests.support.films import codecs
from tests.support.films.drawing import Lut, Rescale, Window, draw, grey, luma, of_range
from tests.support.films.encoding import BIG, DEFLATED, EXPLICIT, IMPLICIT, File, Items

CR, CAPTURE = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
NATIVE = (EXPLICIT, IMPLICIT, BIG, DEFLATED)
_WINDOW, _VOI, _MODALITY, _SHAPE = 0x00281050, 0x00283010, 0x00283000, 0x20500020


@dataclass
class Draft:
    """One film and everything that is true about it."""

    rng: np.random.Generator
    stored: np.ndarray  # (rows, columns) stored values, or (rows, columns, 3)
    bits: int
    photometric: str
    syntax: str
    modality: Rescale | Lut | None = None
    voi: Window | Lut | None = None
    header: dict = field(default_factory=dict)  # what mutations of the tables put in or take out (None)
    reasons: set = field(default_factory=set)  # true reasons to refuse it
    tolerance: float = 0.6  # mean grey levels
    colours: np.ndarray | None = None  # (entries, 3) of a palette
    presented: Lut | None = None
    padding: np.ndarray | None = None  # True where there is no film

    @property
    def signed(self):
        return self.stored.dtype.kind == "i"

    @property
    def colour(self):
        return self.stored.ndim == 3

    def expected(self):
        """The 8-bit picture, by the standard's formulas on every pixel."""
        if self.colour:
            return luma(self.stored / (2.0**self.bits - 1) * 255)
        if self.colours is not None:
            return luma(self.colours[self.stored])
        values = self.stored.astype(float)
        values = values if self.modality is None else self.modality(values)
        if self.voi is None:
            shown = self._unwindowed(values)
        else:
            shown = self.voi(values)
            shown = shown / (2.0**self.voi.bits - 1) if isinstance(self.voi, Lut) else shown
        shown = 1 - shown if self.photometric == "MONOCHROME1" else shown
        if self.presented is not None:
            steps = np.rint(np.clip(shown, 0, 1) * (len(self.presented.entries) - 1))
            shown = self.presented(steps) / (2.0**self.presented.bits - 1)
        return grey(shown if self.padding is None else np.where(self.padding, 0.0, shown))

    def _unwindowed(self, values):
        if self.bits > 8 or isinstance(self.modality, Lut):
            return of_range(values, None if self.padding is None else ~self.padding)
        low = -128.0 if self.signed else 0.0
        ends = sorted(one if self.modality is None else self.modality(one) for one in (low, low + 255))
        return (values - ends[0]) / (ends[1] - ends[0])


def draft(rng):
    """A film without a fault, of a random kind."""
    even = int(rng.choice([1, 2]))
    rows, columns = (int(one) // even * even for one in rng.integers(224, 300, 2))
    kind = rng.choice(["grey", "colour", "palette"], p=[0.84, 0.1, 0.06])
    shape = draw(rng, rows, columns)
    if kind == "colour":
        bits = int(rng.choice([8, 8, 8, 12, 16]))
        stored = np.stack([shape, 0.8 * shape + 0.1, 0.95 - 0.8 * shape], axis=-1) * (2**bits - 1)
        made = Draft(rng, stored.round().astype("u1" if bits == 8 else "u2"), bits, "RGB", EXPLICIT)
    elif kind == "palette":
        made = _palette(rng, shape)
    else:
        made = _grey(rng, shape)
    _choose_syntax(made)
    return made


def _grey(rng, shape):
    bits = int(rng.choice([8, 10, 12, 14, 16], p=[0.15, 0.15, 0.4, 0.15, 0.15]))
    signed = bool(rng.random() < 0.2)
    top = 2**bits - 1
    stored = np.rint(shape * top).astype(np.int64) - (2 ** (bits - 1) if signed else 0)
    kind = f"{'i' if signed else 'u'}{1 if bits == 8 else 2}"
    made = Draft(rng, stored.astype(kind), bits, str(rng.choice(["MONOCHROME1", "MONOCHROME2"])), EXPLICIT)
    low = -(2 ** (bits - 1)) if signed else 0
    slope, intercept = 1.0, 0.0
    if rng.random() < 0.4:
        slope, intercept = float(rng.choice([1.0, 0.5, 2.0, -1.0])), float(rng.choice([0, -1024, 1000]))
        made.modality = Rescale(slope, intercept)
    ends = sorted(slope * one + intercept for one in (low, low + top))
    if rng.random() < 0.75:
        function = str(rng.choice(["LINEAR", "LINEAR_EXACT", "SIGMOID"], p=[0.7, 0.15, 0.15]))
        share = rng.uniform(0.7, 1.0)
        made.voi = Window(round((ends[0] + ends[1]) / 2, 1), round((ends[1] - ends[0]) * share, 1), function)
    return made


def _palette(rng, shape):
    made = Draft(rng, np.rint(shape * 255).astype(np.uint8), 8, "PALETTE COLOR", EXPLICIT)
    ramp = np.arange(256)
    made.colours = np.stack([ramp, np.minimum(255, ramp + 20), ramp // 2], axis=1)
    palette_header(made, 16, made.colours * 257)
    return made


def palette_header(made, bits, entries):
    """Descriptors and data of the three palettes."""
    for place in range(3):
        made.header[0x00281101 + place] = ("US", [len(entries), 0, bits])
        made.header[0x00281201 + place] = ("OW", entries[:, place].astype("u1" if bits == 8 else "u2"))


def _choose_syntax(made):
    if made.rng.random() < 0.5 or made.colours is not None:
        made.syntax = str(made.rng.choice(NATIVE, p=[0.5, 0.2, 0.15, 0.15]))
    else:
        made.syntax = str(made.rng.choice(codecs.syntaxes(made.stored, made.bits, made.signed)))


def lut_item(descriptor, data, vr="US", data_vr="OW"):
    """An item of a LUT Sequence. The data keep the byte order of the file, whatever it will be."""
    return {0x00283002: (vr, descriptor), 0x00283006: (data_vr, data)}


def file_of(made):
    """The file of a film whose labels are true."""
    header = _described(made)
    header |= {tag: one for tag, one in made.header.items() if one is not None}
    for tag in [tag for tag, one in made.header.items() if one is None]:
        header.pop(tag, None)
    if made.syntax in NATIVE:
        little, deflated = made.syntax != BIG, made.syntax == DEFLATED
        narrow = made.stored.dtype.itemsize == 1 and made.syntax != IMPLICIT and made.rng.random() < 0.7
        vr = "OB" if narrow else "OW"
        return File(
            header, made.syntax, made.stored, implicit=made.syntax == IMPLICIT, little=little, deflated=deflated, vr=vr
        )
    coded = codecs.compress(made.stored, made.bits, made.syntax)
    made.tolerance = max(made.tolerance, coded.tolerance)
    if made.colour and made.syntax == codecs.JPEG:
        header[0x00280004] = ("CS", "YBR_FULL_422")
    if made.colour and made.syntax == codecs.J2K:
        header[0x00280004] = ("CS", "YBR_RCT")
    stream = coded.stream + b"\0" * (len(coded.stream) % 2)
    return File(header, made.syntax, fragments=[stream])


def _described(made):
    rows, columns = made.stored.shape[:2]
    allocated = 8 * made.stored.dtype.itemsize
    header = {
        0x00080016: ("UI", CAPTURE if made.colour or made.colours is not None else CR),
        0x00080018: ("UI", "2.25.11"), 0x00080060: ("CS", "CR"), 0x00180015: ("CS", "CHEST"), 0x00185101: ("CS", "PA"),
        0x0020000D: ("UI", "2.25.12"), 0x0020000E: ("UI", "2.25.13"), 0x00280002: ("US", [3 if made.colour else 1]),
        0x00280004: ("CS", made.photometric), 0x00280010: ("US", [rows]), 0x00280011: ("US", [columns]),
        0x00280100: ("US", [allocated]), 0x00280101: ("US", [made.bits]), 0x00280102: ("US", [made.bits - 1]),
        0x00280103: ("US", [int(made.signed)]),
    }  # fmt: skip
    if made.colour:
        header[0x00280006] = ("US", [0])
    if isinstance(made.modality, Rescale):
        header[0x00281052] = ("DS", f"{made.modality.intercept:g}")
        header[0x00281053] = ("DS", f"{made.modality.slope:g}")
    elif made.modality is not None:
        header[_MODALITY] = ("SQ", Items([lut_of(made.modality)]))
    if isinstance(made.voi, Window):
        header[_WINDOW] = ("DS", repr(made.voi.center))
        header[_WINDOW + 1] = ("DS", repr(made.voi.width))
        header[_WINDOW + 6] = ("CS", made.voi.function)
    elif made.voi is not None:
        header[_VOI] = ("SQ", Items([lut_of(made.voi)]))
    if made.presented is not None:
        header[0x20500010] = ("SQ", Items([lut_of(made.presented)]))
    return header


def lut_of(table):
    """The item that says what the table says."""
    data = table.entries.astype("u1" if table.bits == 8 else "u2")
    return lut_item([len(table.entries) % 65536, table.first, table.bits], data, "SS" if table.first < 0 else "US")
