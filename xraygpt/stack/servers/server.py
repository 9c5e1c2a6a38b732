"""What the launchers of PostgreSQL, broker and S3 server share: a directory, a log, a memory, one child process."""

import os
import sys
from pathlib import Path
from typing import Any

from xraygpt.stack.processes.child import Child
from xraygpt.stack.settings.certificates import Authority
from xraygpt.stack.settings.environments import system
from xraygpt.stack.settings.remembered import recall


class Server:
    """A service of the one-machine stack that keeps its data and its log in ``directory``."""

    _front: Child | None = None

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self.directory = directory.absolute()
        self.log = self.directory / f"{name}.log"
        self._memory = self.directory / "service.json"
        self._known: dict[str, Any] = recall(self._memory)
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """0 before the first start."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running and (self._front is None or self._front.running)

    def _open_front(self, tls: Authority, port: int, directory: Path, socket: str, *words: str) -> None:
        """TLS on this port, in front of a socket in this directory (:mod:`xraygpt.stack.servers.tls_front`)."""
        certificate = tls.issue(self._name)
        program = [sys.executable, "-m", "xraygpt.stack.servers.tls_front"]
        self._front = Child(
            f"{self._name}-tls",
            [*program, str(port), socket, str(certificate.file), str(certificate.key_file), *words],
            log=self.directory / f"{self._name}-tls.log",
            directory=directory,
            environment=system(os.environ),
        )
        self._front.start()

    def _close_front(self) -> None:
        if self._front:
            self._front.stop()
