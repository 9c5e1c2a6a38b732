"""What stands below texts about the model: its figures with their controls, and the demo's last line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from xraygpt.caveats import inside, on_films
from xraygpt.commands import demo
from xraygpt_core.scope import SENSITIVITY, SPECIFICITY, UNDECLARED, Figure, MadeFor, Scope

FILMS = "real films (two collections)"
SENSITIVE = Figure(FILMS, 80, SENSITIVITY, 0.7125, (0.6049, 0.8), swapped=0.5, most_frequent=0.0)
SPECIFIC = Figure(FILMS, 85, SPECIFICITY, 1.0, (0.957, 1.0))
SCOPE = Scope(MadeFor.TRIAL, "For trying the system out.", validated_on=(SENSITIVE, SPECIFIC))
LINE = (
    "On 165 real films (two collections) it called 57 of 80 abnormal ones abnormal (sensitivity .71, .60–.80) "
    "and 85 of 85 normal ones normal (specificity 1.00, .96–1.00); not for clinical use."
)


def test_one_sentence_says_how_often_an_abnormal_film_is_known() -> None:
    assert on_films(SCOPE) == LINE


@pytest.mark.parametrize("declared", [(), (SENSITIVE,), (SPECIFIC,)])
def test_there_is_no_sentence_without_both_figures(declared: tuple[Figure, ...]) -> None:
    assert on_films(Scope(MadeFor.SYNTHETIC, "x", validated_on=declared)) is None


def test_a_figure_is_listed_with_the_controls_that_were_measured() -> None:
    listed = inside({"flags": [], "scope": SCOPE.document()})
    assert listed is not None
    assert "0.713 (0.605 to 0.8, n = 80; the texts beside another film 0.5; one text for all 0)" in listed
    assert listed.endswith("specificity of abnormal 1 (0.957 to 1, n = 85)")


@pytest.mark.parametrize(("scope", "said"), [(SCOPE, True), (UNDECLARED, False)])
def test_the_demo_ends_with_that_sentence_where_its_bundle_declares_it(
    monkeypatch: pytest.MonkeyPatch, xraygpt: Callable[..., Result], tmp_path: Any, scope: Scope, said: bool
) -> None:
    @contextmanager
    def stack() -> Iterator[dict[str, Any]]:
        yield {"gateway_url": "http://127.0.0.1:1", "api_key": "secret"}

    monkeypatch.setattr(demo, "fetch_bundle", lambda: None)
    monkeypatch.setattr(demo, "stack_for_now", stack)
    monkeypatch.setattr(demo, "send", lambda *_, **__: [])
    monkeypatch.setattr(demo, "where_next", lambda _stack: {"gateway": "here"})
    monkeypatch.setattr(demo, "load_bundle", lambda *_: SimpleNamespace(scope=scope))
    (tmp_path / "film.dcm").write_bytes(b"")
    shown = " ".join(xraygpt("demo", str(tmp_path / "film.dcm")).stdout.split())
    assert shown.endswith(LINE if said else "gateway here")
