"""Bare PNG and JPEG pictures, friendly and hostile."""

import contextlib
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

LIMITS = Limits(max_pixels=4_000_000, decode_seconds=10, decode_memory_bytes=2**30)


def save(image, kind="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def seen(data):
    return np.asarray(Image.open(BytesIO(normalise(data, LIMITS).normalised_png)))


def reason(data, limits=LIMITS):
    with pytest.raises(Rejected) as caught:
        normalise(data, limits)
    return caught.value.reason


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.fixture(scope="session")
def grey(film):
    return (film >> 4).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_bare_picture_is_accepted_and_marked(grey, kind):
    image = normalise(save(Image.fromarray(grey), kind), LIMITS)
    assert (image.kind, image.modality, image.view, image.expected_images) == ("picture", None, None, None)
    assert (image.rows, image.columns) == grey.shape
    assert {Flag.NOT_VERIFIED_CHEST, Flag.BURNED_IN_UNCHECKED, Flag.VIEW_UNKNOWN} == set(image.flags)


def test_eight_bit_grey_passes_unchanged(grey):
    assert np.array_equal(seen(save(Image.fromarray(grey))), grey)


def test_sixteen_bits_use_their_own_range(film):
    picture = seen(save(Image.fromarray(film)))
    assert (picture.min(), picture.max()) == (0, 255)
    assert np.corrcoef(picture.ravel(), film.ravel())[0, 1] > 0.999


def test_sixteen_bits_keep_their_values_in_the_hash(film):
    first, second = film.copy(), film.copy()
    second[5, 5] += 1
    assert (
        normalise(save(Image.fromarray(first)), LIMITS).pixel_sha256
        != normalise(save(Image.fromarray(second)), LIMITS).pixel_sha256
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "LA"])
def test_every_colour_mode_becomes_the_same_grey(grey, mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    image = Image.fromarray(grey) if mode in ("LA", "P") else Image.fromarray(grey).convert("RGB")
    assert np.abs(seen(save(image.convert(mode), kind)).astype(int) - grey).mean() < 2


def test_a_palette_with_transparency_is_read(grey):
    image = Image.fromarray(grey).convert("P")
    assert np.abs(seen(save(image, transparency=0)).astype(int) - grey).max() <= 3


def test_one_bit_becomes_black_and_white(grey):
    assert set(np.unique(seen(save(Image.fromarray(grey > 128))))) == {0, 255}


def test_what_is_transparent_is_black(grey):
    alpha = np.full_like(grey, 255)
    alpha[:, :50] = 0
    picture = seen(save(Image.fromarray(np.dstack([grey] * 3 + [alpha]))))
    assert (picture[:, :50] == 0).all()
    assert (picture[:, 50:] == grey[:, 50:]).all()


def test_the_orientation_of_exif_is_applied_and_then_gone(grey):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "CANARY"  # turn right; ImageDescription
    data = save(Image.fromarray(grey), "JPEG", exif=exif, quality=100)
    image = normalise(data, LIMITS)
    assert (image.rows, image.columns) == (grey.shape[1], grey.shape[0])
    assert np.abs(seen(data).astype(int) - np.rot90(grey, -1)).max() < 10
    assert b"CANARY" in data
    assert b"CANARY" not in image.normalised_png + image.preview_png


def test_no_text_chunk_survives(grey):
    info = PngImagePlugin.PngInfo()
    info.add_text("Patient", "CANARY")
    data = save(Image.fromarray(grey), pnginfo=info, dpi=(300, 300))
    image = normalise(data, LIMITS)
    for png in (image.normalised_png, image.preview_png):
        assert {kind for kind, _ in chunks(png)} == {b"IHDR", b"IDAT", b"IEND"}


def chunks(png):
    position = 8
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        yield kind, png[position + 8 : position + 8 + length]
        position += 12 + length


def test_an_animated_picture_is_multi_frame(grey):
    frames = [Image.fromarray(grey), Image.fromarray(255 - grey)]
    assert reason(save(frames[0], save_all=True, append_images=frames[1:])) is ReasonCode.MULTI_FRAME


def test_the_size_is_judged(grey):
    assert reason(save(Image.fromarray(grey[:200]))) is ReasonCode.TOO_SMALL
    assert reason(save(Image.fromarray(grey)), Limits(grey.size - 1, 1, 1)) is ReasonCode.TOO_LARGE


def test_constant_pixels_are_blank():
    for kind in ("PNG", "JPEG"):
        assert reason(save(Image.new("L", (300, 300), 90), kind)) is ReasonCode.BLANK
    assert reason(save(Image.fromarray(np.full((300, 300), 3000, np.uint16)))) is ReasonCode.BLANK


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_cut_picture_is_truncated(grey, kind, kept):
    data = save(Image.fromarray(grey), kind)
    assert reason(data[: int(len(data) * kept)]) is ReasonCode.TRUNCATED


def test_a_cut_jpeg_with_a_whole_thumbnail_is_truncated(grey):
    data = save(Image.fromarray(grey), "JPEG")
    thumbnail = save(Image.fromarray(grey[:100, :100].copy()), "JPEG")
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert reason(data[:2] + segment + data[2 : len(data) // 2]) is ReasonCode.TRUNCATED


def test_a_png_whose_pixels_are_garbage_is_undecodable(grey):
    data = save(Image.fromarray(grey))
    header = data[: data.index(b"IDAT") - 4]
    broken = header + chunk(b"IDAT", b"not zlib at all") + chunk(b"IEND", b"")
    assert reason(broken) is ReasonCode.UNDECODABLE


@pytest.mark.parametrize("side", [3_000, 20_000, 60_000])
def test_a_png_bomb_is_too_large_before_it_is_unpacked(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )
    assert reason(bomb) is ReasonCode.TOO_LARGE


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_megabytes_of_text_do_not_keep_a_picture_from_being_read(grey, kind):
    data = save(Image.fromarray(grey))
    at = data.index(b"IDAT") - 4
    body = {
        b"tEXt": b"k\0" + b"x" * 70 * 2**20,
        b"zTXt": b"k\0\0" + zlib.compress(bytes(80 * 2**20), 1),
        b"iTXt": b"k\0\1\0\0\0" + zlib.compress(bytes(8 * 2**20), 1),
    }[kind]
    assert np.array_equal(seen(data[:at] + chunk(kind, body) + data[at:]), grey)


@pytest.mark.parametrize("kind", [b"iCCP", b"prVt", b"eXIf"])
def test_a_chunk_that_is_no_picture_may_be_long_or_broken(grey, kind):
    data = save(Image.fromarray(grey))
    at = data.index(b"IDAT") - 4
    long = chunk(kind, b"k\0\0" + zlib.compress(bytes(8 * 2**20), 1))
    for body in (long, long[:-1] + bytes([long[-1] ^ 1])):
        assert np.array_equal(seen(data[:at] + body + data[at:]), grey)


def test_a_jpeg_whose_exif_is_garbage_is_read_as_it_stands(grey):
    data = save(Image.fromarray(grey), "JPEG", quality=95)
    body = b"Exif\0\0" + bytes(range(200))
    broken = data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body + data[2:]
    assert np.array_equal(seen(broken), seen(data))


def test_a_png_whose_rows_end_early_is_truncated(grey):
    data = save(Image.fromarray(grey))
    packed = b"".join(body for kind, body in chunks(data) if kind == b"IDAT")
    head, rows = data[: data.index(b"IDAT") - 4], zlib.decompress(packed)
    for short in (zlib.compress(rows[: len(rows) // 2]), packed[: len(packed) // 2]):
        assert reason(head + chunk(b"IDAT", short) + chunk(b"IEND", b"")) is ReasonCode.TRUNCATED


def test_a_black_lower_half_is_no_truncation(grey):
    film = grey.copy()
    film[128:] = 0
    assert np.array_equal(seen(save(Image.fromarray(film))), film)
    assert np.abs(seen(save(Image.fromarray(film), "JPEG", quality=95)).astype(int) - film).mean() < 2


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_its_end_mark_and_half_its_data_is_truncated(grey, progressive):
    data = save(Image.fromarray(grey), "JPEG", progressive=progressive)
    assert reason(data[: len(data) // 2] + b"\xff\xd9") is ReasonCode.TRUNCATED


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["PNG", "JPEG"]), data=st.data())
def test_a_mutated_picture_is_read_or_rejected_and_never_raises_anything_else(grey, kind, data):
    picture = bytearray(save(Image.fromarray(grey), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        where = data.draw(st.integers(0, 200) | st.integers(0, len(picture) - 1))
        picture[where] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        picture = picture[: data.draw(st.integers(1, len(picture)))]
    with contextlib.suppress(Rejected):
        normalise(bytes(picture), LIMITS)
