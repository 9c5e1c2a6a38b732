"""A stored film, opened with Pillow alone: for encoders of ours, and for servers that get the picture itself."""

import io

from PIL import Image

from xraygpt_core.errors import InvalidRequest


def open_grey(png: bytes) -> Image.Image:
    """The picture in mode ``L``.

    Raises:
        InvalidRequest: the bytes are not a readable image.
    """
    try:
        with Image.open(io.BytesIO(png)) as image:
            return image.convert("L")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidRequest(f"the image cannot be read: {type(error).__name__}") from error
