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
_CONTROLS = frozenset({"swapped", "most_frequent"})

SENSITIVITY, SPECIFICITY = "sensitivity of abnormal", "specificity of abnormal"


class MadeFor(StrEnum):
    """What a bundle claims."""

    SYNTHETIC = "synthetic"  # drawn films, not people's: its text about a person's film is worth nothing
    TRIAL = "trial"  # for trying the system out: measured on people's films too, on which it is often wrong
    RESEARCH = "research"  # people's films, without a measurement: no hospital's film lies inside
    VALIDATED = "validated"  # people's films, measured: the figures stand in validated_on


_MEASURED = (
    MadeFor.TRIAL,
    MadeFor.VALIDATED,
)  # measured on films like the reader's: their figures travel with each text


@dataclass(frozen=True)
class Figure:
    """One measurement: ``value`` of ``metric`` on ``n`` films of ``name``, with its 95 % interval.

    ``n`` counts the films that the metric is about: the abnormal ones for :data:`SENSITIVITY`.

    Attributes:
        swapped: the same metric of the texts beside another film; None where it was not measured.
        most_frequent: that of one text for all films, the most frequent of the training.
    """

    name: str
    n: int
    metric: str
    value: float
    interval: tuple[float, float]
    swapped: float | None = None
    most_frequent: float | None = None


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
        figures = self.figures() if self.made_for in _MEASURED else []
        return {"made_for": self.made_for, "says": self.says, "card": self.card, "validated_on": figures}

    def figures(self) -> list[dict[str, Any]]:
        """``validated_on`` for programs, without the controls that were not measured."""
        figures = [asdict(figure) for figure in self.validated_on]
        return [{key: value for key, value in one.items() if value is not None} for one in figures]

    def abnormal(self) -> tuple[Figure, Figure] | None:
        """Sensitivity and specificity of "abnormal" on the first films of which both are declared; None: on none."""
        specific = {one.name: one for one in self.validated_on if one.metric == SPECIFICITY}
        sensitive = [one for one in self.validated_on if one.metric == SENSITIVITY and one.name in specific]
        return (sensitive[0], specific[sensitive[0].name]) if sensitive else None


UNDECLARED = Scope(None, "This bundle does not say what it was made for.")


def is_outside(scope: Scope, flags: Collection[str]) -> bool:
    """Whether a film with these flags lies outside of what the model was made for and measured on.

    A validated model's scope holds every film that is not known to be drawn; a trial is no claim about a person's film.
    """
    match scope.made_for:
        case MadeFor.SYNTHETIC | MadeFor.TRIAL:
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
    made_for = MadeFor.RESEARCH if scope.made_for in _MEASURED else scope.made_for
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
    if scope.made_for in _MEASURED and not scope.validated_on:
        raise ValueError(f"[scope] a bundle that is made for {scope.made_for} states its figures in validated_on")
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
    if not isinstance(table, Mapping) or set(table) - _CONTROLS != _FIGURE_KEYS:
        raise ValueError(
            f"each entry of {where} has {', '.join(sorted(_FIGURE_KEYS))}, perhaps {' or '.join(sorted(_CONTROLS))}, "
            "and nothing else"
        )
    films, interval = table["n"], table["interval"]
    if isinstance(films, bool) or not isinstance(films, int) or films < 1:
        raise ValueError(f"{where}: n is the number of films")
    if not isinstance(interval, list) or len(interval) != 2:
        raise ValueError(f"{where}: interval is [low, high]")
    low, value, high = (_number(one, where) for one in (interval[0], table["value"], interval[1]))
    if not low <= value <= high:
        raise ValueError(f"{where}: the value {value} lies outside of its interval")
    controls = {key: _number(table[key], where) for key in _CONTROLS & set(table)}
    name, metric = _sentence(table["name"], "name"), _sentence(table["metric"], "metric")
    return Figure(name, films, metric, value, (low, high), **controls)


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: value and interval are numbers")
    return float(value)
