"""The key is looked at before a body is read: who has none, or a wrong one, sends nothing that costs memory or time."""

import logging
import time
from collections import OrderedDict
from hashlib import sha256

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from api_gateway.auth import NO_KEY, Shown, shown
from api_gateway.limits import Limits, address
from api_gateway.problems import answer
from xraygpt_core.errors import Unauthorised, XrayGPTError
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.audit import record
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.keys import ApiKey

log = logging.getLogger(__name__)

# Where something else than a key or a session proves who sends: these check it themselves.
OPEN = frozenset({"/v1/events/sns"})
# A good key still opens while its address is locked out: behind a proxy or NAT that is also everybody else's.
GOOD_FOR_SECONDS = 3600.0
_MOST_GOOD = 10_000


class KeyFirst:
    """Puts into ``request.state.caller`` who asks, or answers 401 or 429 before a byte of the body is taken."""

    def __init__(self, app: ASGIApp, ledger: Ledger, limits: Limits) -> None:
        self.app = app
        self._ledger = ledger
        self._limits = limits
        self._good: OrderedDict[bytes, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["caller"] = None
        if scope["path"].startswith("/v1/") or scope["path"] == "/metrics":
            headers = Headers(scope=scope)
            try:
                state["caller"] = caller = await self._look(headers, address(HTTPConnection(scope)))
                if caller is None and has_body(headers) and scope["path"] not in OPEN:
                    raise Unauthorised(NO_KEY)
            except XrayGPTError as error:
                await answer(error, close=has_body(headers))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _look(self, headers: Headers, sender: str) -> Shown:
        written = headers.get("authorization") or headers.get("x-api-key")
        if not written:
            return None
        known = sha256(written.encode("latin-1", "replace")).digest()
        if self._good.get(known, 0.0) < time.monotonic():
            self._limits.check("wrong key", sender)
        try:
            caller = await run_in_threadpool(shown, self._ledger, headers)
        except Unauthorised:
            self._good.pop(known, None)
            await run_in_threadpool(self._refused, sender)
            raise
        if caller is not None:
            self._good[known] = time.monotonic() + GOOD_FOR_SECONDS
            self._good.move_to_end(known)
            if len(self._good) > _MOST_GOOD:
                self._good.popitem(last=False)
        if isinstance(caller, ApiKey):
            self._limits.spend("request", caller.key_id)
        return caller

    def _refused(self, sender: str) -> None:
        locked = self._limits.failed("wrong key", sender)
        if locked:
            log.warning("an address is locked out for a while: too many wrong keys", extra={"address": sender})
        with self._ledger.acting(Actor("nobody", address=sender)).work() as work:
            record(work, "address locked out" if locked else "key refused")


def has_body(headers: Headers) -> bool:
    """Whether a body is announced (RFC 9112, section 6.3)."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
