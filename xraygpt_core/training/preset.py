"""What a preset is: published values, ours beside them, and why the two differ where they do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STAGES = ("encoder", "medical-llm", "stage1", "stage2")  # in their order; each starts from a bundle

Value = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True)
class Choice:
    """One hyper-parameter of a recipe.

    Attributes:
        key: its dotted name in the configuration, or what else it is about (in :attr:`Preset.about`).
        value: what the preset sets.
        original: what was published, in words or as a number; None: nothing was.
        source: where that stands: a file of the released code, or a section of the paper.
        why: why ours differs, or what a silent source is filled with; empty where ours is the original.
    """

    key: str
    value: Value
    original: Value
    source: str
    why: str = ""


@dataclass(frozen=True)
class Wants:
    """What a recipe expects of the bundle it starts from; it trains others too, and says that they differ."""

    encoder: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class Preset:
    """A named recipe.

    Attributes:
        stage: the stage it is for.
        title: one line.
        choices: what it sets, in the order it is shown.
        about: what a configuration does not set: data, machines, and what the original did besides.
        wants: what it expects of the base.
    """

    name: str
    stage: str
    title: str
    choices: tuple[Choice, ...]
    about: tuple[Choice, ...] = ()
    wants: Wants = Wants()

    def document(self) -> dict[str, Any]:
        """Its values as the JSON object of a configuration, without its name."""
        found: dict[str, Any] = {}
        for choice in self.choices:
            *outer, last = choice.key.split(".")
            inside = found
            for part in outer:
                inside = inside.setdefault(part, {})
            inside[last] = choice.value
        return found


@dataclass(frozen=True)
class Row:
    """One line of the table that explains a preset: what this run has, and what was published."""

    key: str
    value: Any
    original: Value
    source: str
    why: str


def under(values: Mapping[str, Any], explicit: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with ``explicit`` over them, object by object; lists and scalars are replaced whole."""
    merged = dict(values)
    for key, value in explicit.items():
        known = merged.get(key)
        nested = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[key] = under(known, value) if nested else value  # type: ignore[arg-type]  # both are mappings
    return merged
