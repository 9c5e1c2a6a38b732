"""A query's result, and each of its values as text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.exact_json import exact_json

DOCUMENTS = frozenset({"json", "jsonb"})
NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision", "oid"})


class Unwritable(XrayGPTError):
    """This result does not fit the format that was asked for; the message says why and what to do."""


@dataclass(frozen=True)
class Result:
    """Rows below named columns.

    Attributes:
        types: PostgreSQL's name of each column's type.
        rows: numbers that are no whole ones as :class:`~decimal.Decimal`, digit by digit.
        truncated: there were more rows than one answer holds.
    """

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    truncated: bool

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """The answer of ``POST /v1/query``; one of an older gateway names no types."""
        columns = answer["columns"]
        types = answer.get("types") or [""] * len(columns)
        return cls(columns, types, answer["rows"], bool(answer.get("truncated")))

    def named_apart(self) -> None:
        """Check that each column has a name of its own.

        Raises:
            Unwritable: two have the same, so one would hide the other.
        """
        for name, count in Counter(name.casefold() for name in self.columns).items():
            if count > 1:
                raise Unwritable(f"{count} columns are named {name}: give each a name of its own with AS")


def as_text(value: Any, kind: str) -> str | None:
    """A value as people write it: words and numbers as they are, lists and documents as JSON; None is NULL."""
    if value is None:
        return None
    if isinstance(value, bool | list | dict) or kind in DOCUMENTS:
        return exact_json(value)
    return value if isinstance(value, str) else str(value) if isinstance(value, int | Decimal) else exact_json(value)
