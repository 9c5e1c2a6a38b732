"""The key is looked at before a body is read: who has none, or a wrong one, sends nothing that costs memory or time."""

import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from anyio import CapacityLimiter
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from api_gateway.auth import NO_KEY, Shown, presented_key, shown, token_of
from api_gateway.concurrency import place
from api_gateway.cookies import session_token
from api_gateway.problems import answer
from api_gateway.rate_limits import RateLimits, address
from xraygpt_core.errors import Unauthorised, XrayGPTError
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger

log = logging.getLogger(__name__)

# Where something else than a key or a session proves who sends: these check it themselves.
OPEN = frozenset({("POST", "/v1/events/sns"), ("POST", "/v1/session")})
# A good key still opens while its address is locked out: behind a proxy or NAT that is also everybody else's.
GOOD_FOR_SECONDS = 3600.0
_MOST_GOOD = 10_000
_LOOKS_AT_ONCE = 8  # at one key, of the forty threads there are


class KeyBeforeBody:
    """Puts into ``request.state.caller`` who asks, or answers 401 or 429 before a byte of the body is taken."""

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
                    state["caller"] = caller = await self._look(asked, address(asked))
                    if caller is None and has_body(asked.headers):
                        raise Unauthorised(NO_KEY)
            except XrayGPTError as error:
                await answer(error, close=has_body(asked.headers))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _look(self, asked: HTTPConnection, sender: str) -> Shown:
        if written := presented_key(asked):
            if found := token_of(self._ledger.settings, written):
                return found
            caller = await self._look_at(asked, written, sender)
        elif token := session_token(asked):  # one that is over comes from everybody's page: it locks out no key
            caller = await self._look_at(asked, token, f"session {sender}")
        else:
            return None
        if isinstance(caller, ApiKey):
            self._limits.spend("request", caller.identity)
        return caller

    async def _look_at(self, asked: HTTPConnection, secret: str, who: str) -> Shown:
        """Whose the key or session is; ``who`` is locked out by wrong ones."""
        known = sha256(secret.encode("latin-1", "replace")).digest()
        if self._good.get(known, 0.0) < time.monotonic():
            self._limits.check("wrong key", who)
        try:
            async with self._turn(known):
                caller = await run_in_threadpool(shown, self._ledger, asked)
        except Unauthorised:
            self._good.pop(known, None)
            await run_in_threadpool(self._refused, who, address(asked))
            raise
        if caller is not None:  # else it was not looked at
            self._good[known] = time.monotonic() + GOOD_FOR_SECONDS
            self._good.move_to_end(known)
            if len(self._good) > _MOST_GOOD:
                self._good.popitem(last=False)
        return caller

    @asynccontextmanager
    async def _turn(self, known: bytes) -> AsyncIterator[None]:
        """Who sends many requests at once waits for himself, and not everybody else for him."""
        turns = self._turns.setdefault(known, CapacityLimiter(_LOOKS_AT_ONCE))
        try:
            async with place(turns):
                yield
        finally:
            if not turns.borrowed_tokens and not turns.statistics().tasks_waiting:
                self._turns.pop(known, None)

    def _refused(self, who: str, sender: str) -> None:
        locked = self._limits.failed("wrong key", who)
        if locked:
            log.warning("an address is locked out for a while: too many wrong keys", extra={"address": sender})
        elif who != sender:  # that a session is over is no attempt
            return
        with self._ledger.acting(Actor("nobody", address=sender)).work() as work:
            record(work, "address locked out" if locked else "key refused")


def has_body(headers: Headers) -> bool:
    """Whether a body is announced (RFC 9112, section 6.3)."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
