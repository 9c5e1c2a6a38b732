"""A client of the gateway."""

import hashlib
import json
import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from typing import Any, NamedTuple, Self

import httpx

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.exact_json import exact_fraction

CHUNK = 2**20
PATIENCE_SECONDS = 60.0  # a killed gateway is up again within this time
BUSY = frozenset({429, 502, 503, 504})  # Too Many Requests, Bad Gateway, Service Unavailable, Gateway Timeout


class GatewayError(XrayGPTError):
    """The gateway refused a request, or does not answer."""

    def __init__(self, message: str, status: int | None = None, reason_code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason_code = reason_code


class Line(NamedTuple):
    """One line of JSON: its text and its content."""

    text: str
    document: Any


class Gateway:
    """Requests with the API key, repeated while the gateway does not answer.

    Every POST and DELETE carries an Idempotency-Key, so that a repeat has no second effect.

    Args:
        url: for example ``http://127.0.0.1:8000``.
        key: an API key.
        patience: seconds for which an unanswered request is repeated.
        ca_file: the authority that signed the gateway's certificate; None: one of the machine's own.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        patience: float = PATIENCE_SECONDS,
        ca_file: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
        local = httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(min(60.0, max(patience, 5.0)), connect=10.0),
            trust_env=not local,  # a proxy of the environment cannot reach this machine's loopback
            # Without TLS, loading the certificates would waste 20 ms.
            verify=trust or not (local and self.url.startswith("http:")),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | Sequence[str] | None) -> Any:
        """The JSON document at ``path``.

        Raises:
            GatewayError: with the gateway's own sentence.
        """
        return self._send("GET", path, params=_given(query))

    def download(self, path: str) -> bytes:
        """The bytes at ``path``; raises like :meth:`get`."""
        content: bytes = self._repeat(lambda: self._http.get(path), lambda answer: answer.content)
        return content

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, seconds: float | None = None, exact: bool = False
    ) -> Any:
        """POST a JSON document; raises like :meth:`get`.

        Args:
            seconds: time until the answer begins, if it is longer than usual.
            exact: fractions of the answer are :class:`~decimal.Decimal`, with all of their digits.
        """
        headers = _new_intent()
        longer = {"timeout": httpx.Timeout(seconds, connect=10.0)} if seconds else {}
        read = _exact if exact else None
        return self._send("POST", path, read, json=body or {}, headers=headers, **longer)

    def delete(self, path: str) -> None:
        """DELETE what is at ``path``; raises like :meth:`get`."""
        self._send("DELETE", path, headers=_new_intent())

    def upload(self, file: BufferedIOBase, sha256: str) -> str:
        """Upload a file and return its ``s3://`` URI; raises like :meth:`get`, and OSError if it cannot be read."""
        size = os.fstat(file.fileno()).st_size

        def content() -> Iterator[bytes]:
            file.seek(0)
            left = size
            while left:
                if not (chunk := file.read(min(left, CHUNK))):
                    raise OSError(None, "it changed while it was read")
                left -= len(chunk)
                yield chunk

        headers = {"Content-Length": str(size)}
        answer = self._repeat(lambda: self._http.put(f"/v1/uploads/{sha256}", content=content(), headers=headers))
        return str(answer["uri"])

    def stream(self, path: str) -> Iterator[tuple[str, Any]]:
        """Server-sent events (WHATWG HTML, section 9.2) as (event, JSON data); raises like :meth:`get`."""
        with self._streamed(path, httpx.Timeout(60.0, read=None)) as answer:
            yield from parse_events(answer.iter_lines())

    def lines(self, path: str, **query: str | int | None) -> Iterator[Line]:
        """Lines of JSON as they come; raises like :meth:`get`, also if they break off."""
        with self._streamed(path, httpx.Timeout(600.0, connect=10.0), query) as answer:
            rest = b""
            for chunk in answer.iter_bytes():
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (Line(text.decode(), json.loads(text)) for text in whole)

    @contextmanager
    def _streamed(
        self, path: str, timeout: httpx.Timeout, query: Mapping[str, str | int | None] | None = None
    ) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path, params=_given(query or {}), timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                yield self._checked(answer)
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _send(
        self, method: str, path: str, read: Callable[[httpx.Response], Any] | None = None, **arguments: Any
    ) -> Any:
        return self._repeat(lambda: self._http.request(method, path, **arguments), read)

    def _repeat(self, request: Any, read: Callable[[httpx.Response], Any] | None = None) -> Any:
        deadline = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                answer: httpx.Response = request()
            except httpx.TransportError as error:
                if time.monotonic() + pause > deadline:
                    raise self._silent(error) from error
            else:
                pause = max(pause, _retry_after(answer))
                if answer.status_code not in BUSY or time.monotonic() + pause > deadline:
                    return (read or _document)(self._checked(answer))
            time.sleep(pause)
            pause = min(2.0, pause * 2)

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            raise self._error(answer)
        return answer

    def _error(self, answer: httpx.Response) -> GatewayError:
        """The Problem+JSON document (RFC 9457) as one sentence."""
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        if not isinstance(problem, dict):
            problem = {}
        fields = "; ".join(f"{one['where']}: {one['problem']}" for one in problem.get("errors") or ())
        sentence = fields or problem.get("detail") or problem.get("title") or answer.reason_phrase
        return GatewayError(f"{sentence} ({answer.status_code})", answer.status_code, problem.get("reason_code"))

    def _silent(self, error: httpx.TransportError) -> GatewayError:
        return GatewayError(f"the gateway at {self.url} does not answer ({type(error).__name__})")


def _new_intent() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def _retry_after(answer: httpx.Response) -> float:
    """Seconds to wait after too many requests of this key (RFC 9110, section 10.2.3)."""
    seconds = answer.headers.get("Retry-After", "") if answer.status_code == httpx.codes.TOO_MANY_REQUESTS else ""
    return float(seconds) if seconds.isdigit() else 0.0


def _given(query: Mapping[str, str | int | Sequence[str] | None]) -> dict[str, str | int | Sequence[str]]:
    return {name: value for name, value in query.items() if value is not None}


def _document(answer: httpx.Response) -> Any:
    return answer.json() if answer.content else None


def _exact(answer: httpx.Response) -> Any:
    return json.loads(answer.content, parse_float=exact_fraction)


def parse_events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Events of a stream, given its lines; comments and events without data are skipped."""
    event = "message"
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        if not line:
            if data:
                yield event, json.loads("\n".join(data))
            event, data = "message", []
        elif name == "event":
            event = value.removeprefix(" ")
        elif name == "data":
            data.append(value.removeprefix(" "))


def file_sha256(file: BufferedIOBase) -> str:
    """Hex SHA-256 of an open file; raises OSError if it cannot be read."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
