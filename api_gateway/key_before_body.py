"""Checks the key before a body is read, so that a sender without a good key costs no memory and little time."""

import logging
import time
from collections import OrderedDict
from hashlib import sha256

from anyio import CapacityLimiter
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from api_gateway.auth import NO_KEY, Shown, presented_key, shown, token_of
from api_gateway.concurrency import own_slot
from api_gateway.cookies import session_token
from api_gateway.problems import answer
from api_gateway.rate_limits import RateLimits, address
from xraygpt_core.errors import Unauthorised, XrayGPTError
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger

log = logging.getLogger(__name__)

# These routes check another proof of the sender themselves.
OPEN = frozenset({("POST", "/v1/events/sns"), ("POST", "/v1/session")})
# A good key still works while its address is locked out: others may share the address behind a proxy or NAT.
GOOD_FOR_SECONDS = 3600.0
_MOST_GOOD = 10_000
_CHECKS_AT_ONCE = 8  # of one key; the gateway has forty threads


class KeyBeforeBody:
    """Puts the caller into ``request.state.caller``, or answers 401 or 429 before it reads any of the body."""

    def __init__(self, app: ASGIApp, ledger: Ledger, limits: RateLimits) -> None:
        self.app = app
        self._ledger = ledger
        self._limits = limits
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._turns: dict[bytes, CapacityLimiter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["caller"] = None
        if scope["path"].startswith("/v1/") or scope["path"] == "/metrics":
            asked = HTTPConnection(scope)
            try:
                if (scope["method"], scope["path"]) not in OPEN:
                    state["caller"] = caller = await self._caller(asked, address(asked))
                    if caller is None and has_body(asked.headers):
                        raise Unauthorised(NO_KEY)
            except XrayGPTError as error:
                await answer(error, close=has_body(asked.headers))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _caller(self, asked: HTTPConnection, sender: str) -> Shown:
        if written := presented_key(asked):
            if found := token_of(self._ledger.settings, written):
                return found
            caller = await self._checked(asked, written, sender)
        elif token := session_token(asked):  # ended sessions are common on honest pages, so they lock out no key
            caller = await self._checked(asked, token, f"session {sender}")
        else:
            return None
        if isinstance(caller, ApiKey):
            self._limits.spend("request", caller.identity)
        return caller

    async def _checked(self, asked: HTTPConnection, secret: str, sender: str) -> Shown:
        """The holder of a key or session; wrong ones lock ``sender`` out."""
        digest = sha256(secret.encode("latin-1", "replace")).digest()
        if self._good.get(digest, 0.0) < time.monotonic():
            self._limits.check("wrong key", sender)
        try:
            # Limited, so that a sender of many requests delays only itself.
            async with own_slot(self._turns, digest, _CHECKS_AT_ONCE):
                caller = await run_in_threadpool(shown, self._ledger, asked)
        except Unauthorised:
            self._good.pop(digest, None)
            await run_in_threadpool(self._refused, sender, address(asked))
            raise
        if caller is not None:  # otherwise it was not checked
            self._good[digest] = time.monotonic() + GOOD_FOR_SECONDS
            self._good.move_to_end(digest)
            if len(self._good) > _MOST_GOOD:
                self._good.popitem(last=False)
        return caller

    def _refused(self, locked_out: str, sender: str) -> None:
        locked = self._limits.failed("wrong key", locked_out)
        if locked:
            log.warning("an address is locked out for a while: too many wrong keys", extra={"address": sender})
        elif locked_out != sender:  # an ended session is no attempt to break in
            return
        with self._ledger.acting(Actor("nobody", address=sender)).work() as work:
            record(work, "address locked out" if locked else "key refused")


def has_body(headers: Headers) -> bool:
    """Whether a body is announced (RFC 9112, section 6.3)."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
