"""Rows of a list as CSV."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from xraygpt_core.ledger.lists.rows import WorklistRow
from xraygpt_core.plain_text import defused
from xraygpt_core.states import NOTICE

COLUMNS = (
    *("study_id", "lane", "state", "reason_code", "view", "modality", "images", "acquired_on", "received_at"),
    *("summarised_at", "review_state", "reviewed_by", "reviewed_at", "asserted", "uncertain", "flags", "bundle"),
    *("assigned_to", "opening"),
)


def csv_of(rows: Iterable[WorklistRow]) -> str:
    """A line for each row under a line of names, in RFC 4180; the last column says what the texts are."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow((*COLUMNS, "notice"))
    for row in rows:
        lines.writerow((*(_cell(getattr(row, name)) for name in COLUMNS), NOTICE if row.opening else ""))
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return defused(" ".join(value))
    return defused(value) if isinstance(value, str) else str(value)
