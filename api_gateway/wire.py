"""Types that several routes share: text PostgreSQL can hold, and answers read from the ledger's dataclasses."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("a text holds no NUL character")
    return value


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    if "\\u0000" in json.dumps(value, allow_nan=False):  # NaN is no JSON: ValueError
        raise ValueError("a text holds no NUL character")
    return value


Text = Annotated[str, AfterValidator(_without_nul)]
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_storable)]


class Request(BaseModel):
    """A request's body. A field nobody knows is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A response's body: what is named here, and nothing else the ledger may know."""

    model_config = ConfigDict(from_attributes=True)
