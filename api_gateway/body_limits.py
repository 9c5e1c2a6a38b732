"""Limits of request bodies: of each one by route, and of all bodies in memory together."""

import math
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.arrivals import LONGEST_FORM
from api_gateway.problems import problem
from api_gateway.rate_limits import RateLimits
from xraygpt_core.errors import TooMany
from xraygpt_core.ledger.access.api_keys import ApiKey

MAX_BODY_BYTES = 256 << 10
# A thousand addresses of objects, or the events of a bucket.
LARGE = {
    "/v1/studies": 2 << 20,
    "/v1/images/lookup": 2 << 20,
    "/v1/events/s3": 2 << 20,
    "/v1/events/sns": 2 << 20,
    "/open": LONGEST_FORM,
    "/v1/session": 4 << 10,  # small: the sender is a stranger until it is read
}
UPLOADS = "/v1/uploads/"
MAX_HELD_BYTES = 64 << 20
BYTES_OF_A_REQUEST = 16 << 10  # so many bytes of a body cost as much as one more request
_FULL = "the gateway holds as much of others' requests as it may: try again in a moment"


class BodyLimit:
    """Refuses a body above its limit with 413: at once if its length is announced, otherwise when it exceeds the limit.

    The bodies of all requests in memory have a limit, too (503); uploads are streamed and do not count.

    Args:
        uploads_bytes: the limit below ``/v1/uploads/``; :data:`LARGE` has others, and the rest MAX_BODY_BYTES.
        limits: a large body costs its sender as much as several requests, because parsing it delays all others.
    """

    def __init__(self, app: ASGIApp, uploads_bytes: int, limits: RateLimits | None = None) -> None:
        self.app = app
        self.uploads_bytes = uploads_bytes
        self.limits = limits
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passes_by = scope["path"].startswith(UPLOADS)
        limit = self.uploads_bytes if passes_by else LARGE.get(scope["path"], MAX_BODY_BYTES)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            refused = problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit), headers={"Connection": "close"})
            await refused(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken += size
            self.held += 0 if passes_by else size
            if taken > limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit), {"Connection": "close"})
            if size and self.held > MAX_HELD_BYTES:
                busy = {"Retry-After": "1", "Connection": "close"}
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, _FULL, busy)
            if not passes_by:
                self._charge(scope, taken // BYTES_OF_A_REQUEST - (taken - size) // BYTES_OF_A_REQUEST)
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.held -= 0 if passes_by else taken

    def _charge(self, scope: Scope, requests: int) -> None:
        caller = scope.get("state", {}).get("caller")
        if self.limits is None or not requests or not isinstance(caller, ApiKey):
            return
        try:
            self.limits.spend("request", caller.key_id, requests)
        except TooMany as error:
            wait = {"Retry-After": str(math.ceil(error.retry_after_seconds)), "Connection": "close"}
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, str(error), wait) from None


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"
