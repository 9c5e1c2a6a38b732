"""A JSON object as a frozen dataclass: every key known, of its type, and within its bounds."""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from xraygpt_core.errors import TrainingError

T = TypeVar("T")
_ITEMS = 10_000  # of a list in a configuration


@dataclass(frozen=True)
class Limits:
    """What the values of a document may be, by dotted name.

    Attributes:
        bounds: the least and the most of each number.
        words: the values a text may have.
    """

    bounds: Mapping[str, tuple[float, float]]
    words: Mapping[str, tuple[str, ...]]


def read_object(kind: type[T], data: object, limits: Limits, prefix: str = "") -> T:
    """The keys of a JSON object over the defaults of a dataclass; nested dataclasses are nested objects.

    Raises:
        TrainingError: an unknown or missing key, a value of the wrong type, or one out of bounds.
    """
    what = prefix.rstrip(".") or "the configuration"
    if not isinstance(data, Mapping):
        raise TrainingError(f"{what} must be an object")
    hints = get_type_hints(kind)
    for key in data:
        if key not in hints:
            raise TrainingError(f"unknown setting {reprlib.repr(prefix + str(key))}; known: {', '.join(sorted(hints))}")
    found = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, whatever T is
        name = prefix + field.name
        if field.name in data:
            found[field.name] = _value(hints[field.name], data[field.name], limits, name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise TrainingError(f"{what} has no {field.name}")
    return kind(**found)


def _value(hint: Any, value: Any, limits: Limits, name: str) -> Any:
    kinds = get_args(hint) if type(None) in get_args(hint) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = next(one for one in kinds if one is not type(None))
    if is_dataclass(kind):
        return read_object(kind, value, limits, f"{name}.")  # type: ignore[arg-type]  # of a class, not of an instance
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple) or len(value) > _ITEMS:
            raise TrainingError(f"{name} must be a list")
        return tuple(_value(get_args(kind)[0], item, limits, f"{name}[{number}]") for number, item in enumerate(value))
    if get_origin(kind) is Mapping:
        if not isinstance(value, Mapping) or not all(_fits(str, text) for pair in value.items() for text in pair):
            raise TrainingError(f"{name} must be an object of texts")
        return dict(value)
    if not _fits(kind, value):
        raise TrainingError(f"{name} cannot be {reprlib.repr(value)}")
    _check(name, value, limits)
    return value


def _fits(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind


def _check(name: str, value: Any, limits: Limits) -> None:
    if name in limits.bounds:
        least, most = limits.bounds[name]
        if not (least <= value <= most and math.isfinite(value)):
            raise TrainingError(f"{name} must be at least {least} and at most {most}")
    if name in limits.words and value not in limits.words[name]:
        raise TrainingError(f"{name} is {' or '.join(limits.words[name])}, not {reprlib.repr(value)}")
