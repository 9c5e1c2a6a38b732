"""Types that several routes share: text that PostgreSQL can hold, and answers read from the ledger's dataclasses."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, JsonValue, model_validator

from xraygpt_core.plain_text import unseen
from xraygpt_core.scope import MadeFor

_DEEPEST = 64
_MOST_UNKNOWN = 5


def _storable(value: str) -> str:
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("a text holds neither NUL nor half a character")
    return value


def _storable_json(value: Any, levels: int = _DEEPEST) -> Any:
    if levels < 0:
        raise ValueError(f"a document is nested at most {_DEEPEST} levels deep")
    match value:
        case str():
            _storable(value)
        case float() if not math.isfinite(value):
            raise ValueError("a number is finite")
        case dict():
            for name, item in value.items():
                _storable(name)
                _storable_json(item, levels - 1)
        case list():
            for item in value:
                _storable_json(item, levels - 1)
    return value


def _document(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _storable_json(value)
    return value


def _visible(value: str) -> str:
    if (letter := unseen(_storable(value))) is not None:
        raise ValueError(f"it holds {letter}, which no reader can see: take it out")
    return value


def _utc(moment: datetime) -> datetime:
    """The moment in UTC: PostgreSQL knows fewer time zones than ISO 8601 can write."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC a moment lies between the years 1 and 9999") from None


Text = Annotated[str, AfterValidator(_storable)]
# Text that people sign and others read: visible letters only, and none that changes the direction.
Words = Annotated[str, AfterValidator(_visible)]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_document)]


class Request(BaseModel):
    """A request's body. An unknown field is an error."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _mostly_known(cls, data: Any) -> Any:
        """Report many unknown fields as one error: a hundred thousand errors would take the gateway seconds."""
        expected = sum(name in data for name in cls.model_fields) if isinstance(data, dict) else 0
        if isinstance(data, dict) and len(data) - expected > _MOST_UNKNOWN:
            raise ValueError(f"{len(data) - expected} of the fields are unknown here")
        return data


class Answer(BaseModel):
    """A response's body: only the fields that are named here, whatever else the ledger has."""

    model_config = ConfigDict(from_attributes=True)


class FigureAnswer(Answer):
    """One measurement of the model: ``value`` of ``metric`` on ``n`` films, with its 95 % interval.

    The controls beside it, or null: ``swapped``, the metric of the texts beside another film, and ``most_frequent``,
    that of one text for all films.
    """

    name: str
    n: int
    metric: str
    value: float
    interval: tuple[float, float]
    swapped: float | None = None
    most_frequent: float | None = None


class ScopeAnswer(Answer):
    """What the bundle of a text was made for: ``synthetic``, ``trial``, ``research``, ``validated``, or null.

    ``says`` is one sentence to show with the text; ``validated_on`` has the measurements of a ``trial`` or a
    ``validated`` model. The flag ``out_of_scope`` means that the film lies outside of the scope.
    """

    made_for: MadeFor | None
    says: str
    card: str | None
    validated_on: list[FigureAnswer] = []


class ContradictionAnswer(Answer):
    """Two sentences that cannot both be true. ``kind``: ``findings/impression``, ``side``, ``view`` or ``chat``."""

    kind: str
    one: str
    other: str
