"""Grey pixels from an image file, and into a PNG."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xraygpt_core.errors import TrainingError


def png(grey: NDArray[np.uint8]) -> bytes:
    """Grey pixels (height, width) as a PNG, quickly."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_film(path: Path) -> NDArray[np.uint8]:
    """An image file as grey pixels (height, width).

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return np.asarray(image.convert("L"))
    except (OSError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
