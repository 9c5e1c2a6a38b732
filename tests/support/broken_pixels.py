"""Films as they come out when a decoder, or a header, is wrong: each kind of damage by its construction.

A kind takes 12-bit stored values and chance, and gives the stored values that were read and the 8-bit grey they were
shown as. Kinds of ``SET`` were at hand when the limits of `xraygpt_core.dicom.plausible` were set; those of ``HELD``
were written afterwards and judged once.
"""

import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFile

Array = np.ndarray[Any, Any]
Read = tuple[Array, Array]  # stored values, 8-bit grey
Kind = Callable[[Array, np.random.Generator], Read]


def stored(grey: Array, seed: int) -> Array:
    """12-bit values of an 8-bit film, with the low bits that a detector would have given."""
    chance = np.random.default_rng(seed).normal(8, 8, grey.shape)
    return np.clip(grey.astype(float) * 16 + chance, 0, 4095).astype(np.uint16)


def window(values: Array, center: float = 2048, width: float = 4096) -> Read:
    share = (values.astype(float) - (center - 0.5)) / (width - 1) + 0.5
    return values, np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def stretch(values: Array) -> Read:
    low, high = np.percentile(values, [0.1, 99.9])
    share = (values.astype(float) - low) / max(high - low, 1)
    return values, np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def as_grey(grey: Array) -> Read:
    grey = np.ascontiguousarray(grey, dtype=np.uint8)
    return grey, grey


def filled(data: bytes, like: Array, kind: str) -> Array:
    """Bytes taken for pixels, over and over until there are enough."""
    size = like.size * np.dtype(kind).itemsize
    return np.frombuffer((data * (size // len(data) + 1))[:size], kind).reshape(like.shape)


def g(values: Array) -> Array:
    return window(values)[1]


def strides(values: Array, by: float) -> Read:
    """Rows of another length than the header says; below one: a share of the width."""
    rows, columns = values.shape
    length = columns + (int(by) if abs(by) >= 1 else round(by * columns))
    long = np.concatenate([values.ravel()] * 3)
    return window(long[np.arange(rows)[:, None] * length + np.arange(columns)[None]])


def lower(values: Array, share: float, fill: Any) -> Read:
    grey = g(values).copy()
    at = int(grey.shape[0] * (1 - share))
    grey[at:] = fill(grey[at:].shape) if callable(fill) else fill
    return as_grey(grey)


def planes(values: Array, *scales: float) -> Read:
    """The first part of an interleaved buffer; a negative scale is a component of one grey."""
    grey = g(values)
    mixed = np.stack([np.full_like(grey, 128) if k < 0 else (grey * k).astype(np.uint8) for k in scales], -1)
    return as_grey(mixed.ravel()[: grey.size].reshape(grey.shape))


def jpeg(grey: Array, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def damaged_jpeg(values: Array, change: Callable[[bytearray], bytearray]) -> Read:
    """What a forgiving decoder makes of a codestream with an error in its scan."""
    stream = bytearray(jpeg(g(values)))
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        return as_grey(np.asarray(Image.open(io.BytesIO(bytes(change(stream)))).convert("L")))
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def packed(values: Array, bits: int) -> Array:
    """Samples of 10 or 12 bits without gaps between them, read as 16-bit words."""
    unpacked = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 16 - bits :]
    return filled(np.packbits(unpacked).tobytes(), values, "<u2")


def moved_blocks(values: Array, chance: np.random.Generator, how: str) -> Read:
    grey = g(values)
    rows, columns = (n // 8 * 8 for n in grey.shape)
    blocks = grey[:rows, :columns].reshape(rows // 8, 8, columns // 8, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    if how == "order":
        blocks = chance.permutation(blocks)
    else:
        drift = np.cumsum(chance.normal(0, 12, len(blocks))).astype(int)
        blocks = (blocks.astype(int) + drift[:, None, None]).astype(np.uint8)
    return as_grey(blocks.reshape(rows // 8, columns // 8, 8, 8).swapaxes(1, 2).reshape(rows, columns))


def moved_rows(values: Array, chance: np.random.Generator) -> Read:
    grey, shift = g(values).copy(), 0
    for y in range(0, grey.shape[0] - 7, 8):
        shift = int(chance.integers(grey.shape[1])) if chance.random() < 0.3 else shift
        grey[y : y + 8] = np.roll(grey[y : y + 8], shift, 1)
    return as_grey(grey)


def salted(values: Array, chance: np.random.Generator, share: float) -> Read:
    grey = g(values).copy()
    hit = chance.random(grey.shape) < share
    grey[hit] = chance.integers(0, 256, int(hit.sum()))
    return as_grey(grey)


def table_of_bytes(values: Array) -> Read:
    curve = np.rint(4095 * (np.arange(4096) / 4095) ** 0.6).astype("<u2")
    return values, np.frombuffer(curve.tobytes(), np.uint8)[values]


SET: dict[str, Kind] = {
    "byte order, 12 bits, window": lambda v, c: window(v.byteswap() & 0xFFF),
    "byte order, 16 bits, no window": lambda v, c: stretch(v.byteswap()),
    "words read as bytes": lambda v, c: as_grey(filled(v.tobytes(), v, "u1")),
    "16-bit words read as bytes": lambda v, c: as_grey(filled((v << 4).tobytes(), v, "u1")),
    "a column too few": lambda v, c: strides(v, 1),
    "a column too many": lambda v, c: strides(v, -1),
    "columns wrong by 5 %": lambda v, c: strides(v, 0.05),
    "columns wrong by 30 %": lambda v, c: strides(v, -0.3),
    "compressed bytes as pixels": lambda v, c: as_grey(filled(zlib.compress(v.tobytes()), v, "u1")),
    "a JPEG as 16-bit pixels": lambda v, c: stretch(filled(jpeg(g(v)), v, "<u2")),
    "three equal components interleaved": lambda v, c: planes(v, 1, 1, 1),
    "luma and chroma interleaved": lambda v, c: planes(v, 1, -1, -1),
    "lower third noise": lambda v, c: lower(v, 0.3, lambda shape: c.integers(0, 256, shape)),
    "lower half noise": lambda v, c: lower(v, 0.5, lambda shape: c.integers(0, 256, shape)),
    "lower third grey": lambda v, c: lower(v, 0.3, 128),
    "lower half black": lambda v, c: lower(v, 0.5, 0),
    "wrong sign, no window": lambda v, c: stretch((v << 4).view(np.int16) >> 4),
    "wrong sign, window": lambda v, c: window((v << 4).view(np.int16) >> 4),
    "10 of 12 bits": lambda v, c: window(v & 0x3FF, 512, 1024),
    "11 of 12 bits": lambda v, c: stretch(v & 0x7FF),
    "high bit wrong by 4": lambda v, c: window((v << 4) & 0xFFF),
    "16 grey levels": lambda v, c: as_grey(g(v) // 16 * 17),
    "window of 65,535 over 12 bits": lambda v, c: window(v, 32768, 65536),
    "window of 40 in the middle": lambda v, c: window(v, float(np.median(v)), 40),
    "a look-up table's words read as bytes": lambda v, c: table_of_bytes(v),
    "rows of blocks displaced": moved_rows,
    "blocks in another order": lambda v, c: moved_blocks(v, c, "order"),
    "blocks' levels drift": lambda v, c: moved_blocks(v, c, "drift"),
    "12 bits packed": lambda v, c: window(packed(v, 12) & 0xFFF),
    "two fields above each other": lambda v, c: as_grey(np.concatenate([g(v)[0::2], g(v)[1::2]])),
    "a tenth of the pixels by chance": lambda v, c: salted(v, c, 0.1),
    "brightness overflows": lambda v, c: as_grey((g(v) * 1.5).astype(np.uint16) & 0xFF),
}
HELD: dict[str, Kind] = {
    "an odd byte lost": lambda v, c: stretch(filled(v.tobytes()[1:], v, "<u2")),
    "10 bits packed": lambda v, c: stretch(packed(v >> 2, 10)),
    "columns and rows exchanged": lambda v, c: window(v[: v.shape[0] - 9].T.reshape(v[: v.shape[0] - 9].shape)),
    "columns wrong by 2": lambda v, c: strides(v, 2),
    "columns wrong by 20 %": lambda v, c: strides(v, 0.2),
    "signed values read as unsigned": lambda v, c: stretch((v.astype(np.int16) - 1500).view(np.uint16)),
    "signed values, low byte only": lambda v, c: as_grey((v.astype(np.int16) - 1500) & 0xFF),
    "9 of 12 bits": lambda v, c: stretch(v & 0x1FF),
    "bits in reverse": lambda v, c: as_grey(
        np.packbits(np.unpackbits(g(v)[..., None], axis=2)[..., ::-1], axis=2)[..., 0]
    ),
    "colour components interleaved": lambda v, c: planes(v, 1, 0.8, 0.6),
    "four components interleaved": lambda v, c: planes(v, 1, 1, 1, -1),
    "a JPEG cut at 60 %": lambda v, c: damaged_jpeg(v, lambda s: s[: len(s) * 6 // 10]),
    "a JPEG with bytes lost": lambda v, c: damaged_jpeg(v, lambda s: s[: len(s) // 3] + s[len(s) // 3 + 40 :]),
    "lower quarter white": lambda v, c: lower(v, 0.25, 255),
    "lower fifth noise": lambda v, c: lower(v, 0.2, lambda shape: c.integers(0, 256, shape)),
    "lower half repeats its first row": lambda v, c: lower(v, 0.5, g(v)[v.shape[0] // 2]),
    "every second column empty": lambda v, c: as_grey(g(v) * (np.arange(v.shape[1]) % 2)),
    "rows exchanged in pairs": lambda v, c: as_grey(g(v)[np.arange(v.shape[0] // 2 * 2) ^ 1]),
    "eight bands in another order": lambda v, c: as_grey(
        c.permutation(g(v)[: v.shape[0] // 8 * 8].reshape(8, -1, v.shape[1])).reshape(-1, v.shape[1])
    ),
    "even columns beside odd ones": lambda v, c: as_grey(np.concatenate([g(v)[:, 0::2], g(v)[:, 1::2]], 1)),
    "8 grey levels": lambda v, c: as_grey(g(v) // 32 * 36),
    "window of 65,535 over 13 bits": lambda v, c: window(v * 2, 32768, 65536),
    "a window beside nearly all values": lambda v, c: window(v, float(np.percentile(v, 1)), 60),
    "a table by chance": lambda v, c: (v, c.integers(0, 256, 4096).astype(np.uint8)[v]),
    "a third of the pixels by chance": lambda v, c: salted(v, c, 0.33),
}


def plate(seed: int) -> Array:
    """An unexposed plate: noise of some counts, and what real ones have besides, by chance."""
    c = np.random.default_rng(seed)
    rows, columns = ((256, 240), (300, 300), (512, 420), (1024, 832), (1600, 1300))[c.integers(5)]
    brightest = 2 ** int(c.choice([10, 12, 14, 16])) - 1
    level, sigma = c.uniform(0.02, 0.95) * brightest, max(1.0, brightest * 10 ** c.uniform(-3.5, -1.7))
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    values = np.full((rows, columns), level)
    has = c.random(8) < (0.3, 0.25, 0.2, 0.2, 0.25, 0.5, 0.3, 0.1)
    if has[0]:  # heel effect
        values *= 1 + c.uniform(-0.3, 0.3) * (y - 0.5) + c.uniform(-0.1, 0.1) * (x - 0.5)
    if has[1]:  # fall-off towards the corners
        values *= (1 + ((x - 0.5) ** 2 + (y - 0.5) ** 2) / c.uniform(0.8, 4)) ** -2
    values += c.normal(0, sigma, values.shape)
    if has[2]:  # banding
        values += c.normal(0, sigma * c.uniform(0.2, 1.5), (rows, 1))
    if has[3]:  # dead columns
        values[:, c.integers(0, columns, 3)] = 0
    if has[4]:  # collimated
        a, b, left, right = c.uniform(0.03, 0.25, 4)
        inside = (y > a) & (y < 1 - b) & (x > left) & (x < 1 - right)
        values = np.where(inside, values, values * c.uniform(0.1, 0.6))
    if has[5]:  # lead marker
        top, left = c.uniform(0, 0.85, 2)
        values[(y > top) & (y < top + 0.08) & (x > left) & (x < left + 0.06)] = brightest
    if has[6]:  # annotation
        letters = Image.new("L", (columns, rows))
        ImageDraw.Draw(letters).text((columns * 0.05, rows * 0.03), "CHEST PA R ERECT", fill=1, font_size=rows // 25)
        values[np.asarray(letters) > 0] = brightest
    if has[7]:  # pixels that see nothing else
        values[c.random(values.shape) < 0.001] = brightest
    return np.rint(np.clip(values, 0, brightest)).astype(np.uint16)
