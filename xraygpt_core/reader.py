"""SQL by people who may read the views and nothing else: one statement, read-only, with a time and a row limit.

What keeps it safe is the role ``xraygpt_reader``, which the migrations create; the limits here keep it polite.
"""

import json
import math
import re
import time
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg2
from psycopg2 import extensions, extras
from psycopg2.extensions import QuotedString

from xraygpt_core.db import LOST_HOST, libpq_url, said
from xraygpt_core.errors import ConfigurationError, InvalidRequest, Unavailable
from xraygpt_core.settings import Settings

MAX_ROWS = 10_000
MAX_LETTERS = 32 << 20  # of all values together: a row may be as wide as its writer likes
MAX_SECONDS = 10.0
_CHUNK = 64  # rows fetched at once, fewer where they are wide: nobody knows how wide the next ones are
_DEEPEST = 100  # lists and objects within each other, in a JSON value
_LONGEST_NUMBER = 300  # digits that a whole number may have in the answer; a longer one is given as text

Value = None | bool | int | float | str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """A result whose values are JSON-safe. ``truncated``: there was more than the limits let through."""

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
    if not statement.strip(" \t\r\n;"):
        raise InvalidRequest("the statement is empty")
    try:
        with closing(_connect(settings.reader_url.get_secret_value())) as connection:
            return _Answer(connection, time.monotonic() + seconds).read(statement, max_rows)
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        state = error.pgcode
        if state is None or state.startswith(("08", "28", "57P", "53")):
            raise Unavailable(f"PostgreSQL does not answer the reader{said(error)}") from None
        raise InvalidRequest(_told(error)) from None
    except psycopg2.Error as error:
        raise InvalidRequest(_told(error)) from None
    except UnicodeEncodeError:
        raise InvalidRequest("the statement holds half of a surrogate pair, which is no text") from None
    except UnicodeDecodeError:
        raise InvalidRequest("the answer is not in UTF-8: leave client_encoding as it is") from None


def _connect(url: str) -> Any:
    """A connection whose transactions only read. Nothing is set for longer than a transaction: it may be a pooler's."""
    connection = psycopg2.connect(
        libpq_url(url, "XRAYGPT_READER_URL"),
        connect_timeout=5,
        application_name="xraygpt-reader",
        client_encoding="UTF8",
        **LOST_HOST,
    )
    connection.set_session(readonly=True)
    for types in _TYPES:
        extensions.register_type(types, connection)
    extras.register_default_json(connection, loads=_document)
    extras.register_default_jsonb(connection, loads=_document)
    return connection


class _Answer:
    """One statement's rows, through a cursor of the server that PL/pgSQL opens: that takes exactly one statement which
    gives rows, whereas the simple protocol takes several, and DECLARE takes neither EXPLAIN nor SHOW.
    """

    def __init__(self, connection: Any, end: float) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._end = end

    def read(self, statement: str, max_rows: int) -> Rows:
        """All rows, or as many as the limits let through."""
        opened = f"DECLARE answer refcursor := 'answer'; BEGIN OPEN answer FOR EXECUTE {self._quoted(statement)}; END"
        self._run(_SETTINGS)
        self._run(f"DO {self._quoted(opened)}")
        rows: list[list[Value]] = []
        room, widest = MAX_LETTERS, 1
        while True:
            wanted = max(1, min(_CHUNK if rows else 1, max_rows + 1 - len(rows), room // widest))
            self._run(f"FETCH {wanted} FROM answer")
            for row in self._cursor:
                if len(rows) == max_rows or room < 0:
                    return Rows(self._columns(), rows, truncated=True)
                rows.append([json_safe(value) for value in row])
                width = sum(len(value if isinstance(value, str) else str(value)) for value in rows[-1])
                room, widest = room - width, max(widest, width)
            if self._cursor.rowcount < wanted:
                return Rows(self._columns(), rows, truncated=False)

    def _run(self, statement: str) -> None:
        """Every statement gets the time that is left, whatever those before it set."""
        left = max(1, int(1000 * (self._end - time.monotonic())))
        self._cursor.execute(f"SET LOCAL statement_timeout = {left}; {statement}")

    def _quoted(self, text: str) -> str:
        literal = QuotedString(text)
        literal.prepare(self._connection)
        return bytes(literal.getquoted()).decode()

    def _columns(self) -> list[str]:
        return [column.name for column in self._cursor.description or ()]


_SETTINGS = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'iso_8601'"


def _told(error: psycopg2.Error) -> str:
    return error.diag.message_primary or "PostgreSQL refuses the statement"


def _as_written(value: Any, _cursor: Any) -> Any:
    """What PostgreSQL writes, as it is: Python has no infinite date and no year -4712."""
    return value


def _moment(value: Any, _cursor: Any) -> Any:
    """A timestamp in ISO 8601."""
    return value and value.replace(" ", "T", 1) + (":00" if value.endswith("+00") else "")


def _types() -> list[Any]:
    """How values and arrays of them are read; the numbers are those of pg_type.dat."""
    written = {"DATE": (1082, 1182), "TIME": (1083, 1183), "TIMETZ": (1266, 1270), "INTERVAL": (1186, 1187)}
    written |= {"UUID": (2950, 2951), "INET": (869, 1041), "CIDR": (650, 651), "NAME": (19, 1003)}
    written |= {"INT4RANGE": (3904, 3905), "INT8RANGE": (3926, 3927), "NUMRANGE": (3906, 3907)}
    written |= {"DATERANGE": (3912, 3913), "TSRANGE": (3908, 3909), "TSTZRANGE": (3910, 3911)}
    moments = {"TIMESTAMP": (1114, 1115), "TIMESTAMPTZ": (1184, 1185)}
    made = []
    for kinds, read in ((written, _as_written), (moments, _moment)):
        for name, (one, many) in kinds.items():
            scalar = extensions.new_type((one,), name, read)
            made += [scalar, extensions.new_array_type((many,), f"{name}ARRAY", scalar)]
    return made


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


def _document(written: str) -> Any:
    """A JSON value; its text, where our own answer could not say it again: nested without end, or no Unicode."""
    try:
        value = json.loads(written, parse_int=_whole)
        if _HALF_A_PAIR.search(written):
            json.dumps(value, ensure_ascii=False).encode()
    except (RecursionError, UnicodeEncodeError):
        return written
    brackets = written.count("[") + written.count("{")
    return written if brackets > _DEEPEST and _deeper(value, _DEEPEST) else value


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    items = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in items)


_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_TYPES = _types()


def json_safe(value: object) -> Value:
    """A value of PostgreSQL as JSON can say it: bytes as hex, NaN and infinity as null, endless numbers as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _number(value)
        case bytes() | memoryview():
            return bytes(value).hex()
        case dict():
            return {str(name): json_safe(item) for name, item in value.items()}
        case list() | tuple():
            return [json_safe(item) for item in value]
        case _:
            return str(value)


def _number(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if value.adjusted() > _LONGEST_NUMBER:
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)
