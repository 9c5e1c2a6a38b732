"""Refused acts of known callers are recorded in the audit, like acts that were done."""

from uuid import UUID

from fastapi import Request

from api_gateway.auth import Shown, Token, actor_of, address_of
from api_gateway.dependencies import Dependencies
from xraygpt_core.errors import Conflict, Forbidden, XrayGPTError
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.audit.record import REFUSED, record_alone


def is_refusal(request: Request, error: XrayGPTError) -> bool:
    """Is it a refusal for the caller's rights or the subject's state, and not for a malformed request?"""
    return isinstance(error, Forbidden) or (isinstance(error, Conflict) and request.method != "GET")


def keep_refusal(request: Request, status: int) -> None:
    """Record it, with the route and the ids in its path.

    Raises:
        Unavailable: PostgreSQL does not answer; the caller then gets that error instead of the refusal.
    """
    actor = _actor(request)
    if actor is None:
        return
    services: Dependencies = request.app.state.services
    route = getattr(request.scope.get("route"), "path", "none")
    ids = {name: _id(value) for name, value in request.path_params.items() if name.endswith("_id")}
    study = ids.pop("study_id", None)
    record_alone(
        services.ledger.acting(actor),
        "act refused",
        study=study,
        subject=next(iter(ids.values()), None),
        detail={"route": f"{request.method} {route}", "status": status},
        outcome=REFUSED,
    )


def _actor(request: Request) -> Actor | None:
    """The actor of the refusal. None for a stranger: those are recorded with the lock of their address."""
    caller: Shown = getattr(request.state, "caller", None)
    address = address_of(request)
    match caller:
        case ApiKey():
            return actor_of(caller, address)
        case Token():
            return Actor(str(caller.name.lower()), address=address)
        case None:
            return None


def _id(value: object) -> UUID | None:
    """An id in the path; None if it is malformed, which is checked only after the caller's rights."""
    try:
        return UUID(str(value))
    except ValueError:
        return None
