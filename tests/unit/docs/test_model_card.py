"""docs/model-card.md and what the demo bundle declares say the same."""

import tomllib
from pathlib import Path

from xraygpt_core.scope import MadeFor, parse_scope

ROOT = Path(__file__).parents[3]
CARD = (ROOT / "docs" / "model-card.md").read_text()
DECLARED = parse_scope(tomllib.loads((ROOT / "xraygpt_core/model/demo/scope.toml").read_text()))


def shown(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def test_the_demo_bundle_is_for_trying_the_system_out_and_names_its_card() -> None:
    assert DECLARED.made_for is MadeFor.TRIAL
    assert DECLARED.card is not None
    assert (ROOT / DECLARED.card).is_file()
    assert DECLARED.says in " ".join(CARD.split())


def test_it_says_how_often_it_knows_an_abnormal_film() -> None:
    declared = DECLARED.abnormal()
    assert declared is not None
    assert all("real films" in figure.name for figure in declared)


def test_each_figure_stands_in_the_card_beside_its_controls() -> None:
    for figure in DECLARED.validated_on:
        low, high = map(shown, figure.interval)
        assert f"| **{shown(figure.value)}** | {low} | {high} |" in CARD, figure
        assert f"{figure.n} " in CARD
        for control in (figure.swapped, figure.most_frequent):
            assert control is None or f"| {shown(control)} |" in CARD, figure
