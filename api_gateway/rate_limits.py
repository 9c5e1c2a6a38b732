"""Budgets of requests per key or address, and lock-outs after wrong keys.

Token buckets in this process's memory: they need no database, and are full again when the gateway starts. A route
states what it spends with :func:`spends`; a route without a key (a login) spends from the address's budget.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from api_gateway.auth import UsesLedger, address_of
from xraygpt_core.errors import TooMany
from xraygpt_core.settings import Settings
from xraygpt_core.token_bucket import TokenBucket

What = Literal["request", "login", "lookup", "question", "query", "wrong key"]

MOST_KNOWN = 20_000  # callers in memory; the one that was silent for longest is forgotten first
FIRST_LOCK, LONGEST_LOCK = 1.0, 300.0  # seconds; a lock is twice as long as the one before
CALM_SECONDS = 900.0  # then the next lock is a first one again


class RateLimits:
    """The buckets and locks of one gateway. Safe for many threads.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._budgets: dict[What, TokenBucket] = {
            "request": settings.limit_request,
            "login": settings.limit_login,
            "lookup": settings.limit_lookup,
            "question": settings.limit_question,
            "query": settings.limit_query,
            "wrong key": settings.limit_wrong_key,
        }
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[tuple[What, str], tuple[float, float]] = OrderedDict()  # tokens, when counted
        self._locked: OrderedDict[tuple[What, str], tuple[float, float]] = OrderedDict()  # until, how long it was

    def spend(self, what: What, who: object, amount: float = 1.0) -> None:
        """Take from the budget of a key or address.

        Raises:
            TooMany: too little is left; it says when there will be enough.
        """
        budget = self._budgets[what]
        with self._lock:
            now, name = self._clock(), (what, str(who))
            tokens, counted = self._left.pop(name, (float(budget.at_once), now))
            tokens = min(float(budget.at_once), tokens + (now - counted) * budget.per_second)
            wait = (min(amount, float(budget.at_once)) - tokens) / budget.per_second
            self._keep(self._left, name, (tokens if wait > 0 else tokens - amount, now))
        if wait > 0:
            raise TooMany(f"too many of these for now ({what}): {budget.written} are allowed", wait)

    def check(self, what: What, who: object) -> None:
        """Refuse a sender that is locked out; this spends nothing.

        Raises:
            TooMany: the lock is not over.
        """
        with self._lock:
            until, _ = self._locked.get((what, str(who)), (0.0, 0.0))
            wait = until - self._clock()
        if wait > 0:
            raise TooMany("too many wrong keys came from here: wait before the next one", wait)

    def failed(self, what: What, who: object) -> bool:
        """Note a wrong key or password. True if that locks the sender out now; each pause is longer than the last."""
        try:
            self.spend(what, who)
        except TooMany:
            with self._lock:
                now, name = self._clock(), (what, str(who))
                until, long = self._locked.pop(name, (0.0, 0.0))
                if until > now:
                    self._keep(self._locked, name, (until, long))
                    return False
                long = min(LONGEST_LOCK, long * 2) if long and now - until < CALM_SECONDS else FIRST_LOCK
                self._keep(self._locked, name, (now + long, long))
            return True
        return False

    def _keep(
        self,
        kept: OrderedDict[tuple[What, str], tuple[float, float]],
        name: tuple[What, str],
        value: tuple[float, float],
    ) -> None:
        kept[name] = value
        while len(kept) > MOST_KNOWN:
            kept.popitem(last=False)


def limits(connection: HTTPConnection) -> RateLimits:
    """The limits of the gateway that answers this connection."""
    found: RateLimits = connection.app.state.limits
    return found


def address(connection: HTTPConnection) -> str:
    """The sender's address as the buckets count it: one IPv4 address, or the 64 bits of IPv6 that a site has.

    Behind a proxy of XRAYGPT_TRUSTED_PROXIES it is the address that the proxy names (``X-Forwarded-For``).
    """
    host = address_of(connection) or "nowhere"
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)


def spends(what: What) -> Any:
    """For a route's ``dependencies``: each request takes one from the budget of the key (or session) that sends it."""

    def take(request: Request, ledger: UsesLedger) -> None:
        actor = ledger.actor
        sender = address(request) if actor is None else actor.key_id or f"person {actor.name}"
        limits(request).spend(what, sender)

    return Depends(take)


def spends_here(what: What) -> Any:
    """The same for a route without a key: from the budget of the sender's address."""

    def take(request: Request) -> None:
        limits(request).spend(what, address(request))

    return Depends(take)
