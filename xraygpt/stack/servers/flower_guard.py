"""What stands in front of Flower: who may look, how often a wrong password is taken, what a browser may do with a page.

Flower shows queues, workers and task ids; it changes nothing here. Its routes that send, revoke or limit tasks and stop
workers know no caller, so nobody could say later who did it: they are not served (:data:`SHOWN`).
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

# Only what shows. `/metrics` would be answered to anybody, even with authentication.
SHOWN = frozenset({
    WorkersView, WorkerView, TaskView, TasksView, TasksDataTable, BrokerView, monitor.Healthcheck, StaticFileHandler,
    NotFoundErrorHandler, workers.ListWorkers, tasks.ListTasks, tasks.ListTaskTypes, tasks.GetQueueLengths,
    tasks.TaskInfo,
})  # fmt: skip

FREE_FAILURES = 5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds; each is twice the one before
_MOST_KNOWN = 10_000
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
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()  # failures, when it may try again

    def wait(self, address: str) -> float:
        """Seconds before it is listened to again; 0: now."""
        return max(0.0, self._known.get(address, (0, 0.0))[1] - self._clock())

    def failed(self, address: str) -> None:
        """It sent a wrong password."""
        failures = self._known.pop(address, (0, 0.0))[0] + 1
        late = failures - FREE_FAILURES
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(late, 10)) if late >= 0 else 0.0
        self._known[address] = (failures, self._clock() + pause)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def passed(self, address: str) -> None:
        """It sent the right one."""
        self._known.pop(address, None)


class Operators:
    """Whether an API key is an operator's, as the gateway says it; what was good is asked again after ten seconds."""

    def __init__(self, gateway_url: str | None, ca_file: Path | None = None) -> None:
        self._trust = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._url = gateway_url
        self._good: OrderedDict[bytes, float] = OrderedDict()

    def __call__(self, key: str) -> bool:
        """Asks while everybody else waits: the gateway answers in milliseconds or, once in a while, is given up."""
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
            if len(self._good) > _MOST_KNOWN:
                self._good.popitem(last=False)
        return good


class GuardedFlower(Flower):  # type: ignore[misc]  # Flower has no types
    """Flower behind one password, or the key of an operator in its place.

    Args:
        credentials: ``user:password``.
        gateway_url: who tells whether a key is an operator's; None: no key opens it.
        ca_file: the authority that signed its certificate; None: those of the machine.
    """

    def __init__(self, credentials: str, gateway_url: str | None, ca_file: Path | None = None, **more: Any) -> None:
        super().__init__(**more)
        self._credentials = credentials
        self._is_operator = Operators(gateway_url, ca_file)
        self._locks = Locks()
        self.transforms.append(Careful)

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> Any:
        """The handler of a request: of its path, or one that refuses to look at another password now."""
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
        """Args: seconds: until the next one is looked at."""
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
