"""From a grey PNG to the normalised tensor an encoder was trained on, with Pillow alone."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xraygpt_core.model.pictures import open_grey

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def read_grey(png: bytes, size: int) -> NDArray[np.float32]:
    """Decode and resize to (size, size), 0 … 1; the aspect ratio is not kept, as in XrayGPT's own processor.

    Raises:
        InvalidRequest: the bytes are not a readable image.
    """
    grey = open_grey(png).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(grey, dtype=np.float32) / np.float32(255)


def stretch(image: Image.Image) -> Image.Image:
    """The darkest grey as 0 and the brightest as 255, cut off to whole numbers (as MAIRA-2's processor does)."""
    grey = np.asarray(image, dtype=np.float64)
    grey = grey - grey.min()
    return Image.fromarray((grey / (grey.max() or 1) * 255).astype(np.uint8))


def pad_square(image: Image.Image, least: int = 0, grey: int = 0) -> Image.Image:
    """The picture in the middle of a black (or ``grey``) square, at least ``least`` pixels wide."""
    width, height = image.size
    side = max(least, width, height)
    canvas = Image.new("L", (side, side), grey)
    canvas.paste(image, ((side - width) // 2, (side - height) // 2))
    return canvas


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic, with Pillow's anti-aliasing."""
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BICUBIC)


def resize_shortest(image: Image.Image, side: int) -> Image.Image:
    """Bicubic to a shorter side of ``side`` pixels; the longer one is rounded down."""
    width, height = image.size
    if width <= height:
        return resize(image, side, side * height // width)
    return resize(image, side * width // height, side)


def crop_centre(image: Image.Image, side: int, *, to_even: bool = False) -> Image.Image:
    """The middle (side, side) pixels of a picture that is at least as large.

    Args:
        to_even: an odd number of spare pixels is halved to the even neighbour, as torchvision's ``CenterCrop`` does.
    """
    left, top = (round(spare / 2) if to_even else spare // 2 for spare in (image.width - side, image.height - side))
    return image.crop((left, top, left + side, top + side))


def normalised(image: Image.Image, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Three times the grey picture, each with its channel's mean and deviation: (3, height, width), float32."""
    grey = torch.from_numpy(np.array(image, dtype=np.float32)) / 255
    shape = (len(mean), 1, 1)
    return (grey - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
