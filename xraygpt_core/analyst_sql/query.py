"""SQL by people who may read the views and nothing else: one statement, read-only, with a time and a row limit.

What keeps it safe is the role ``xraygpt_reader``, which the migrations create; the limits here keep it polite. The
gateway runs each statement in a process of its own (:mod:`.child`), which this module describes.
"""

import json
import os
import sys
from dataclasses import dataclass

from xraygpt_core.analyst_sql.rows import MAX_ROWS, MAX_SECONDS, Reading, Value
from xraygpt_core.db import LOST_HOST, libpq_url
from xraygpt_core.errors import ConfigurationError, InvalidRequest, Unavailable
from xraygpt_core.settings import Settings

COMMAND = (sys.executable, "-P", "-m", "xraygpt_core.analyst_sql.child")
# All that the child gets of our environment: where its libraries are, and what libpq reads (PGSSLROOTCERT and such).
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")


@dataclass(frozen=True)
class Rows:
    """A result whose values are JSON-safe. ``truncated``: there was more than the limits let through."""

    columns: list[str]
    rows: list[list[Value]]
    truncated: bool


def run_query(settings: Settings, statement: str, *, seconds: float = MAX_SECONDS, max_rows: int = MAX_ROWS) -> Rows:
    """Run one statement as the reader, in this process.

    Raises:
        InvalidRequest: PostgreSQL refuses the statement, or it took too long; the message is PostgreSQL's own.
        ConfigurationError: no reader is configured.
        Unavailable: PostgreSQL does not answer.
    """
    reading = Reading(_dsn(settings, statement), LOST_HOST, seconds, max_rows)
    rows = [json.loads(row) for row in reading.rows(statement)]
    return Rows(reading.columns, rows, reading.truncated)


def asked(settings: Settings, statement: str) -> bytes:
    """What the child reads from its stdin.

    Raises:
        InvalidRequest: no statement could be so. ConfigurationError: no reader is configured.
    """
    dsn = _dsn(settings, statement)
    return json.dumps({"dsn": dsn, "options": LOST_HOST, "statement": statement, "seconds": MAX_SECONDS}).encode()


def environment() -> dict[str, str]:
    """What the child is told of where it runs."""
    return {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("PG")}


def answered(output: bytes) -> bytes:
    """What the child said, as the JSON of :class:`Rows`.

    Raises:
        InvalidRequest, Unavailable: as it said, or because it said nothing.
    """
    body, _, last = output.removesuffix(b"\n").rpartition(b"\n")
    try:
        said = json.loads(last)
    except ValueError:
        raise InvalidRequest("the statement cost more memory or time than a query may") from None
    if "error" in said:
        raise (Unavailable if said["error"] == "Unavailable" else InvalidRequest)(said["detail"])
    head = json.dumps({"columns": said["columns"], "truncated": said["truncated"]}, ensure_ascii=False).encode()
    return b"".join((head[:-1], b', "rows": [', body.replace(b"\n", b","), b"]}"))


def _dsn(settings: Settings, statement: str) -> str:
    if settings.reader_url is None:
        raise ConfigurationError("XRAYGPT_READER_URL is not set, so queries are switched off")
    if "\0" in statement:
        raise InvalidRequest("a statement holds no NUL")
    if not statement.strip(" \t\r\n;"):
        raise InvalidRequest("the statement is empty")
    return libpq_url(settings.reader_url.get_secret_value(), "XRAYGPT_READER_URL")
