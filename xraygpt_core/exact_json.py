"""JSON (RFC 8259) whose fractions keep every digit: Python's own writer knows floats, which round them."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any


def exact_json(value: Any) -> str:
    """Compact JSON with letters as they are; a :class:`Decimal` is written digit by digit.

    Raises:
        TypeError: the value holds something else that JSON cannot say.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except TypeError:  # the quick way ends at the first Decimal
        return _written(value)


def _written(value: Any) -> str:
    match value:
        case Decimal():
            return str(value)
        case list() | tuple():
            return f"[{','.join(map(_written, value))}]"
        case dict():
            return "{" + ",".join(f"{_written(name)}:{_written(one)}" for name, one in value.items()) + "}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def exact_fraction(digits: str) -> Decimal | str:
    """``parse_float`` of :func:`json.loads` for numbers that shall stay as they are; as text beyond all measure."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits
