"""A model's texts as they come, each on disk before the next is waited for, so that a run that was killed goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from training_jobs.evaluation.writing import Notify, write_texts
from training_jobs.json_lines import append, mended_rows
from xraygpt_core.errors import TrainingError
from xraygpt_core.file_lock import lock_if_free
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
        self._stream: IO[str] = file.open("a", encoding="utf-8")
        if not lock_if_free(self._stream):
            self._stream.close()
            raise TrainingError(f"another run writes {file} now")
        rows = list(mended_rows(file))
        if rows and rows[0] != {"of": what}:
            self._stream.close()
            raise TrainingError(f"{file} is of another bundle or input: remove it to begin again")
        self.texts |= {row["study"]: row["text"] for row in rows[1:]}
        if not rows:
            append(self._stream, {"of": what}, now=True)

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
                append(self._stream, {"study": written.uid, "text": written.text}, now=True)
                self.texts[written.uid] = written.text
            else:
                broken.append(f"{written.uid} ({written.problem})")
            notify(len(self.texts) + len(broken), len(films))
        if broken:
            raise TrainingError(f"no text for {some(broken)}; the others are kept")

    def remove(self) -> None:
        """The texts lie elsewhere now."""
        self._file.unlink()


def some(studies: list[str]) -> str:
    """How many there are, and the first of them."""
    more = f" and {len(studies) - _SHOWN} more" if len(studies) > _SHOWN else ""
    return f"{len(studies)} studies: {', '.join(studies[:_SHOWN])}{more}"
