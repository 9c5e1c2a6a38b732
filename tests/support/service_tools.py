"""What the tests of the embedded services share: one that runs, its sudden end, and what the process list says."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CANARY = "CANARY^SURNAME"


@contextmanager
def started(service: Any) -> Iterator[Any]:
    """Run it for a while."""
    service.start()
    try:
        yield service
    finally:
        service.stop()


def kill(service: Any) -> None:
    """SIGKILL, and reap it."""
    os.kill(service.pid, 9)
    os.waitpid(service.pid, 0)


def command_line(pid: int) -> str:
    """What everybody on the machine may read."""
    return Path(f"/proc/{pid}/cmdline").read_text()
