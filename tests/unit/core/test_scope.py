"""What a bundle may declare, and which films lie outside of that."""

from typing import Any

import pytest

from xraygpt_core.scope import (
    SENSITIVITY,
    SPECIFICITY,
    UNDECLARED,
    Figure,
    MadeFor,
    Scope,
    inherited,
    is_outside,
    parse_scope,
    scope_of,
    scope_table,
)

FIGURE = {"name": "own films", "n": 300, "metric": "finding-F1", "value": 0.5, "interval": [0.4, 0.6]}
VALIDATED = {
    "made_for": "validated",
    "says": "Measured on 300 films.",
    "card": "https://x/card",
    "validated_on": [FIGURE],
}


def test_a_declaration_is_read_and_written_back() -> None:
    scope = parse_scope(VALIDATED)
    assert scope.validated_on == (Figure("own films", 300, "finding-F1", 0.5, (0.4, 0.6)),)
    assert scope_table(scope) == VALIDATED


def test_the_controls_beside_a_figure_are_read_and_written_back() -> None:
    declared = VALIDATED | {"validated_on": [FIGURE | {"swapped": 0.3, "most_frequent": 0}, FIGURE]}
    scope = parse_scope(declared)
    assert [(one.swapped, one.most_frequent) for one in scope.validated_on] == [(0.3, 0.0), (None, None)]
    assert scope_table(scope) == declared


def test_figures_travel_with_a_text_only_where_they_are_about_films_like_its_own() -> None:
    travels = {made_for: parse_scope(VALIDATED | {"made_for": made_for}).document() for made_for in MadeFor}
    assert [made_for for made_for, document in travels.items() if document["validated_on"]] == ["trial", "validated"]


def test_sensitivity_and_specificity_are_found_where_both_are_of_the_same_films() -> None:
    alone, one, two = (FIGURE | {"metric": SENSITIVITY, "name": name} for name in ("drawn", "real", "other"))
    pairs = [one | {"metric": SPECIFICITY}, two | {"metric": SPECIFICITY}]
    found = parse_scope(VALIDATED | {"validated_on": [FIGURE, alone, one, two, *pairs]}).abnormal()
    assert found is not None
    assert [(figure.name, figure.metric) for figure in found] == [("real", SENSITIVITY), ("real", SPECIFICITY)]
    assert parse_scope(VALIDATED | {"validated_on": [alone, *pairs]}).abnormal() is None


@pytest.mark.parametrize(
    "change",
    [
        {"made_for": "clinical"},
        {"made_for": None},
        {"made_for": ["synthetic"]},
        {"says": ""},
        {"says": "two\nlines"},
        {"says": "x" * 301},
        {"card": 7},
        {"author": "me"},
        {"validated_on": []},
        {"validated_on": "everything"},
        {"validated_on": ["a figure"]},
        {"validated_on": [FIGURE | {"interval": [0.6, 0.9]}]},
        {"validated_on": [FIGURE | {"interval": [0.4]}]},
        {"validated_on": [FIGURE | {"value": float("nan")}]},
        {"validated_on": [FIGURE | {"n": True}]},
        {"validated_on": [FIGURE | {"n": 0}]},
        {"validated_on": [{"name": "x"}]},
        {"validated_on": [FIGURE | {"p": 0.05}]},
        {"validated_on": [FIGURE | {"swapped": "0.1"}]},
        {"validated_on": [FIGURE | {"most_frequent": float("inf")}]},
        {"made_for": "trial", "validated_on": []},
    ],
    ids=str,
)
def test_a_declaration_that_is_not_understood_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match="scope"):
        parse_scope(VALIDATED | change)


def test_a_declaration_that_is_no_table_is_refused() -> None:
    with pytest.raises(TypeError, match="no table"):
        parse_scope("synthetic")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made_for", "flags", "outside"),
    [
        (MadeFor.SYNTHETIC, ["synthetic", "body_part_unknown"], False),
        (MadeFor.SYNTHETIC, ["not_verified_chest"], True),
        (MadeFor.SYNTHETIC, [], True),
        (MadeFor.TRIAL, ["synthetic"], False),
        (MadeFor.TRIAL, [], True),
        (MadeFor.RESEARCH, [], True),
        (MadeFor.RESEARCH, ["synthetic"], True),
        (MadeFor.VALIDATED, [], False),
        (MadeFor.VALIDATED, ["synthetic"], True),
        (None, [], True),
        (None, ["synthetic"], True),
    ],
)
def test_which_films_lie_outside(made_for: MadeFor | None, flags: list[str], outside: bool) -> None:
    assert is_outside(Scope(made_for, "x"), flags) is outside


@pytest.mark.parametrize("made_for", ["trial", "validated"])
def test_what_is_made_from_a_measured_model_is_for_research_and_has_no_figures(made_for: str) -> None:
    made = inherited(parse_scope(VALIDATED | {"made_for": made_for}), "good")
    assert (made.made_for, made.validated_on) == (MadeFor.RESEARCH, ())
    assert "good" in made.says


def test_what_is_made_from_a_model_for_drawn_films_stays_one() -> None:
    assert inherited(Scope(MadeFor.SYNTHETIC, "x"), "demo").made_for is MadeFor.SYNTHETIC
    assert inherited(UNDECLARED, "base") == UNDECLARED


def test_a_text_from_before_bundles_declared_anything_says_so() -> None:
    assert scope_of({"seed": 1})["says"] == "This bundle does not say what it was made for."
