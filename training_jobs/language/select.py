"""A file of those dialogues that meet a keyword list: FastChat's JSON, a record a line, whatever form they came in."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from training_jobs.language.dialogues import Found, Reading, read_dialogues
from training_jobs.language.keywords import keyword_list
from xraygpt_core.durable import complete_text
from xraygpt_core.errors import TrainingError


def select(files: list[Path], keywords: str | None, out: Path) -> dict[str, Any]:
    """Write the dialogues to ``out``, which appears when it is whole; the counts, and the first problems.

    Raises:
        TrainingError: there is no such list, a file cannot be read, or ``out`` cannot be written.
    """
    words = keyword_list(keywords) if keywords is not None else None
    reading = Reading()
    named = [(str(file), file) for file in files]
    kept = _write(out, read_dialogues(named, words, reading, _notice))
    return {
        "read": reading.read,
        "kept": kept,
        "dropped": dict(sorted(reading.dropped.items())),
        "keywords": {"name": words.name, "sha256": words.sha256} if words is not None else None,
        "problems": [f"{problem.where}: {problem.what}" for problem in reading.problems],
    }


def _write(out: Path, dialogues: Iterable[Found]) -> int:
    try:
        with complete_text(out) as file:
            return _write_array(file, dialogues)
    except OSError as error:
        raise TrainingError(f"{out} cannot be written: {error.strerror}") from error


def _write_array(file: TextIO, dialogues: Iterable[Found]) -> int:
    kept = 0
    for kept, found in enumerate(dialogues, 1):
        spoken = [
            {"from": speaker, "value": text}
            for turn in found.turns
            for speaker, text in zip(("human", "gpt"), turn, strict=True)
        ]
        record = {"id": found.key.hex(), "conversations": spoken}
        file.write(("[\n" if kept == 1 else ",\n") + json.dumps(record, ensure_ascii=False))
    file.write("\n]\n" if kept else "[]\n")
    return kept


def _notice(read: int) -> None:
    print(f"{read} records read", file=sys.stderr)  # noqa: T201
