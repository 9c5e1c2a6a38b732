"""Pictures in a list are small, grey, and as long and wide as their film is."""

import io

import pytest
from PIL import Image

from tests.support.pictures import picture
from xraygpt_core.dicom.thumbnail import LONGEST_SIDE, thumbnail


@pytest.mark.parametrize("size", [(1024, 768), (500, 1000), (300, 300)])
def test_a_thumbnail_keeps_what_it_shows_and_its_proportions(size: tuple[int, int]) -> None:
    small = Image.open(io.BytesIO(thumbnail(picture(200, size))))
    assert (small.mode, max(small.size)) == ("L", LONGEST_SIDE)
    assert abs(small.width / small.height - size[0] / size[1]) < 0.05
    assert small.getpixel((2, 2)) == 0
    assert small.getpixel((small.width - 2, 2)) == 200


def test_a_small_picture_stays_as_it_is_and_no_text_of_the_file_comes_along() -> None:
    assert Image.open(io.BytesIO(thumbnail(picture(90, (20, 10))))).size == (20, 10)
    assert len(thumbnail(picture(90, (1024, 1024)))) < 2000
