"""What a model was made for and measured on, and which films lie outside of that.

A bundle declares it in the table ``[scope]`` of its ``bundle.toml``; every text it writes carries the declaration.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from xraygpt_core.states import Flag

_LONGEST = 300  # characters of a sentence that stands above every draft
_KEYS = frozenset({"made_for", "says", "card", "validated_on"})
_FIGURE_KEYS = frozenset({"name", "n", "metric", "value", "interval"})


class MadeFor(StrEnum):
    """What a bundle claims."""

    SYNTHETIC = "synthetic"  # drawn films, not people's: its text about a person's film is worth nothing
    RESEARCH = "research"  # people's films, without a measurement: no hospital's film lies inside
    VALIDATED = "validated"  # people's films, measured: the figures stand in validated_on


@dataclass(frozen=True)
class Figure:
    """One measurement: ``value`` of ``metric`` on ``n`` films of ``name``, with its 95 % interval."""

    name: str
    n: int
    metric: str
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Scope:
    """A bundle's declaration; ``made_for`` is None where it declares nothing.

    Attributes:
        says: one sentence, for the reader of a text.
        card: where the model card is, a link or a path.
    """

    made_for: MadeFor | None
    says: str
    card: str | None = None
    validated_on: tuple[Figure, ...] = ()

    def document(self) -> dict[str, Any]:
        """What travels with each text: the figures only if they are a claim about films like the reader's.

        The others stay in the bundle, whose hash travels too.
        """
        figures = self.figures() if self.made_for is MadeFor.VALIDATED else []
        return {"made_for": self.made_for, "says": self.says, "card": self.card, "validated_on": figures}

    def figures(self) -> list[dict[str, Any]]:
        """``validated_on`` for programs."""
        return [asdict(figure) for figure in self.validated_on]


UNDECLARED = Scope(None, "This bundle does not say what it was made for.")


def is_outside(scope: Scope, flags: Collection[str]) -> bool:
    """Whether a film with these flags lies outside of what the model was made for and measured on.

    A validated model's scope holds every film that is not known to be drawn.
    """
    match scope.made_for:
        case MadeFor.SYNTHETIC:
            return Flag.SYNTHETIC not in flags
        case MadeFor.VALIDATED:
            return Flag.SYNTHETIC in flags
        case _:
            return True


def scope_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored text's bundle declared. Texts that are older than declarations get :data:`UNDECLARED`."""
    declared: dict[str, Any] = provenance.get("scope") or UNDECLARED.document()
    return declared


def inherited(scope: Scope, base: str) -> Scope:
    """The scope of a bundle made from another one by training or quantising: its own weights were not measured."""
    if scope.made_for is None:
        return UNDECLARED
    made_for = MadeFor.RESEARCH if scope.made_for is MadeFor.VALIDATED else scope.made_for
    films = "synthetic films" if made_for is MadeFor.SYNTHETIC else "research"
    return Scope(made_for, f"Made from the bundle {base}: for {films} only, and not measured itself.")


def parse_scope(table: Mapping[str, Any] | None) -> Scope:
    """The table ``[scope]``; None where there is none.

    Raises:
        TypeError, ValueError: it has another form, or a key is missing.
    """
    if table is None:
        return UNDECLARED
    if not isinstance(table, Mapping):
        raise TypeError("[scope] is no table")
    if unknown := sorted(set(table) - _KEYS):
        raise ValueError(f"[scope] knows no {', '.join(unknown)}; it has {', '.join(sorted(_KEYS))}")
    made_for = table.get("made_for")
    if made_for not in list(MadeFor):
        raise ValueError(f"[scope] made_for {made_for!r} is none of {', '.join(MadeFor)}")
    figures = table.get("validated_on", [])
    if not isinstance(figures, list):
        raise TypeError("[scope] validated_on is a list of tables with name, n, metric, value and interval")
    card = table.get("card")
    scope = Scope(
        MadeFor(made_for),
        _sentence(table.get("says"), "says"),
        None if card is None else _sentence(card, "card"),
        tuple(_figure(figure) for figure in figures),
    )
    if scope.made_for is MadeFor.VALIDATED and not scope.validated_on:
        raise ValueError("[scope] a validated model states its figures in validated_on")
    return scope


def scope_table(scope: Scope) -> dict[str, Any] | None:
    """The table :func:`parse_scope` reads; None for a bundle that declares nothing."""
    if scope.made_for is None:
        return None
    figures = [figure | {"interval": list(figure["interval"])} for figure in scope.figures()]
    given = {"made_for": str(scope.made_for), "says": scope.says, "card": scope.card, "validated_on": figures or None}
    return {key: value for key, value in given.items() if value is not None}


def _sentence(value: object, key: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST or not value.isprintable():
        raise ValueError(f"[scope] {key} is one line of 1 to {_LONGEST} characters")
    return value.strip()


def _figure(table: object) -> Figure:
    where = "[scope] validated_on"
    if not isinstance(table, Mapping) or set(table) != _FIGURE_KEYS:
        raise ValueError(f"each entry of {where} has {', '.join(sorted(_FIGURE_KEYS))}, and nothing else")
    films, interval = table["n"], table["interval"]
    if isinstance(films, bool) or not isinstance(films, int) or films < 1:
        raise ValueError(f"{where}: n is the number of films")
    if not isinstance(interval, list) or len(interval) != 2:
        raise ValueError(f"{where}: interval is [low, high]")
    low, value, high = (_number(one, where) for one in (interval[0], table["value"], interval[1]))
    if not low <= value <= high:
        raise ValueError(f"{where}: the value {value} lies outside of its interval")
    return Figure(_sentence(table["name"], "name"), films, _sentence(table["metric"], "metric"), value, (low, high))


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: value and interval are numbers")
    return float(value)
