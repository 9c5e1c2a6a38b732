"""SQL by people who may read the views and nothing else: one statement, read-only, with a time and a row limit.

What keeps it safe is the role ``xraygpt_reader``, which the migrations create; the limits here keep it polite.
"""

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from xraygpt_core.errors import ConfigurationError, InvalidRequest, Unavailable
from xraygpt_core.settings import Settings

MAX_ROWS = 10_000
MAX_SECONDS = 10.0

Value = None | bool | int | float | str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """A result whose values are JSON-safe. ``truncated``: there was more than ``max_rows``."""

    columns: list[str]
    rows: list[list[Value]]
    truncated: bool


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
    options = f"-c default_transaction_read_only=on -c statement_timeout={int(seconds * 1000)} -c timezone=UTC"
    try:
        with psycopg.connect(
            settings.reader_url.get_secret_value(),
            connect_timeout=5,
            application_name="xraygpt-reader",
            options=options,
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
    rows: list[list[Value]] = []
    with connection.cursor() as cursor:
        # Streaming speaks the extended protocol, which takes one statement and no more.
        stream = cursor.stream(sql.SQL(statement))  # the caller's own statement, on purpose
        for row in stream:
            if len(rows) == max_rows:
                stream.close()  # type: ignore[attr-defined]  # a generator: closing it cancels the rest
                return Rows(_columns(cursor), rows, truncated=True)
            rows.append([json_safe(value) for value in row])
        return Rows(_columns(cursor), rows, truncated=False)


def _columns(cursor: psycopg.Cursor[Any]) -> list[str]:
    return [column.name for column in cursor.description or ()]


def _told(error: psycopg.Error) -> str:
    return error.diag.message_primary or "PostgreSQL refuses the statement"


def json_safe(value: object) -> Value:
    """A value of PostgreSQL as JSON can say it: moments in ISO 8601, ids as text, bytes as hex."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            if not value.is_finite():
                return None
            return int(value) if value == value.to_integral_value() else float(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
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
