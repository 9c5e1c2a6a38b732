"""SQL by people who may read the views and nothing else: one statement, read-only, with a time and a row limit.

What keeps it safe is the role ``xraygpt_reader``, which the migrations create; the limits here keep it polite.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from xraygpt_core.db import LOST_HOST
from xraygpt_core.errors import ConfigurationError, InvalidRequest, Unavailable
from xraygpt_core.settings import Settings

MAX_ROWS = 10_000
MAX_LETTERS = 32 << 20  # of all values together: a row may be as wide as its writer likes
MAX_SECONDS = 10.0

Value = None | bool | int | float | str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """A result whose values are JSON-safe. ``truncated``: there was more than the limits let through."""

    columns: list[str]
    rows: list[list[Value]]
    truncated: bool


class _TextLoader(Loader):
    """What PostgreSQL writes, as it is: Python has no infinite date and no year -4712."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _MomentLoader(_TextLoader):
    """A timestamp in ISO 8601."""

    def load(self, data: Buffer) -> str:
        text = super().load(data)
        return text.replace(" ", "T", 1) + (":00" if text.endswith("+00") else "")


_LOADERS: dict[str, type[_TextLoader]] = {
    "date": _TextLoader,
    "time": _TextLoader,
    "timetz": _TextLoader,
    "interval": _TextLoader,
    "timestamp": _MomentLoader,
    "timestamptz": _MomentLoader,
}
_OPTIONS = "-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601"


def run_query(settings: Settings, statement: str, *, seconds: float = MAX_SECONDS, max_rows: int = MAX_ROWS) -> Rows:
    """Run one statement as the reader.

    Raises:
        InvalidRequest: PostgreSQL refuses the statement, or it took too long; the message is PostgreSQL's own.
        ConfigurationError: no reader is configured.
        Unavailable: PostgreSQL does not answer.
    """
    if settings.reader_url is None:
        raise ConfigurationError("XRAYGPT_READER_URL is not set, so queries are switched off")
    if "\0" in statement:
        raise InvalidRequest("a statement holds no NUL")
    try:
        with psycopg.connect(
            settings.reader_url.get_secret_value(),
            connect_timeout=5,
            application_name="xraygpt-reader",
            options=f"{_OPTIONS} -c statement_timeout={int(seconds * 1000)}",
            **LOST_HOST,
        ) as connection:
            connection.read_only = True
            return _rows(connection, statement, max_rows)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if error.sqlstate is None or error.sqlstate.startswith(("08", "28", "57P", "53")):
            raise Unavailable("PostgreSQL does not answer the reader") from None
        raise InvalidRequest(_told(error)) from None
    except psycopg.Error as error:
        raise InvalidRequest(_told(error)) from None


def _rows(connection: psycopg.Connection[Any], statement: str, max_rows: int) -> Rows:
    for name, loader in _LOADERS.items():
        connection.adapters.register_loader(name, loader)
    rows: list[list[Value]] = []
    room = MAX_LETTERS
    with connection.cursor() as cursor:
        # Streaming speaks the extended protocol, which takes one statement and no more.
        stream = cursor.stream(sql.SQL(statement))  # the caller's own statement, on purpose
        for row in stream:
            if len(rows) == max_rows or room < 0:
                stream.close()  # type: ignore[attr-defined]  # a generator: closing it cancels the rest
                return Rows(_columns(cursor), rows, truncated=True)
            rows.append([json_safe(value) for value in row])
            room -= sum(len(value if isinstance(value, str) else str(value)) for value in rows[-1])
        columns = _columns(cursor) if rows else _described(connection, statement)
    return Rows(columns, rows, truncated=False)


def _columns(cursor: psycopg.Cursor[Any]) -> list[str]:
    return [column.name for column in cursor.description or ()]


def _described(connection: psycopg.Connection[Any], statement: str) -> list[str]:
    """The columns of a statement that gave no row to read them from."""
    connection.pgconn.prepare(b"", statement.encode())
    shape = connection.pgconn.describe_prepared(b"")
    return [(shape.fname(place) or b"").decode() for place in range(shape.nfields)]


def _told(error: psycopg.Error) -> str:
    return error.diag.message_primary or "PostgreSQL refuses the statement"


def json_safe(value: object) -> Value:
    """A value of PostgreSQL as JSON can say it: ids as text, bytes as hex, NaN and infinity as null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            if not value.is_finite():
                return None
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {str(name): json_safe(item) for name, item in value.items()}
        case list() | tuple():
            return [json_safe(item) for item in value]
        case UUID():
            return str(value)
        case _:
            return str(value)
