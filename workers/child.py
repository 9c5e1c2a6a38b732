"""A child process that dies with us, whole tree and all, and can be asked to stop or made to."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.leash import kill_descendants

# The child trains; it needs neither the database nor the buckets nor the pseudonymisation key.
_KEPT = ("XRAYGPT_MODELS",)


class Child:
    """A command on a leash, as a context manager: leaving the block ends the whole tree."""

    def __init__(self, command: Sequence[str], working_directory: Path) -> None:
        environment = {
            name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("XRAYGPT_")
        }
        leash = [sys.executable, "-m", "workers.leash", str(os.getpid())]
        self._process = subprocess.Popen(
            [*leash, *command], env=environment, cwd=working_directory, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

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
