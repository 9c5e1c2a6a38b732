"""Which image of a study is summarised."""

from itertools import combinations, pairwise, permutations
from typing import Any

import pytest

from xraygpt_core.ledger.studies.choose_image import choose
from xraygpt_core.states import Origin


def image(
    name: str, view: str | None = "PA", *flags: str, area: int | None = 100, origin: Origin = Origin.DETECTOR
) -> dict[str, Any]:
    sha256 = f"sha-{name}"
    return {"id": name, "view": view, "flags": list(flags), "area": area, "origin": origin, "pixel_sha256": sha256}


def chosen(*images: dict[str, Any]) -> str | None:
    best = choose(images)
    return None if best is None else best["id"]


def test_no_image_and_side_views_alone_give_nothing() -> None:
    assert chosen() is None
    assert chosen(image("a", "LATERAL"), image("b", "OBLIQUE")) is None


BETTER_FIRST = [
    image("pa", area=100),
    image("smaller", area=90),
    image("turned?", "PA", "orientation_uncertain", area=900),
    image("ap", "AP", area=900),
    image("frontal", "FRONTAL", area=900),
    image("processed", origin=Origin.PROCESSED, area=900),
    image("nobody named it", None, area=900),
    image("derived", origin=Origin.DERIVED, area=900),
    image("copy", "PA", "secondary_capture", area=900),
    image("raw", origin=Origin.FOR_PROCESSING, area=900),
    image("soft tissue", origin=Origin.COMPUTED, area=900),
    image("bone", origin=Origin.BONE, area=900),
    image("noise", "PA", "implausible_pixels", area=900),
    image("lateral", "LATERAL", area=9000),
]


@pytest.mark.parametrize(("better", "worse"), [*pairwise(BETTER_FIRST)], ids=lambda one: one["id"])
def test_the_better_image_is_chosen(better: dict[str, Any], worse: dict[str, Any]) -> None:
    assert chosen(better, worse) == chosen(worse, better) == better["id"]


def test_the_choice_does_not_depend_on_who_came_first() -> None:
    equals = [image("b"), image("a"), image("c")]
    for some in (*combinations(BETTER_FIRST, 3), equals):
        assert len({chosen(*order) for order in permutations(some)}) == 1


@pytest.mark.parametrize("view", ["PA", "AP", None])
def test_an_image_without_a_known_size_still_counts(view: str | None) -> None:
    assert chosen(image("a", view, area=None)) == "a"
    assert chosen(image("a", view, area=None), image("b", view, area=1)) == "b"
