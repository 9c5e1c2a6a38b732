"""What the launchers of PostgreSQL, broker and S3 server share: a directory, a log, a memory, one child process."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from xraygpt.stack.processes.child import Child, end_leftovers
from xraygpt.stack.servers.ports import choose, is_free, taken
from xraygpt.stack.settings.certificates import Authority
from xraygpt.stack.settings.environments import system
from xraygpt.stack.settings.remembered import recall, secret


class Server:
    """A service of the one-machine stack that keeps its data and its log in ``directory``."""

    _name: str

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / f"{self._name}.log"
        self._memory = self.directory / "service.json"
        self._remembered: dict[str, Any] = recall(self._memory)
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """0 before the first start."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running


class PasswordServer(Server):
    """A server on one loopback port, with one password; both outlive a restart.

    With ``tls`` it speaks TLS only, with a certificate of this authority.
    """

    _front: Child | None = None
    _end: tuple[signal.Signals, float] = (signal.SIGTERM, 10.0)  # how it is asked to end, and for how many seconds

    def __init__(self, directory: Path, port: int | None = None, tls: Authority | None = None) -> None:
        super().__init__(directory)
        self._tls = tls
        self.password: str = self._remembered.get("password") or secret()
        self.port: int = port or self._remembered.get("port") or 0
        self._fixed_port = port is not None

    @property
    def running(self) -> bool:
        return super().running and (self._front is None or self._front.running)

    def stop(self) -> None:
        """Ask it to end, then kill it."""
        if self._front:
            self._front.stop()
        if self._child:
            self._child.stop(*self._end)

    def _make_way(self, program: Path, data: Path, first: signal.Signals) -> None:
        """End what is left of a former start, and choose a port where none is fixed.

        Raises:
            StackError: another program has the fixed one.
        """
        self.stop()  # where only what is in front of it ended
        end_leftovers(program, data, first)
        end_leftovers(Path(sys.executable), data, signal.SIGTERM)
        if not self._fixed_port:
            self.port = choose(self.port or None)
        elif not is_free(self.port):
            raise taken(self._name, self.port)

    def _open_front(self, tls: Authority, directory: Path, socket: str, *words: str) -> None:
        """TLS on its port, in front of a socket in this directory (:mod:`xraygpt.stack.servers.tls_front`)."""
        certificate = tls.issue(self._name)
        program = [sys.executable, "-m", "xraygpt.stack.servers.tls_front"]
        self._front = Child(
            f"{self._name}-tls",
            [*program, str(self.port), socket, str(certificate.file), str(certificate.key_file), *words],
            log=self.directory / f"{self._name}-tls.log",
            directory=directory,
            environment=system(os.environ),
        )
        self._front.start()
