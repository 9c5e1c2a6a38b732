"""A child process that dies with us, whole tree and all, and can be asked to stop or made to."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from workers.process_tree import kill_descendants

# The child trains; it needs neither the database nor the buckets nor the pseudonymisation key.
_KEPT = ("XRAYGPT_MODELS",)
_LINE_BYTES = 4096  # of what it says at once
_FAREWELL_SECONDS = 5.0

log = logging.getLogger(__name__)


class TrainingChild:
    """A command on a leash, as a context manager: leaving the block ends the whole tree.

    What it says becomes lines of our own log, each a value in one record: it can neither forge a record nor break one.
    """

    def __init__(self, command: Sequence[str], working_directory: Path) -> None:
        environment = {
            name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("XRAYGPT_")
        }
        leash = [sys.executable, "-m", "workers.process_tree", str(os.getpid())]
        self._process = subprocess.Popen(
            [*leash, *command],
            env=environment,
            cwd=working_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._ear = threading.Thread(target=_relay, args=(self._process.stdout,), name="child's words", daemon=True)
        self._ear.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._ear.join(_FAREWELL_SECONDS)

    @property
    def pid(self) -> int:
        """Of the leash; the command is below it."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None if it still runs after this time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """SIGTERM: write a checkpoint and exit."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the tree now."""
        if self._process.poll() is None:
            kill_descendants(self._process.pid)
            self._process.kill()
            self._process.wait()


def _relay(words: IO[bytes]) -> None:
    """Log what a child says, line by line, until nobody is left who could say something."""
    with words:
        for line in iter(lambda: words.readline(_LINE_BYTES), b""):
            if said := line.decode(errors="replace").strip():
                log.warning("training says", extra={"said": said})  # whatever the level: a run that fails points here
