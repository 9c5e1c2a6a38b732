"""A preview made small enough for a row of a list."""

import io

from PIL import Image

LONGEST_SIDE = 96  # pixels: 48 on a screen of two pixels a point


def thumbnail(png: bytes) -> bytes:
    """The picture as an 8-bit grey PNG whose longer side has at most :data:`LONGEST_SIDE` pixels.

    Args:
        png: a preview that ingest made, proved by its hash; nothing else is decoded here.
    """
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        small = picture.convert("L")
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX, reducing_gap=None)
    out = io.BytesIO()
    small.save(out, "PNG")
    return out.getvalue()
