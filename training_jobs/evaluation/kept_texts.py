"""A model's texts as they come, each on disk before the next is waited for, so that a run that was killed goes on."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from training_jobs.evaluation.writing import Notify, write_texts
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle

_SHOWN = 10  # studies that a message names


class KeptTexts:
    """A file of JSON lines: one that says of what the texts are, then one for each text.

    Args:
        what: a hash of the model and of what it is asked; opaque.

    Raises:
        TrainingError: the file is of something else, its folder is missing, or another process writes it.
    """

    def __init__(self, file: Path, what: str) -> None:
        self.texts: dict[str, str] = {}
        self._file = file
        if not file.parent.is_dir():
            raise TrainingError(f"there is no folder {file.parent}")
        self._stream: IO[bytes] = file.open("a+b")
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._stream.close()
            raise TrainingError(f"another run writes {file} now") from None
        rows = list(self._whole())
        if rows and rows[0] != {"of": what}:
            self._stream.close()
            raise TrainingError(f"{file} is of another bundle or input: remove it to begin again")
        self.texts |= {row["study"]: row["text"] for row in rows[1:]}
        if not rows:
            self._append({"of": what})

    def __enter__(self) -> "KeptTexts":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, bundle: Bundle, films: Mapping[str, Path], *, batch: int, device: str, notify: Notify) -> None:
        """Let the bundle write about every film that has no text yet.

        Raises:
            TrainingError: a film gives no text, naming it once the others are written; or the device is lost.
        """
        left = [(uid, file) for uid, file in films.items() if uid not in self.texts]
        broken: list[str] = []
        for written in write_texts(bundle, left, batch, device) if left else ():
            if written.problem is None:
                self._append({"study": written.uid, "text": written.text})
                self.texts[written.uid] = written.text
            else:
                broken.append(f"{written.uid} ({written.problem})")
            notify(len(self.texts) + len(broken), len(films))
        if broken:
            raise TrainingError(f"no text for {some(broken)}; the others are kept")

    def remove(self) -> None:
        """The texts lie elsewhere now."""
        self._file.unlink()

    def _append(self, row: Mapping[str, str]) -> None:
        self._stream.write(json.dumps(row).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _whole(self) -> Iterator[dict[str, Any]]:
        """The rows that were written to their end; half a line behind them is cut off."""
        self._stream.seek(0)
        end = 0
        for line in self._stream.readlines():
            try:
                row = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            end += len(line)
            yield row
        self._stream.truncate(end)


def some(studies: list[str]) -> str:
    """How many there are, and the first of them."""
    more = f" and {len(studies) - _SHOWN} more" if len(studies) > _SHOWN else ""
    return f"{len(studies)} studies: {', '.join(studies[:_SHOWN])}{more}"
