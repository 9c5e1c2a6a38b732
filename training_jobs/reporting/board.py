"""TensorBoard's event files: losses, learning rate, speed and gradient norm while a run runs.

Each start of a run writes a file of its own; where it goes on from a checkpoint, TensorBoard forgets the later steps of
the file before. The names hold no host name, which tensorboardX's own writer would put there.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar, text

from xraygpt_core.plain_text import plain_text

FOLDER = "tensorboard"
_NAMES = {
    "loss": "loss/train",
    "held_out": "loss/held out",
    "swapped": "loss/held out, images swapped",
    "lr": "learning rate",
    "grad_norm": "gradient norm",
    "samples_per_s": "samples a second",
}
_FLUSH_SECONDS = 5.0


class Board:
    """An observer of a run (:class:`training_jobs.learning.progress.Observer`).

    Args:
        out: the run's folder; the files lie in ``tensorboard`` below it.

    Raises:
        OSError: the folder cannot be written; also by :meth:`note` when the disk is full.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / FOLDER
        self._file: RecordWriter | None = None
        self._flushed = 0.0

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """What a step was like."""
        for name, value in values.items():
            self._write(Event(step=step, wall_time=time.time(), summary=scalar(_NAMES.get(name, name), value)))

    def texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Texts by name, shown as they are; only at a run's end, and only where its films may be seen too."""
        for name, told in texts.items():
            event = Event(step=step, wall_time=time.time(), summary=text(name, plain_text(told)))
            self._write(event, goes_on=True)

    def close(self) -> None:
        """Flush and close; twice does no harm."""
        file, self._file = self._file, None
        if file is not None:
            file.flush()
            file.close()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write(self, event: Event, *, goes_on: bool = False) -> None:
        if self._file is None:
            self._file = self._begin(event.step, voids=not goes_on)
        self._file.write(event.SerializeToString())
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._file._writer.flush()
            self._flushed = time.monotonic()

    def _begin(self, step: int, *, voids: bool) -> RecordWriter:
        """A new file; it may tell TensorBoard that whatever it knows of this step and later ones is void."""
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        file = RecordWriter(str(self._folder.absolute() / f"events.out.tfevents.{int(now)}.step-{step:06d}"))
        file.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        if voids:
            started = SessionLog(status=SessionLog.START)
            file.write(Event(wall_time=now, step=step, session_log=started).SerializeToString())
        return file
