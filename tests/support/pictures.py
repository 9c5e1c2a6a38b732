"""Pictures that a browser can draw and a program can shrink."""

import io

from PIL import Image


def picture(shade: int = 160, size: tuple[int, int] = (400, 500)) -> bytes:
    """A film of two tones, as PNG: its left half is black."""
    image = Image.new("L", size, 0)
    image.paste(shade, (size[0] // 2, 0, *size))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
