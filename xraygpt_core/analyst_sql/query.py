"""What the gateway sends to the child process that runs an analyst's statement (:mod:`.child`), and what it gets back.

The role ``xraygpt_reader``, which the migrations create, keeps the statement from doing harm. The limits in
:mod:`.rows` keep it from costing too much.
"""

import json
import os
import sys

from xraygpt_core.analyst_sql.rows import MAX_SECONDS
from xraygpt_core.db import LOST_HOST, libpq_url
from xraygpt_core.errors import ConfigurationError, InvalidRequest, Unavailable
from xraygpt_core.settings import Settings

COMMAND = (sys.executable, "-P", "-m", "xraygpt_core.analyst_sql.child")
# All that the child gets of our environment: where its libraries are, and what libpq reads (PGSSLROOTCERT and such).
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")


def asked(settings: Settings, statement: str) -> bytes:
    """What the child reads from its stdin.

    Raises:
        InvalidRequest: the text is no statement. ConfigurationError: no reader is configured.
    """
    dsn = _dsn(settings, statement)
    return json.dumps({"dsn": dsn, "options": LOST_HOST, "statement": statement, "seconds": MAX_SECONDS}).encode()


def environment() -> dict[str, str]:
    """The child's environment variables."""
    return {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("PG")}


def answered(output: bytes) -> bytes:
    """The child's output as one JSON object: ``columns``, ``types``, ``truncated``, ``rows``.

    Raises:
        InvalidRequest, Unavailable: the child's own error. Also InvalidRequest, if it ended without an answer.
    """
    body, _, last = output.removesuffix(b"\n").rpartition(b"\n")
    try:
        end = json.loads(last)
    except ValueError:
        raise InvalidRequest("the statement cost more memory or time than a query may") from None
    if "error" in end:
        raise (Unavailable if end["error"] == "Unavailable" else InvalidRequest)(end["detail"])
    head = json.dumps({name: end[name] for name in ("columns", "types", "truncated")}, ensure_ascii=False).encode()
    return b"".join((head[:-1], b', "rows": [', body.replace(b"\n", b","), b"]}"))


def _dsn(settings: Settings, statement: str) -> str:
    if settings.reader_url is None:
        raise ConfigurationError("XRAYGPT_READER_URL is not set, so queries are switched off")
    if "\0" in statement:
        raise InvalidRequest("a statement holds no NUL")
    if not statement.strip(" \t\r\n;"):
        raise InvalidRequest("the statement is empty")
    return libpq_url(settings.reader_url.get_secret_value(), "XRAYGPT_READER_URL")
