"""What every request passes: a limit on its body, a measure of its time, headers that keep browsers careful."""

import logging
import time
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.problems import problem
from xraygpt_core.metrics import HTTP_REQUESTS, HTTP_SECONDS

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 2 << 20
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}


class BodyLimit:
    """Refuses a body above the limit with 413: at once if its length is announced, else when it gets there.

    Args:
        uploads_bytes: the limit below ``/v1/uploads/``; everything else has :data:`MAX_BODY_BYTES`.
    """

    def __init__(self, app: ASGIApp, uploads_bytes: int) -> None:
        self.app = app
        self.uploads_bytes = uploads_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.uploads_bytes if scope["path"].startswith("/v1/uploads/") else MAX_BODY_BYTES
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            await problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit))(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit))
            return message

        await self.app(scope, counted, send)


class Measured:
    """Counts and times requests by route template, and marks answers as private and as no pages to be shown."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
            await send(message)

        try:
            await self.app(scope, receive, marked)
        finally:
            _note(scope, status, time.perf_counter() - started)


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    HTTP_REQUESTS.labels(method, route, str(status)).inc()
    HTTP_SECONDS.labels(route).observe(seconds)
    log.debug("answered", extra={"method": method, "route": route, "status": status, "seconds": round(seconds, 4)})


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"
