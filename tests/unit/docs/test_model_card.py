"""docs/model-card.md and what the demo bundle declares say the same."""

import tomllib
from pathlib import Path

from xraygpt_core.scope import MadeFor, parse_scope

ROOT = Path(__file__).parents[3]
CARD = (ROOT / "docs" / "model-card.md").read_text()
DECLARED = parse_scope(tomllib.loads((ROOT / "xraygpt_core/model/demo/scope.toml").read_text()))


def shown(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def test_the_demo_bundle_is_made_for_drawn_films_and_names_its_card() -> None:
    assert DECLARED.made_for is MadeFor.SYNTHETIC
    assert DECLARED.card is not None
    assert (ROOT / DECLARED.card).is_file()
    assert DECLARED.says in " ".join(CARD.split())


def test_each_figure_stands_in_the_card() -> None:
    assert len(DECLARED.validated_on) == 3
    for figure in DECLARED.validated_on:
        low, high = map(shown, figure.interval)
        assert f"| **{shown(figure.value)}** | {low} | {high} |" in CARD, figure
        assert f"on {figure.n} " in CARD
