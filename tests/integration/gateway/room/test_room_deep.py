"""Windows on the film's own values: greys that an 8-bit copy has not, and the 8-bit copy where there is no other."""

import hashlib
import io
import struct
import zlib
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import Room, hashes, shot
from tests.integration.gateway.room.desk_tools import study_of
from tests.support.ledger_tools import do

World = Any
VALUES = np.arange(4096).reshape(32, 128)  # each value of a 12-bit ramp once


def png(array: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def ramp(world: World, codes: np.ndarray[Any, Any] | None = VALUES, scale: tuple[float, float] = (0.0, 1.0)) -> str:
    """A summarised study of a 12-bit ramp; ``codes`` is its 16-bit copy, None for one without."""
    (image,) = world.submit("in/ramp.dcm")
    eight = png((VALUES // 16).astype(np.uint8))
    more: dict[str, Any] = {"rows": 32, "columns": 128, **hashes(eight)}
    if codes is not None:
        deep = png(codes.astype(np.uint16))
        centre = scale[0] + scale[1] * 2047.5
        more |= {"deep_key": "deep/ramp.png", "deep_sha256": hashlib.sha256(deep).hexdigest()}
        more |= {"deep_scale": scale, "deep_window": (centre, 4095.0 * abs(scale[1]))}
        world.store.put("deep/ramp.png", deep, "image/png")
    study_id = world.ingest(image["image_id"], **more)
    for folder in ("normalised", "preview"):
        world.store.put(f"{folder}/{image['image_id']}.png", eight, "image/png")
    world.summarise(study_id)
    return str(study_id)


def written(codes: np.ndarray[Any, Any]) -> bytes:
    """A 16-bit PNG in two IDAT chunks whose rows use the five filters by turns (ISO/IEC 15948, section 9.2)."""
    rows = [list(row.astype(">u2").tobytes()) for row in codes]
    above, body = [0] * len(rows[0]), bytearray()
    for place, row in enumerate(rows):
        left, corner = [0, 0, *row[:-2]], [0, 0, *above[:-2]]
        nearest = [min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2] for a, b, c in zip(left, above, corner, strict=True)]  # fmt: skip # noqa: E501
        mean = [(a + b) // 2 for a, b in zip(left, above, strict=True)]
        guess = ([0] * len(row), left, above, mean, nearest)[place % 5]
        body += bytes([place % 5, *((byte - one) % 256 for byte, one in zip(row, guess, strict=True))])
        above = row
    packed = zlib.compress(bytes(body))
    head = struct.pack(">IIBBBBB", codes.shape[1], codes.shape[0], 16, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", packed[:99]), (b"IDAT", packed[99:]), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def drawn(page: Page, film: int = 0) -> list[int]:
    """The greys on the screen, pixel by pixel, once they are painted."""
    found: list[int] = (
        page.locator(".stage canvas")
        .nth(film)
        .evaluate(
            """element => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(
            [...element.getContext("2d").getImageData(0, 0, element.width, element.height).data]
                .filter((_, place) => place % 4 === 0)))))"""
        )
    )
    return found


def opened(room: Room, study_id: str) -> Page:
    page = room.open(study_id).page
    expect(page.get_by_role("img", name="Film, PA view")).to_be_visible()
    expect(page.locator(".stage .overlay")).to_contain_text("128 × 32")
    return page


def test_a_window_on_a_12_bit_ramp_shows_greys_that_an_8_bit_copy_has_not(newcomer: Room, world: World) -> None:
    page = opened(newcomer, ramp(world))
    overlay = page.locator(".stage .overlay")
    expect(overlay).to_contain_text("W 4095 L 2048")
    expect(overlay).to_contain_text("8-bit copy")  # as long as the window is the one that the model saw
    assert drawn(page) == (VALUES // 16).ravel().tolist()
    page.get_by_label("Window").select_option("contrast")  # 110 of 255 greys wide
    expect(overlay).to_contain_text("16-bit copy")
    width = 110 / 255 * 4095
    expect(overlay).to_contain_text(f"W {width:.0f} L 2048")
    truth = np.clip((VALUES - 2047.5) / width + 0.5, 0, 1) * 255
    seen = np.array(drawn(page))
    assert np.abs(seen - truth.ravel()).max() <= 0.51
    assert len(set(seen.tolist())) == 256 > 112
    shot(page, "16-bit")
    page.keyboard.press("0")
    expect(overlay).to_contain_text("8-bit copy")
    assert drawn(page) == (VALUES // 16).ravel().tolist()


def test_it_is_fetched_once_and_not_before_a_window_asks_for_it(newcomer: Room, world: World) -> None:
    page = opened(newcomer, ramp(world))

    def fetched() -> int:
        return sum(url.endswith("/16-bit.png") for url in newcomer.requests)

    expect(page.locator(".stage .overlay")).to_contain_text("W 4095")
    assert fetched() == 0
    for _ in range(3):
        page.keyboard.press("w")
    expect(page.locator(".stage .overlay")).to_contain_text("16-bit copy")
    assert fetched() == 1


def test_a_drag_goes_as_narrow_as_the_values_are_and_beyond_the_8_bit_copy_s_ends(newcomer: Room, world: World) -> None:
    page = opened(newcomer, ramp(world))
    page.keyboard.press("w")
    expect(page.locator(".stage .overlay")).to_contain_text("16-bit copy")
    box = page.locator(".stage").bounding_box()
    assert box
    x, y = box["x"] + 20, box["y"] + box["height"] / 2
    for _ in range(6):
        page.keyboard.down("Shift")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 400, y)
        page.mouse.up()
        page.keyboard.up("Shift")
    expect(page.locator(".stage .overlay")).to_contain_text("W 2 ")
    assert len(set(drawn(page))) <= 4
    assert {0, 255} <= set(drawn(page))


def test_each_of_two_films_is_windowed_on_its_own_values(newcomer: Room, world: World) -> None:
    study_id, _, images = study_of(world, views=("PA", "LATERAL"))
    gradient = np.tile(np.arange(400), (500, 1))
    for image_id, codes in zip(images, (gradient, gradient[:, ::-1]), strict=True):
        deep = png(codes.astype(np.uint16))
        world.store.put(f"deep/{image_id}.png", deep, "image/png")
        kept = "deep_key = :key, deep_sha256 = :sha, deep_scale = ARRAY[0, 1], deep_window = ARRAY[200, 400]"
        about = {"key": f"deep/{image_id}.png", "sha": hashlib.sha256(deep).hexdigest(), "id": UUID(image_id)}
        do(world.ledger, f"UPDATE images SET {kept} WHERE id = :id", **about)
    page = newcomer.open(study_id).page
    expect(page.get_by_role("button", name="Lateral")).to_be_visible()
    page.keyboard.press("v")
    expect(page.get_by_role("img", name="Same study, LATERAL view")).to_be_visible()
    page.get_by_label("Window").select_option("contrast")
    expect(page.locator(".stage .overlay").first).to_contain_text("16-bit copy")
    expect(page.locator(".stage .overlay").last).to_contain_text("8-bit copy")
    page.locator(".stage").last.focus()
    page.get_by_label("Window").select_option("contrast")
    expect(page.locator(".stage .overlay").last).to_contain_text("16-bit copy")
    frontal, lateral = drawn(page)[:400], drawn(page, 1)[:400]
    assert (frontal[0], frontal[-1]) == (0, 255)
    assert lateral == frontal[::-1]


def test_of_an_inverted_film_the_window_is_in_its_own_falling_values(newcomer: Room, world: World) -> None:
    page = opened(newcomer, ramp(world, scale=(4095.0, -1.0)))
    page.get_by_label("Window").select_option("lung")  # darker greys, so higher values of this film
    expect(page.locator(".stage .overlay")).to_contain_text("16-bit copy")
    expect(page.locator(".stage .overlay")).to_contain_text(f"L {2047.5 + 42.5 / 255 * 4095:.0f}")
    seen = drawn(page)
    assert seen[0] == 0
    assert seen == sorted(seen)


def test_every_way_to_write_a_row_is_read(newcomer: Room, world: World) -> None:
    """ISO/IEC 15948, section 9: ingest writes what packs best, row by row."""
    study_id = ramp(world)
    chance = np.random.default_rng(7)
    codes = chance.integers(0, 65536, VALUES.shape).astype(np.uint16)
    deep = written(codes)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(deep))), codes)
    world.store.put("deep/ramp.png", deep, "image/png")
    about = {"id": UUID(study_id), "sha": hashlib.sha256(deep).hexdigest()}
    scaled = "deep_scale = ARRAY[0, 1], deep_window = ARRAY[32767.5, 65535]"
    do(world.ledger, f"UPDATE images SET deep_sha256 = :sha, {scaled} WHERE study_id = :id", **about)
    page = opened(newcomer, study_id)
    page.get_by_label("Window").select_option("contrast")
    expect(page.locator(".stage .overlay")).to_contain_text("16-bit copy")
    truth = np.clip((codes - 32767.5) / (110 / 255 * 65535) + 0.5, 0, 1) * 255
    assert np.abs(np.array(drawn(page)) - truth.ravel()).max() <= 0.51


def test_without_one_the_8_bit_copy_is_windowed(newcomer: Room, world: World) -> None:
    page = opened(newcomer, ramp(world, None))
    page.get_by_label("Window").select_option("contrast")
    expect(page.locator(".stage .overlay")).to_contain_text("W 110 L 128")
    expect(page.locator(".stage .overlay")).to_contain_text("8-bit copy")
    assert len(set(drawn(page))) <= 112
    assert not [url for url in newcomer.requests if "16-bit" in url]


@pytest.mark.parametrize("fault", ["missing", "another size", "no PNG"])
def test_one_that_cannot_be_shown_leaves_the_8_bit_copy(newcomer: Room, world: World, fault: str) -> None:
    study_id = ramp(world)
    stored = {"another size": png(VALUES[:8].astype(np.uint16)), "no PNG": b"\x89PNG\r\n\x1a\n" + bytes(40)}
    if fault in stored:
        world.store.put("deep/ramp.png", stored[fault], "image/png")
        sha = hashlib.sha256(stored[fault]).hexdigest()
        do(world.ledger, "UPDATE images SET deep_sha256 = :sha WHERE study_id = :id", sha=sha, id=UUID(study_id))
    else:
        world.store.delete("deep/ramp.png")
    page = opened(newcomer, study_id)
    with page.expect_response("**/16-bit.png"):
        page.get_by_label("Window").select_option("contrast")
    if fault != "another size":
        why = "It is no picture" if fault == "no PNG" else "The stored picture is not the one that was read"
        says = f"The 16-bit copy cannot be shown, the 8-bit copy is: {why}"
        expect(page.locator(".toast")).to_contain_text(says, ignore_case=True)
    expect(page.locator(".stage .overlay")).to_contain_text("8-bit copy")
    assert len(set(drawn(page))) <= 112
