import pytest

from xraygpt_core.report.locations import find_locations

BOTH = {"left", "right"}


def spots(text: str) -> set[tuple[str, str]]:
    (place,) = find_locations(text)
    return place.spots(frozenset())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("left upper zone", {("left", "upper")}),
        ("left upper and right lower zones", {("left", "upper"), ("right", "lower")}),
        ("right upper and lower zones", {("right", "upper"), ("right", "lower")}),
        ("left and right upper zones", {("left", "upper"), ("right", "upper")}),
        ("upper zones of both lungs", {("left", "upper"), ("right", "upper")}),
        ("lower lobe of the left lung", {("left", "lower")}),
        ("both bases", {("left", "lower"), ("right", "lower")}),
        ("lung bases", {("left", "lower"), ("right", "lower")}),
        ("bibasal", {("left", "lower"), ("right", "lower")}),
        ("retrocardiac", {("left", "lower")}),
        ("entire left lung", {("left", "upper"), ("left", "lower")}),
        ("right mid and lower zone", {("right", "lower")}),
        ("left mid zone", set()),
        ("right lung", set()),
        ("right base and left apex", {("right", "lower"), ("left", "upper")}),
    ],
)
def test_sides_and_zones_pair_up_as_they_are_read(text: str, expected: set[tuple[str, str]]) -> None:
    assert spots(text) == expected


def test_a_zone_without_a_side_takes_the_side_it_is_given() -> None:
    (place,) = find_locations("lower zone")
    assert place.spots(frozenset({"right"})) == {("right", "lower")}
    assert place.sides == frozenset()


def test_two_places_with_other_words_between_are_two() -> None:
    first, second = find_locations("effusion on the left with consolidation in the right upper lobe")
    assert (first.sides, second.sides) == ({"left"}, {"right"})


@pytest.mark.parametrize(
    "text", ["tip in the left atrium", "lines left in place", "right ventricle", "upper limit of normal"]
)
def test_heart_chambers_and_idioms_are_no_places(text: str) -> None:
    assert find_locations(text) == []


def test_both_sides_are_named_by_bilateral() -> None:
    (place,) = find_locations("bilateral effusions")
    assert place.sides == BOTH
