"""The logs of the one-machine stack's processes: read from their ends, merged by time, and followed.

Our own processes write lines of JSON (:mod:`xraygpt_core.logs`); PostgreSQL, the broker and S3 write text.
"""

import heapq
import json
import logging
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from xraygpt_core.plain_text import json_text, plain_text

_TAIL = 1 << 20  # bytes that are read of a file for its last lines
_LONGEST = 64 << 10  # of a line; the rest of it is left out
_USUAL = frozenset({"time", "level", "process", "logger", "message", "trace"})
_TEXT = ("postgres", "broker", "s3", "supervisor")  # their lines are no JSON, and name a level seldom
_LEVEL = re.compile(r"\b(WARNING|ERROR|FATAL|PANIC): |^(F)\d{4} | # |\b(?:ended|not)\b")
_SEVERE = ("FATAL", "PANIC", "F")
_STAMP = re.compile(r"[IWEF]?(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,6})?)")


class LogLine(NamedTuple):
    """One line; ``at`` is None where neither it nor a line before it names its time."""

    at: datetime | None
    process: str
    fields: dict[str, Any]

    @property
    def rank(self) -> int:
        """How bad it is, by the numbers of :mod:`logging`; a line that is neither JSON nor a server's is a warning."""
        if level := logging.getLevelNamesMapping().get(str(self.fields.get("level"))):
            return level
        if self.process not in _TEXT:
            return logging.WARNING
        found = _LEVEL.search(str(self.fields.get("message") or ""))
        word = found and (found[1] or found[2] or "WARNING")
        named = logging.CRITICAL if word in _SEVERE else logging.getLevelNamesMapping().get(word or "INFO")
        return named or logging.INFO

    def as_json(self) -> str:
        return json_text(self.fields)

    def as_text(self) -> str:
        """For a person: time, level, process, message, and what varies."""
        stamp = self.at.strftime("%m-%d %H:%M:%S") if self.at else ""
        level = str(self.fields.get("level") or "")
        more = [f"{name}={value}" for name, value in self.fields.items() if name not in _USUAL and value is not None]
        trace = [f"\n    {frame}" for frame in self.fields.get("trace") or ()]
        words = [f"{stamp:14} {level:8} {self.process:10}", str(self.fields.get("message") or ""), *more]
        return plain_text(" ".join(words).rstrip() + "".join(trace))


def parsed(line: str, process: str, before: datetime | None) -> LogLine:
    """A line of a process's log; one that has no time of its own gets that of the line before."""
    fields: Any = None
    if line.startswith("{"):
        with suppress(ValueError, RecursionError):
            fields = json.loads(line)
    if not isinstance(fields, dict):
        stamp = _STAMP.match(line)
        return LogLine(_moment("T".join(stamp.groups())) if stamp else before, process, _bare(line, process))
    return LogLine(_moment(fields.get("time")) or before, process, fields)


def _bare(line: str, process: str) -> dict[str, Any]:
    return {"process": process, "message": line}


def _moment(stamp: object) -> datetime | None:
    """What a log says, in UTC as all of ours are."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(str(stamp))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone()
    return None


@dataclass
class LogFile:
    """One process's log: what is read of it, and where the reading stands."""

    process: str
    path: Path
    place: int = 0
    inode: int = 0
    last: datetime | None = None
    least: int = 0  # lines of a lower rank are left out

    def end(self, since: datetime | None, count: int) -> list[LogLine]:
        """The last lines; with ``since``, of these the ones from then on. :meth:`grown` goes on behind them."""
        found: deque[LogLine] = deque(maxlen=count)
        former = self.path.with_name(f"{self.path.name}.1")
        for path, most in ((former, None), (self.path, None)) if since else ((self.path, _TAIL),):
            for line in self._read(path, most):
                if line.rank >= self.least and (since is None or (line.at is not None and line.at >= since)):
                    found.append(line)
        return list(found)

    def grown(self) -> Iterator[LogLine]:
        """The lines that came since the last reading, also where the file was replaced by a new one meanwhile."""
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return
        if now.st_ino != self.inode or now.st_size < self.place:
            self.place, self.inode = 0, now.st_ino
        if now.st_size > self.place:
            yield from (line for line in self._lines(self.path, self.place) if line.rank >= self.least)

    def _read(self, path: Path, most: int | None) -> Iterator[LogLine]:
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return
        begin = 0 if most is None else max(0, size - most)
        lines = self._lines(path, begin)
        if begin:
            next(lines, None)  # it is cut
        yield from lines

    def _lines(self, path: Path, begin: int) -> Iterator[LogLine]:
        """Whole lines from a place on; a line that is being written is left to the next reading."""
        with path.open("rb") as file:
            file.seek(begin)
            self.place, self.inode = begin, os.fstat(file.fileno()).st_ino
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self.place += len(raw)
                line = parsed(raw[:_LONGEST].decode("utf-8", "replace").rstrip("\r\n"), self.process, self.last)
                self.last = line.at
                yield line


def log_files(folder: Path, process: str | None, least: int = 0) -> Sequence[LogFile]:
    """The logs there are; with ``process``, its own. ``least``: the lowest rank of lines that are wanted."""
    found = [LogFile(path.stem, path, least=least) for path in sorted(folder.glob("*.log"))]
    return [one for one in found if process in (None, one.process)]


def last_lines(files: Sequence[LogFile], since: datetime | None, count: int) -> list[LogLine]:
    """The last lines of all files together, the oldest first."""
    merged = list(heapq.merge(*(file.end(since, count) for file in files), key=_order))
    return merged[-count:]


def _order(line: LogLine) -> float:
    return line.at.timestamp() if line.at else 0.0
