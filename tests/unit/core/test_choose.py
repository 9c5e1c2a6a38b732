"""Which image of a study is summarised."""

from itertools import permutations
from typing import Any

import pytest

from xraygpt_core.ledger.settle import choose


def image(name: str, view: str | None = "PA", *flags: str, area: int | None = 100) -> dict[str, Any]:
    return {"id": name, "view": view, "flags": list(flags), "area": area}


def chosen(*images: dict[str, Any]) -> str | None:
    best = choose(images)
    return None if best is None else best["id"]


def test_no_image_and_lateral_images_alone_give_nothing() -> None:
    assert chosen() is None
    assert chosen(image("a", "LATERAL"), image("b", "LATERAL")) is None


def test_pa_comes_before_ap_before_a_view_nobody_named() -> None:
    given = [image("pa", "PA"), image("ap", "AP"), image("?", None), image("lat", "LATERAL")]
    for order in permutations(given):
        assert chosen(*order) == "pa"
    assert chosen(*given[1:]) == "ap"
    assert chosen(*given[2:]) == "?"


def test_an_original_comes_before_a_copy_even_a_larger_one() -> None:
    assert chosen(image("copy", "PA", "secondary_capture", area=900), image("original", "PA", area=100)) == "original"


def test_a_copy_of_the_better_view_comes_before_an_original_of_the_worse() -> None:
    assert chosen(image("ap", "AP"), image("pa", "PA", "secondary_capture")) == "pa"


def test_of_equals_the_largest_then_the_first_is_chosen() -> None:
    assert chosen(image("small", area=1), image("large", area=2)) == "large"
    assert chosen(image("first"), image("second")) == "first"


@pytest.mark.parametrize("view", ["PA", "AP", None])
def test_an_image_without_a_known_size_still_counts(view: str | None) -> None:
    assert chosen(image("a", view, area=None)) == "a"
    assert chosen(image("a", view, area=None), image("b", view, area=1)) == "b"
