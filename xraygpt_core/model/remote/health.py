"""Whether a failure is the server's or the request's.

A refused body is the request's fault. Any other failure, nonsense included, is about the server or how it is set up:
the same request is worth another try, and no study loses an attempt by it. If the server fails on one request again and
again, and answers others in between, then it is the request's fault after all.
"""

import logging
import threading
import time

import httpx

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.model.backend import RequestFailed

log = logging.getLogger(__name__)

REFUSALS = {400, 413, 422}  # to the body of a request for text
BROKE = 500  # in the middle of something; 502 to 504 come from a proxy before it
_FAILURES = 5  # with answers to others in between; then it is the request's fault
_QUIET_SECONDS = 60.0  # before the same trouble is logged again
_LONGEST_WAIT = 300.0  # seconds that a server may ask for before the next request


class ServerFailed(XrayGPTError):
    """The model server refused, or broke its protocol; the same request is worth another try.

    Attributes:
        wait: seconds that it asks for before the next request.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = min(wait, _LONGEST_WAIT)


class AnswerFailed(ServerFailed):
    """It took the request and failed on it: perhaps the request is the cause."""


# How a request fails that the server had begun with; the server may have died of it.
IN_THE_MIDDLE = (AnswerFailed, httpx.ReadError, httpx.RemoteProtocolError)


class ServerHealth:
    """What was wrong when the server was last asked, by any request. A change is logged.

    Args:
        server: what it is called in the log.

    Attributes:
        not_before: the time (monotonic) before which it wants no request.
    """

    def __init__(self, server: str) -> None:
        self.trouble: str | None = None
        self.not_before = 0.0
        self.answers = 0  # so far, to any request
        self._message = f"work waits for {server}"
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def answered(self) -> None:
        """It answered."""
        self.trouble = None
        with self._lock:
            self.answers += 1

    def full(self) -> None:
        """It has no room, which is not worth a log line."""
        self.trouble = "has no room"

    def failed(self, error: httpx.HTTPError | ServerFailed) -> None:
        """It did not answer as it should."""
        ours = isinstance(error, ServerFailed)
        trouble = str(error) if ours else f"does not answer ({type(error).__name__})"
        now = time.monotonic()
        with self._lock:
            if isinstance(error, ServerFailed) and error.wait:
                self.not_before = now + error.wait
            is_new = trouble != self.trouble and now - self._logged.get(trouble, -_QUIET_SECONDS) >= _QUIET_SECONDS
            self.trouble = trouble
            if is_new:
                self._logged[trouble] = now
        if is_new:
            log.warning(self._message, extra={"reason": trouble})


class RequestFailures:
    """Counts the server's failures on one request, which are the server's fault as long as it answers no other.

    Attributes:
        suspected: the server had begun with it when it failed.
    """

    def __init__(self, health: ServerHealth) -> None:
        self.suspected = False
        self._health = health
        self._answers = health.answers
        self._between_answers = 0

    def add(self, error: httpx.HTTPError | ServerFailed) -> None:
        """The server failed on this request once more.

        Raises:
            RequestFailed: it answered others before this failure, as before enough others of this request.
        """
        if not isinstance(error, IN_THE_MIDDLE):
            return
        self.suspected = True
        others = self._health.answers > self._answers
        self._answers = self._health.answers
        self._between_answers += others
        if self._between_answers >= _FAILURES:
            raise RequestFailed(
                "the model server fails on this request again and again, and answers others in between"
            ) from error
