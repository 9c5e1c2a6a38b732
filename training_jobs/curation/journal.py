"""What a curation has done so far, on disk, so that it can be killed at any moment and goes on.

``state/settings.json`` says what is curated and how, ``state/journal.jsonl`` has a line for each report that is done,
in the order of the source, and ``state/calls.jsonl`` one for each answer of a model, written before it is used.
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training_jobs.curation.rewriters import Answer
from training_jobs.json_lines import append, mend, mended_rows, rows_of
from xraygpt_core.durable import write_complete
from xraygpt_core.errors import TrainingError
from xraygpt_core.file_lock import lock_if_free

_SETTINGS, _JOURNAL, _CALLS, _LOCK = "settings.json", "journal.jsonl", "calls.jsonl", "lock"
FLUSH_EVERY = 200  # reports that no model was asked about; what was asked is on disk at once


class Journal:
    """The state of one curation.

    Attributes:
        done: reports that are in it.
        tokens_in, tokens_out, calls: of all answers so far.

    Raises:
        TrainingError: another curation lies there, or runs there now.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # these are texts about patients
        folder.mkdir(exist_ok=True, mode=0o700)
        self._lock = (folder / _LOCK).open("w")
        if not lock_if_free(self._lock):
            self._lock.close()
            raise TrainingError(f"another curation is at work in {folder.parent}")
        try:
            self._check(settings)
        except TrainingError:
            self._lock.close()
            raise
        self.done = mend(folder / _JOURNAL)
        self.tokens_in = self.tokens_out = self.calls = 0
        self._answers: dict[str, Answer] = {}
        for row in mended_rows(folder / _CALLS):
            self.calls += 1
            self.tokens_in += row["in"]
            self.tokens_out += row["out"]
            if row["n"] >= self.done:
                self._answers[row["id"]] = Answer(row["text"], row["in"], row["out"])
        self._journal = (folder / _JOURNAL).open("a", encoding="utf-8")
        self._calls = (folder / _CALLS).open("a", encoding="utf-8")
        self._writing = threading.Lock()
        self._unflushed = 0

    def _check(self, settings: Mapping[str, Any]) -> None:
        file = self.folder / _SETTINGS
        if file.exists():
            try:
                before = json.loads(file.read_text())
            except (OSError, ValueError) as error:
                raise TrainingError(f"{file} cannot be read: {error}; remove {self.folder} to begin again") from error
            other = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
            if other:
                raise TrainingError(
                    f"{self.folder.parent} holds another curation ({', '.join(other)} differ): choose another --out, "
                    f"or "
                    f"remove {self.folder} to begin again"
                )
            return
        write_complete(file, json.dumps(settings, indent=1) + "\n")

    def answer(self, key: str) -> Answer | None:
        """An answer that is there already."""
        with self._writing:
            return self._answers.get(key)

    def keep_answer(self, key: str, number: int, answer: Answer) -> None:
        """Put an answer on disk, before anything is made of it."""
        row = {"id": key, "n": number, "in": answer.tokens_in, "out": answer.tokens_out, "text": answer.text}
        with self._writing:
            self._answers[key] = answer
            append(self._calls, row, now=True)
            self.calls += 1

    def add(self, row: Mapping[str, Any]) -> None:
        """The next report of the source is done."""
        with self._writing:
            self._unflushed += 1
            now = self._unflushed >= FLUSH_EVERY
            append(self._journal, row, now=now)
            self._unflushed = 0 if now else self._unflushed
            self.done += 1

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every report that is done, in the order of the source."""
        self._journal.flush()
        return rows_of(self.folder / _JOURNAL)

    def close(self) -> None:
        """Put everything on disk."""
        for file in (self._journal, self._calls):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        self._lock.close()
