"""The ``Idempotency-Key`` header: a repeated request gets the first one's answer and has no second effect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from api_gateway.auth import Caller, UsesLedger
from xraygpt_core.ledger.access.idempotency import Answer, Attempt, answered, once, once_in_steps
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
    """Runs the one action of a route. The answer is stored, so it holds nothing of a patient: ids, numbers, our words.

    Each action is given the ledger to act with: its work and the answer are then one transaction.
    """

    ledger: Ledger
    attempt: Attempt | None
    status: int

    def __call__(self, action: Callable[[Ledger], Answer]) -> Answer:
        if self.attempt is None:
            return action(self.ledger)
        return once(self.ledger, self.attempt, self.status, action)

    def empty(self, act: Callable[[Ledger], object]) -> Response:
        """The same for an act whose answer has no content."""

        def action(ledger: Ledger) -> Answer:
            act(ledger)
            return {}

        self(action)
        return Response(status_code=self.status)

    def in_steps(self, action: Callable[[Ledger], Answer]) -> Answer:
        """The same for an action of many transactions; only what it does with the ledger it is given is one with it."""
        if self.attempt is None:
            return action(self.ledger)
        return once_in_steps(self.ledger, self.attempt, self.status, action)

    def prepared(self, prepare: Callable[[], Callable[[Ledger], Answer]]) -> Answer:
        """:meth:`in_steps` after a slow preparation, during which no database connection is held."""
        if self.attempt is not None and (former := answered(self.ledger, self.attempt)) is not None:
            return former
        return self.in_steps(prepare())


async def _once(request: Request, ledger: UsesLedger, caller: Caller, key: _Key = None) -> IdempotentRoute:
    status = request.scope["route"].status_code or 200
    if key is None:
        return IdempotentRoute(ledger, None, status)
    route = f"{request.method} {request.url.path}"
    return IdempotentRoute(ledger, Attempt(caller.identity, route, key, await request.body()), status)


RunsOnce = Annotated[IdempotentRoute, Depends(_once)]
