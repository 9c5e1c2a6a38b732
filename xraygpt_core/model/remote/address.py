"""Where a model server listens, and a client that talks to it alone."""

import email.utils
import ipaddress
import time
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class ServerAddress:
    """A server's address, and the key that it asks for. The key is shown nowhere."""

    url: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"ServerAddress({self.url!r})"

    @property
    def is_guarded(self) -> bool:
        """It is on this machine, or else behind a key and TLS."""
        return is_this_machine(self.url) or bool(self.key and self.url.startswith("https://"))


def client(server: ServerAddress, connections: int, timeout: float) -> httpx.Client:
    """Straight to the server: a proxy of the environment would see films and the key. No redirect is followed.

    The environment's certificates (SSL_CERT_FILE) stay trusted. Nothing comes packed, so what is read is as long as
    what was sent.
    """
    key = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    return httpx.Client(
        base_url=server.url,
        headers=key | {"Accept-Encoding": "identity"},
        timeout=httpx.Timeout(timeout),
        transport=httpx.HTTPTransport(limits=httpx.Limits(max_connections=connections)),
        trust_env=False,
    )


def is_this_machine(url: str) -> bool:
    """Whether an address is a loopback one, as written: a name that resolves to one counts only as ``localhost``."""
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3), a number or a date; None where it is neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None
