"""A child process that dies with us, whole tree and all, and can be asked to stop or made to."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from workers.process_tree import kill_descendants

# The child trains; it needs neither the database nor the buckets nor the pseudonymisation key.
_KEPT = ("XRAYGPT_MODELS",)
_LINE_BYTES = 4096  # of its output at once
_LAST_LINES = 500
_LAST_OUTPUT_SECONDS = 5.0


class TrainingChild:
    """A command and all it starts, as a context manager: leaving the block ends the whole process tree.

    Its output is no part of our log, since it may name files and quote texts: the last lines of it are kept.

    Args:
        more: what its environment has beside ours.
        held: descriptors that the process which holds the tree keeps open until all of it is gone.
    """

    def __init__(
        self,
        command: Sequence[str],
        working_directory: Path,
        more: Mapping[str, str] | None = None,
        held: Sequence[int] = (),
    ) -> None:
        environment = {
            name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("XRAYGPT_")
        }
        environment |= more or {}
        self.lines = 0  # that it wrote so far
        self._last: deque[bytes] = deque(maxlen=_LAST_LINES)
        holder = [sys.executable, "-m", "workers.process_tree", str(os.getpid())]
        self._process = subprocess.Popen(
            [*holder, *command],
            env=environment,
            cwd=working_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=held,
        )
        assert self._process.stdout is not None
        self._relay = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
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

    def said(self) -> bytes:
        """The last of what its processes wrote; all of it, once they are gone."""
        if self._process.poll() is not None:
            self._relay.join(_LAST_OUTPUT_SECONDS)
        return b"".join(tuple(self._last))

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

    def _listen(self, output: IO[bytes]) -> None:
        """Take what is written, line by line, until no process of the tree is left."""
        with output:
            for line in iter(lambda: output.readline(_LINE_BYTES), b""):
                self._last.append(line)
                self.lines += 1
