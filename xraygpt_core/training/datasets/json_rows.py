"""The objects of a JSONL file that may be broken in any way."""

import json
from collections.abc import Iterator
from typing import Any

from xraygpt_core.training.datasets.files import Files
from xraygpt_core.training.datasets.lines import lines_of
from xraygpt_core.training.datasets.problems import Kind, Problems


def json_rows(files: Files, address: str, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each object stands, and it; an empty line is none, and every other line that is none is a problem."""
    for number, line in lines_of(files, address, problems):
        where = f"{address}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            problems.add(where, "this is no JSON", Kind.BROKEN_JSON)
            continue
        if isinstance(row, dict):
            yield where, row
        else:
            problems.add(where, "a line must be an object", Kind.WRONG_SHAPE)
