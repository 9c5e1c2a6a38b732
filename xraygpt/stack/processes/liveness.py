"""Asks a server, in a thread of its own, whether it answers: waiting for one must not hold up the others."""

import ssl
import threading
import time

import httpx

EVERY_SECONDS, PATIENCE_SECONDS = 3.0, 5.0


class Liveness:
    """When an address answered last."""

    def __init__(self, url: str, every_seconds: float = EVERY_SECONDS, *, trust: ssl.SSLContext | bool = False) -> None:
        """Args: trust: the authority of its certificate, where the address is an ``https://`` one."""
        self._answered = 0.0
        self._url = url
        self._every_seconds = every_seconds
        self._trust = trust
        self._closed = threading.Event()
        threading.Thread(target=self._ask, name="asking", daemon=True).start()

    def answered(self) -> float:
        """When, by the monotonic clock; 0 before it ever did."""
        return self._answered

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()

    def _ask(self) -> None:
        pause = 0.0
        # A new connection each time: a server may answer on open ones and take no new ones.
        with httpx.Client(
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            verify=self._trust,
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as client:
            while not self._closed.wait(pause):
                pause = self._every_seconds
                try:
                    if client.get(self._url).status_code == httpx.codes.OK:
                        self._answered = time.monotonic()
                except httpx.HTTPError:
                    pass  # it is silent; Restarts counts the seconds
