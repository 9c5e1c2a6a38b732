"""All dialogues of some files: checked once from end to end, then read one by one from where they stand."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np

from training_jobs.language.conversations import Turns, Unusable, turns_of, words_of
from training_jobs.language.json_records import Record, read_record, records
from training_jobs.language.keywords import Keywords
from xraygpt_core.errors import TrainingError
from xraygpt_core.plain_text import with_rest

_SHOWN = 20  # problems in a message
_NOTICE = 50_000  # records between two notices


@dataclass(frozen=True)
class Problem:
    """What is wrong with one record, and where; it quotes nothing of the record."""

    where: str
    what: str


@dataclass
class Reading:
    """What came out of the files so far.

    Attributes:
        read: records, good or bad.
        dropped: why records were left out -> how many.
        problems: the first twenty.
    """

    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def note(self, where: str, what: str) -> None:
        """One more record that is no use."""
        self.dropped["unusable"] += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(Problem(where, what))

    def refuse(self) -> None:
        """Say what is wrong, if anything is.

        Raises:
            TrainingError: with file and line of the first problems, and their number.
        """
        if (count := self.dropped["unusable"]) == 0:
            return
        lines = [f"{problem.where}: {problem.what}" for problem in self.problems]
        advice = "`python -m training_jobs select` writes a file of what can be used"
        raise TrainingError("; ".join([f"the dialogues have {count} problems ({advice})", *with_rest(lines, count)]))


@dataclass(frozen=True)
class Found:
    """A dialogue, and where its record stands.

    Attributes:
        file: its number.
        key: a hash of its words.
    """

    file: int
    offset: int
    length: int
    key: bytes
    turns: Turns


def read_dialogues(
    files: Sequence[tuple[str, Path]],
    keywords: Keywords | None,
    reading: Reading,
    notify: Callable[[int], None] = lambda _: None,
) -> Iterator[Found]:
    """Each dialogue to learn from, the first of equal ones; ``reading`` counts what is left out.

    Memory: one record, and about a hundred bytes a dialogue.

    Args:
        files: what to call each in a message, and its path.

    Raises:
        TrainingError: a file cannot be read, or holds nothing.
    """
    seen: set[bytes] = set()
    for number, (called, path) in enumerate(files):
        for record, turns in _turns_in(called, path, reading, notify):
            text = "\x1f".join(words_of(turns))
            key = blake2b(text.encode(), digest_size=16).digest()
            if keywords is not None and not keywords.meets(text):
                reading.dropped["no_keyword"] += 1
            elif key in seen:
                reading.dropped["repeated"] += 1
            else:
                seen.add(key)
                yield Found(number, record.offset, record.length, key, turns)


def _turns_in(
    called: str, path: Path, reading: Reading, notify: Callable[[int], None]
) -> Iterator[tuple[Record, Turns]]:
    if not path.is_file():
        raise TrainingError(f"{called} is no file")
    number = 0
    try:
        for number, record in enumerate(records(path), 1):
            reading.read += 1
            if reading.read % _NOTICE == 0:
                notify(reading.read)
            try:
                yield record, _turns(record)
            except Unusable as error:
                reading.note(f"{called}, line {record.line} (record {number})", str(error))
    except OSError as error:
        raise TrainingError(f"{called} cannot be read: {error.strerror}") from error
    if number == 0:
        raise TrainingError(f"{called} holds no records")


def _turns(record: Record) -> Turns:
    if record.problem is not None:
        raise Unusable(record.problem)
    return turns_of(record.value)


class Dialogues:
    """The dialogues of some files by number. Where each stands is in memory, its text is not.

    Raises:
        TrainingError: any record is unusable, or nothing is left to learn from; nothing was trained yet.
    """

    def __init__(self, files: Sequence[tuple[str, Path]], keywords: Keywords | None) -> None:
        self.reading = Reading()
        self._file, offsets, lengths = array("H"), array("Q"), array("L")
        sizes, asked = array("L"), array("L")
        digest = sha256()
        for found in read_dialogues(files, keywords, self.reading):
            self._file.append(found.file)
            offsets.append(found.offset)
            lengths.append(found.length)
            sizes.append(sum(map(len, words_of(found.turns))))
            asked.append(len(found.turns[0][0].encode()))
            digest.update(found.key)
        self.reading.refuse()
        if not offsets:
            raise TrainingError(
                f"no dialogue is left to learn from: {self.reading.read} were read, "
                + ", ".join(f"{count} {reason}" for reason, count in sorted(self.reading.dropped.items()))
            )
        self._offsets, self._lengths = offsets, lengths
        self.sizes = np.asarray(sizes)  # letters of each: how long it will be in tokens, about
        self.asked = np.asarray(asked)  # bytes of its first question: so many tokens at most
        self.sha256 = digest.hexdigest()
        self._stack = ExitStack()
        self._open: list[BinaryIO] = [self._stack.enter_context(path.open("rb")) for _, path in files]

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Turns:
        file = self._open[self._file[index]]
        return turns_of(read_record(file, self._offsets[index], self._lengths[index]))

    def __enter__(self) -> "Dialogues":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
