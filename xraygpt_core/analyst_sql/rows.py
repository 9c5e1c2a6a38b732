"""A query's result, row by row, as JSON that is safe to send. Imports nothing that holds a secret or much memory:
:mod:`xraygpt_core.analyst_sql.child` runs it in a process of its own.
"""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from typing import Any

import psycopg2
from psycopg2 import extensions, extras
from psycopg2.extensions import QuotedString

from xraygpt_core.analyst_sql.refusals import refusal
from xraygpt_core.errors import InvalidRequest, Unavailable
from xraygpt_core.exact_json import exact_fraction, exact_json

MAX_ROWS = 10_000
MAX_BYTES = 32 << 20  # of all rows together, as JSON
MAX_SECONDS = 10.0
_CHUNK = 64  # rows fetched at once, fewer where they are wide: the next ones may be wider
_DEEPEST = 100  # lists and objects within each other, in a JSON value
_LONGEST_NUMBER = 300  # digits that a whole number may have in the answer; a longer one is given as text
TOO_WIDE = f"a row, or what it is made of, does not fit: an answer has {MAX_BYTES >> 20} MiB at most"

Value = None | bool | int | float | Decimal | str | list[Any] | dict[str, Any]


class Reading:
    """One statement's rows.

    Args:
        dsn: where, as libpq reads it. options: more of its parameters.
        seconds: for everything.
        max_rows: more are cut off.

    Attributes:
        columns: their names, once :meth:`rows` is at its end.
        types: PostgreSQL's name of each column's type, likewise.
        truncated: there was more than the limits let through.
    """

    def __init__(self, dsn: str, options: Mapping[str, Any], seconds: float, max_rows: int) -> None:
        self.columns: list[str] = []
        self.types: list[str] = []
        self.truncated = False
        self._dsn, self._options = dsn, options
        self._seconds, self._end = seconds, time.monotonic() + seconds
        self._max_rows = max_rows

    def rows(self, statement: str) -> Iterator[bytes]:
        """Each row as a JSON array.

        Raises:
            InvalidRequest: PostgreSQL refuses the statement, or it took too long.
            Unavailable: PostgreSQL does not answer.
        """
        try:
            with closing(_connect(self._dsn, self._options)) as connection:
                yield from self._read(connection, statement)
        except psycopg2.Error as error:
            raise _ours(error, self._seconds) from None
        except MemoryError:
            raise InvalidRequest(TOO_WIDE) from None
        except UnicodeEncodeError:
            raise InvalidRequest("the statement holds half of a surrogate pair, which is no text") from None
        except UnicodeDecodeError:
            raise InvalidRequest("the answer is not in UTF-8: leave client_encoding as it is") from None

    def _read(self, connection: Any, statement: str) -> Iterator[bytes]:
        """Through a cursor of the server that PL/pgSQL opens: that takes exactly one statement which gives rows,
        whereas the simple protocol takes several, and DECLARE takes neither EXPLAIN nor SHOW.
        """
        cursor = connection.cursor()
        opened = (
            f"DECLARE answer refcursor := 'answer'; BEGIN OPEN answer FOR EXECUTE {_quoted(statement, connection)}; END"
        )
        self._run(cursor, _SETTINGS)
        self._run(cursor, f"DO {_quoted(opened, connection)}")
        count, room, widest = 0, MAX_BYTES, 1
        while True:
            wanted = max(1, min(_CHUNK if count else 1, self._max_rows + 1 - count, room // widest))
            self._run(cursor, f"FETCH {wanted} FROM answer")
            self.columns = [column.name for column in cursor.description or ()]
            if not self.types:
                self.types = self._type_names(connection, [column.type_code for column in cursor.description or ()])
            for row in cursor:
                written = exact_json([json_safe(value) for value in row]).encode()
                room, widest = room - len(written), max(widest, len(written))
                if count == self._max_rows or room < 0:
                    self.truncated = True
                    return
                count += 1
                yield written
            if cursor.rowcount < wanted:
                return

    def _type_names(self, connection: Any, codes: list[int]) -> list[str]:
        names = connection.cursor()
        self._run(names, _TYPE_NAMES, (codes,))
        return [name for (name,) in names]

    def _run(self, cursor: Any, statement: str, given: tuple[Any, ...] | None = None) -> None:
        """Every statement gets the time that is left, though an earlier one may have set another."""
        left = max(1, int(1000 * (self._end - time.monotonic())))
        cursor.execute(f"SET LOCAL statement_timeout = {left}; {statement}", given)


# How values are written, and what a statement may cost beside others' work; the role's own limits cannot be lifted.
_SETTINGS = """
    SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'iso_8601';
    SET LOCAL work_mem = '16MB'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off;
    SELECT set_config(name, '1s', true) FROM pg_settings WHERE name = 'client_connection_check_interval'
"""

_TYPE_NAMES = """
    SELECT pg_catalog.format_type(found.code, NULL)
    FROM unnest(%s::oid[]) WITH ORDINALITY AS found (code, place) ORDER BY found.place
"""


def _connect(dsn: str, options: Mapping[str, Any]) -> Any:
    """A connection whose transactions only read. Nothing is set for longer than a transaction: it may be a pooler's."""
    connection = psycopg2.connect(
        dsn, connect_timeout=5, application_name="xraygpt-reader", client_encoding="UTF8", **options
    )
    connection.set_session(readonly=True)
    for types in _TYPES:
        extensions.register_type(types, connection)
    extras.register_default_json(connection, loads=_document)
    extras.register_default_jsonb(connection, loads=_document)
    return connection


def _quoted(text: str, connection: Any) -> str:
    literal = QuotedString(text)
    literal.prepare(connection)
    return bytes(literal.getquoted()).decode()


def _ours(error: psycopg2.Error, seconds: float) -> InvalidRequest | Unavailable:
    """Is the statement at fault, or does PostgreSQL not answer?"""
    state, message = error.pgcode, " ".join(str(error).split())
    # libpq's own words for a row that does not fit.
    if state is None and ("memory" in message or "lost synchronization" in message):
        return InvalidRequest(TOO_WIDE)
    if state is None:
        lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    else:  # 53200: no memory for this statement; 53400: above a limit of the role, as for temporary files
        lost = state.startswith(("08", "28", "57P", "53")) and state not in ("53200", "53400")
    if lost:
        return Unavailable("PostgreSQL does not answer the reader" + (f": {message}" if message else ""))
    return InvalidRequest(refusal(state, error.diag.message_primary or "PostgreSQL refuses the statement", seconds))


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
    """A JSON value; its text, where our own answer could not hold it: nested too deeply, or no Unicode."""
    try:
        value = json.loads(written, parse_int=_whole, parse_float=exact_fraction)
        if _HALF_A_PAIR.search(written):
            exact_json(value).encode()
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


def _number(value: Decimal) -> int | Decimal | str | None:
    """The number with all of its digits: a float would round them."""
    if not value.is_finite():
        return None
    if value.adjusted() > _LONGEST_NUMBER:
        return str(value)
    return int(value) if value == value.to_integral_value() else value
