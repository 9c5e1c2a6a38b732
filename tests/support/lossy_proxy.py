"""A TCP proxy in front of PostgreSQL that loses one COMMIT, or only its confirmation, as a broken network would."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Literal

Losing = Literal["nothing", "commit", "confirmation"]


class LossyProxy:
    """Forwards bytes both ways until told to lose a COMMIT; then it breaks that connection.

    ``commit``: the statement never reaches the server, which rolls back. ``confirmation``: the server commits, the
    client never hears of it. ``meanwhile`` is called before the client notices.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._losing: Losing = "nothing"
        self._times = 0
        self.lost = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def lose(self, what: Losing, times: int = 1) -> None:
        """Break the next ``times`` commits."""
        self._losing, self._times = what, times

    def close(self) -> None:
        """Accept no more connections. Closing alone would leave the thread in ``accept``, which takes one more."""
        _shut(self._listener)
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _shut(client)
                continue
            broken = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, broken), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client, broken), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, broken: threading.Event) -> None:
        try:
            while data := client.recv(65536):
                if b"COMMIT" in data and self._times:
                    self._times -= 1
                    self.lost += 1
                    broken.set()  # before the server can answer
                    if self._losing == "confirmation":
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                    else:
                        _shut(server)
                    self.meanwhile()
                    _shut(client)
                    return
                server.sendall(data)
        except OSError:
            pass
        _shut(server)

    def _answer(self, server: socket.socket, client: socket.socket, broken: threading.Event) -> None:
        try:
            while data := server.recv(65536):
                if not broken.is_set():
                    client.sendall(data)
        except OSError:
            pass
        if not broken.is_set():
            _shut(client)
        _shut(server)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
