"""What guards Flower: a password or an operator's key, a pause after wrong passwords, and headers for the browser.

Flower shows jobs, workers and queues; it changes nothing here. Its routes that send, revoke or limit tasks and stop
workers know no caller, so an act through them could not be traced: they are not served (:data:`SHOWN`).
"""

import base64
import binascii
import hmac
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from flower.api import tasks, workers
from flower.app import Flower
from flower.views import monitor
from flower.views.broker import BrokerView
from flower.views.error import NotFoundErrorHandler
from flower.views.tasks import TasksDataTable, TasksView, TaskView
from flower.views.workers import WorkersView, WorkerView
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler, StaticFileHandler

# Only routes that show. Flower answers `/metrics` without authentication, so it is left out.
SHOWN = frozenset({
    WorkersView, WorkerView, TaskView, TasksView, TasksDataTable, BrokerView, monitor.Healthcheck, StaticFileHandler,
    NotFoundErrorHandler, workers.ListWorkers, tasks.ListTasks, tasks.ListTaskTypes, tasks.GetQueueLengths,
    tasks.TaskInfo,
})  # fmt: skip

FREE_FAILURES = 5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds; each is twice the one before
_REMEMBERED = 10_000
_KEY_IS_GOOD_SECONDS = 10.0
_ASK_SECONDS = 2.0

# The one script that stands in a page, and what it may say.
_INLINE = re.compile(rb'<script type="text/javascript">(\s*var autorefresh = [01];\s*)</script>')
_RULES = (
    "default-src 'none'; script-src 'self'{inline}; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Locks:
    """How long an address that sent wrong passwords must wait. Forgotten when the process ends, or for newer ones."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # count, when it may try again

    def wait(self, address: str) -> float:
        """Seconds until the next password from this address is checked; 0: now."""
        return max(0.0, self._failures.get(address, (0, 0.0))[1] - self._clock())

    def failed(self, address: str) -> None:
        """A wrong password came from this address."""
        failures = self._failures.pop(address, (0, 0.0))[0] + 1
        late = failures - FREE_FAILURES
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(late, 10)) if late >= 0 else 0.0
        self._failures[address] = (failures, self._clock() + pause)
        if len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def passed(self, address: str) -> None:
        """The right password came from this address."""
        self._failures.pop(address, None)


class Operators:
    """Tells by the gateway whether an API key is an operator's. A yes holds for ten seconds."""

    def __init__(self, gateway_url: str | None, ca_file: Path | None = None) -> None:
        self._trust = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._url = gateway_url
        self._good: OrderedDict[bytes, float] = OrderedDict()

    def __call__(self, key: str) -> bool:
        """Ask the gateway. All other requests wait meanwhile, for two seconds at most."""
        name = sha256(key.encode()).digest()
        if self._url is None or not key.startswith("xgpt_"):
            return False
        if self._good.get(name, 0.0) > time.monotonic():
            return True
        try:
            answer = httpx.get(
                f"{self._url}/v1/me",
                headers={"X-API-Key": key},
                timeout=_ASK_SECONDS,
                trust_env=False,
                verify=self._trust,
            )
            good = answer.is_success and "operator" in answer.json()["roles"]
        except (httpx.HTTPError, ValueError):
            return False
        self._good.pop(name, None)
        if good:
            self._good[name] = time.monotonic() + _KEY_IS_GOOD_SECONDS
            if len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)
        return good


class GuardedFlower(Flower):  # type: ignore[misc]  # Flower has no types
    """Flower behind one password, or the key of an operator in its place.

    Args:
        credentials: ``user:password``.
        gateway_url: the gateway, which knows whether a key is an operator's; None: no key opens Flower.
        ca_file: the authority that signed the gateway's certificate; None: those of the machine.
    """

    def __init__(self, credentials: str, gateway_url: str | None, ca_file: Path | None = None, **more: Any) -> None:
        super().__init__(**more)
        self._credentials = credentials
        self._is_operator = Operators(gateway_url, ca_file)
        self._locks = Locks()
        self.transforms.append(Careful)

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> Any:
        """The handler of a request's path, or the one that refuses to check another password now."""
        shown = request.headers.get("Authorization")
        if shown is not None:
            address = request.remote_ip or ""
            if wait := self._locks.wait(address):
                return self.get_handler_delegate(request, Later, {"seconds": wait})
            if self._is_good(_decoded(shown)):
                self._locks.passed(address)
                good = base64.b64encode(self._credentials.encode()).decode()
                request.headers["Authorization"] = f"Basic {good}"  # Flower itself knows no keys
            else:
                self._locks.failed(address)
        return super().find_handler(request, **more)

    def _is_good(self, credentials: str) -> bool:
        if hmac.compare_digest(credentials.encode(), self._credentials.encode()):
            return True
        return self._is_operator(credentials.partition(":")[2])


class Later(RequestHandler):
    """Answers 429: too many wrong passwords came from there."""

    def initialize(self, seconds: float) -> None:
        """Args: seconds: until the next password is checked."""
        self._seconds = seconds

    def prepare(self) -> None:
        """Answer, whatever is asked."""
        self.set_status(429)
        self.set_header("Retry-After", str(int(self._seconds) + 1))
        self.finish("Too many wrong passwords: wait before the next one.")


class Careful(OutputTransform):
    """Headers that keep a browser careful, on everything that Flower answers."""

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: ARG002  # tornado's
    ) -> tuple[int, HTTPHeaders, bytes]:
        """The answer with its headers; the one script in a page is named by its hash."""
        found = _INLINE.search(chunk)
        inline = f" 'sha256-{base64.b64encode(sha256(found[1]).digest()).decode()}'" if found else ""
        headers["Content-Security-Policy"] = _RULES.format(inline=inline)
        headers["X-Frame-Options"] = "DENY"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cache-Control"] = headers.get("Cache-Control", "no-store")
        return status_code, headers, chunk


def _decoded(header: str) -> str:
    """``user:password`` of a header; empty if it is none (RFC 7617)."""
    scheme, _, rest = header.partition(" ")
    try:
        return base64.b64decode(rest, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
