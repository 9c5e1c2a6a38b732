"""An analyst's statement, run in this process."""

import json
from dataclasses import dataclass

from xraygpt_core.analyst_sql.query import asked
from xraygpt_core.analyst_sql.rows import MAX_ROWS, MAX_SECONDS, Reading, Value
from xraygpt_core.settings import Settings


@dataclass(frozen=True)
class Rows:
    columns: list[str]
    rows: list[list[Value]]
    truncated: bool


def run_query(settings: Settings, statement: str, *, seconds: float = MAX_SECONDS, max_rows: int = MAX_ROWS) -> Rows:
    """What :mod:`xraygpt_core.analyst_sql.child` does with what the gateway sends to it."""
    given = json.loads(asked(settings, statement))
    reading = Reading(given["dsn"], given["options"], seconds, max_rows)
    rows = [json.loads(row) for row in reading.rows(given["statement"])]
    return Rows(reading.columns, rows, reading.truncated)
