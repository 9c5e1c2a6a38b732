"""The ``Idempotency-Key`` header: a repeated request gets the first one's answer and has no second effect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from api_gateway.auth import Caller, UsesLedger
from xraygpt_core.ledger.access.idempotency import Answer, Attempt, answered, once
from xraygpt_core.ledger.transaction import Ledger

_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="repeat a request under the same key, and it has its effect once; kept for a day",
    ),
]


@dataclass(frozen=True)
class IdempotentRoute:
    """Runs the one action of a route. The answer is stored, so it holds opaque ids and numbers only."""

    ledger: Ledger
    attempt: Attempt | None
    status: int

    def __call__(self, action: Callable[[], Answer]) -> Answer:
        if self.attempt is None:
            return action()
        return once(self.ledger, self.attempt, self.status, action)

    def prepared(self, prepare: Callable[[], Callable[[], Answer]]) -> Answer:
        """The same for an action with a slow preparation, during which no database connection is held."""
        if self.attempt is not None and (former := answered(self.ledger, self.attempt)) is not None:
            return former
        return self(prepare())


async def _once(request: Request, ledger: UsesLedger, caller: Caller, key: _Key = None) -> IdempotentRoute:
    status = request.scope["route"].status_code or 200
    if key is None:
        return IdempotentRoute(ledger, None, status)
    route = f"{request.method} {request.url.path}"
    return IdempotentRoute(ledger, Attempt(caller.identity, route, key, await request.body()), status)


RunsOnce = Annotated[IdempotentRoute, Depends(_once)]
