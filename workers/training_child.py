"""A child process that dies with us, whole tree and all, and can be asked to stop or made to."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

from workers.process_tree import kill_descendants

# The child trains; it needs neither the database nor the buckets nor the pseudonymisation key.
_KEPT = ("XRAYGPT_MODELS",)
_LINE_BYTES = 4096  # of its output at once
_LAST_OUTPUT_SECONDS = 5.0

log = logging.getLogger(__name__)


class TrainingChild:
    """A command and all it starts, as a context manager: leaving the block ends the whole process tree.

    Its output becomes lines of our own log, each a value in one record: it can neither forge a record nor break one.
    """

    def __init__(self, command: Sequence[str], working_directory: Path) -> None:
        environment = {
            name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("XRAYGPT_")
        }
        holder = [sys.executable, "-m", "workers.process_tree", str(os.getpid())]
        self._process = subprocess.Popen(
            [*holder, *command],
            env=environment,
            cwd=working_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._relay = threading.Thread(target=_relay, args=(self._process.stdout,), name="child output", daemon=True)
        self._relay.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._relay.join(_LAST_OUTPUT_SECONDS)

    @property
    def pid(self) -> int:
        """Of ``workers.process_tree``, which holds the command."""
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


def _relay(output: IO[bytes]) -> None:
    """Log a child's output, line by line, until no process of its tree is left."""
    with output:
        for line in iter(lambda: output.readline(_LINE_BYTES), b""):
            if text := line.decode(errors="replace").strip():
                log.warning("training says", extra={"said": text})  # whatever the level: a run that fails points here
