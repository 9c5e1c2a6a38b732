"""Where each pair of a corpus lies: offsets, lengths, sets and splits as numpy arrays, cached beside the corpus.

The texts stay in their files. 27 bytes of memory for a pair.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.corpus import Corpus, Shard
from xraygpt_core.training.pairs import SPLITS, Pair, parse_pair

FILE = "index.npz"  # beside corpus.json; made again where it is missing or does not fit
NO_TEXT = -1
_FORMAT = 1
_MAX_LINE = 2**24  # bytes of a pair
_TYPES = {"shard": np.int32, "row": np.int32, "offset": np.int64, "size": np.int32, "letters": np.int32}
_TYPES |= {"split": np.int8, "set_number": np.int16}


@dataclass(frozen=True)
class CorpusIndex:
    """One entry for each pair, in the order of the shards; all arrays have shape (pairs,).

    Attributes:
        shard: the number of its shard in the corpus.
        row: its place in the shard.
        offset, size: where its line begins in the file of pairs, and its bytes.
        letters: of its text; :data:`NO_TEXT` where it has none.
        split: its number in :data:`xraygpt_core.training.pairs.SPLITS`.
        set_number: its set's place in ``sets``.
        sets: the names of the sets.
    """

    shard: NDArray[Any]
    row: NDArray[Any]
    offset: NDArray[Any]
    size: NDArray[Any]
    letters: NDArray[Any]
    split: NDArray[Any]
    set_number: NDArray[Any]
    sets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.shard)


def index_of(corpus: Corpus) -> CorpusIndex:
    """The corpus's index: the cached one where it fits the files, else made now and cached if that can be written.

    Raises:
        TrainingError: a line is no pair, or a shard has another number of them than the corpus says.
    """
    key, cached = _key(corpus), corpus.path / FILE
    found = _read(cached, key)
    if found is None:
        found = _make(corpus)
        with suppress(OSError):  # a corpus that may not be written is indexed at every start
            _write(cached, key, found)
    return found


def _key(corpus: Corpus) -> str:
    """What the index depends on: names, sizes and times of the files of pairs."""
    stats = [(shard.pairs, shard.count, (corpus.path / shard.pairs).stat()) for shard in corpus.shards]
    told = json.dumps([_FORMAT, [(name, count, stat.st_size, stat.st_mtime_ns) for name, count, stat in stats]])
    return hashlib.sha256(told.encode()).hexdigest()


def _make(corpus: Corpus) -> CorpusIndex:
    parts: list[list[NDArray[Any]]] = []
    sets: dict[str, int] = {}
    for number, shard in enumerate(corpus.shards):
        rows = [(number, *row) for row in _rows(corpus.path, shard, sets)]
        if len(rows) != shard.count:
            raise TrainingError(f"{shard.pairs} has {len(rows)} pairs, and the corpus says {shard.count}")
        table = np.array(rows, dtype=np.int64).reshape(-1, len(_TYPES))
        parts.append([table[:, place].astype(kind) for place, kind in enumerate(_TYPES.values())])
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.empty(0, np.int32)] * len(_TYPES)
    return CorpusIndex(**dict(zip(_TYPES, columns, strict=True)), sets=tuple(sets))


def _rows(folder: Path, shard: Shard, sets: dict[str, int]) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Row, offset, size, letters, split and set of each line of a file of pairs."""
    row, offset = 0, 0
    try:
        with (folder / shard.pairs).open("rb") as file:
            while line := file.readline(_MAX_LINE):
                where = f"{shard.pairs}, line {row + 1}"
                yield row, offset, len(line), *_told(parse_pair(line, where), where, sets)
                row, offset = row + 1, offset + len(line)
    except OSError as error:
        raise TrainingError(f"{shard.pairs} cannot be read: {error.strerror}") from error


def _told(pair: Pair, where: str, sets: dict[str, int]) -> tuple[int, int, int]:
    """Letters, split and set of a pair."""
    if pair.split not in SPLITS or not isinstance(pair.set_name, str) or not isinstance(pair.text, str | None):
        raise TrainingError(f"{where}: no pair: its split, set or text is none")
    letters = NO_TEXT if pair.text is None else len(pair.text)
    return letters, SPLITS.index(pair.split), sets.setdefault(pair.set_name, len(sets))


def _read(file: Path, key: str) -> CorpusIndex | None:
    """The cached index; None where there is none that fits."""
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as data:
            about = json.loads(str(data["about"]))
            if about["key"] != key:
                return None
            arrays = {name: data[name] for name in _TYPES}
            return CorpusIndex(**arrays, sets=tuple(about["sets"]))
    except (OSError, ValueError, KeyError, TypeError, BadZipFile, EOFError):
        return None


def _write(file: Path, key: str, index: CorpusIndex) -> None:
    handle, work = tempfile.mkstemp(prefix=f".{FILE}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            about = np.array(json.dumps({"key": key, "sets": index.sets}))
            np.savez(out, about=about, **{name: getattr(index, name) for name in _TYPES})
        os.replace(work, file)
    finally:
        with suppress(FileNotFoundError):  # it has its name
            os.unlink(work)
