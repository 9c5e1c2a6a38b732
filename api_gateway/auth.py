"""Authentication of a request's caller, and the roles that a route admits.

A program sends ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; the reading room sends a session's cookie. A route
states in its signature which callers it admits, for example ``caller: TextReader``.

:class:`api_gateway.key_before_body.KeyBeforeBody` checks the key once, before a body is read: see :func:`shown`.
"""

import hmac
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection

from api_gateway.cookies import must_be_our_page, must_hold_token, session_token
from api_gateway.dependencies import Dependencies, OpenServices
from xraygpt_core.errors import Forbidden, Unauthorised
from xraygpt_core.ledger.access.api_keys import ApiKey, check_api_key
from xraygpt_core.ledger.access.sessions import check_session
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import Lane, Role

NO_KEY = "send an API key: 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
# A request that the page sends by itself, without an act of its reader, keeps no session open.
BACKGROUND_HEADER = "X-Background"

# These describe the API; shown() reads the credentials.
_Bearer = Annotated[Any, Security(HTTPBearer(auto_error=False, description="an API key"))]
_Header = Annotated[Any, Security(APIKeyHeader(name="X-API-Key", auto_error=False, description="an API key"))]
_Cookie = Annotated[Any, Security(APIKeyCookie(name="xraygpt", auto_error=False, description="a session"))]


class Token(Enum):
    """A credential that is no key of a person or program. Each opens one route."""

    WEBHOOK = auto()  # the bucket's: the route of its events
    METRICS = auto()  # Prometheus's: /metrics


Shown = ApiKey | Token | None


def shown(ledger: Ledger, asked: HTTPConnection) -> Shown:
    """The holder of a request's credential; None if it carries none.

    A cookie counts only if both headers are absent, whatever is in it.

    Raises:
        Unauthorised: the credential is unknown or has ended.
        Forbidden: another page makes a browser use its session.
        Unavailable: PostgreSQL does not answer.
    """
    if key := presented_key(asked):
        return token_of(ledger.settings, key) or check_api_key(ledger, key)
    named = "authorization" in asked.headers or "x-api-key" in asked.headers
    session = None if named else session_token(asked)
    if not session:
        return None
    must_be_our_page(asked)
    must_hold_token(asked, session)
    return check_session(ledger, session, used=BACKGROUND_HEADER not in asked.headers).caller


def presented_key(asked: HTTPConnection) -> str | None:
    """The key in a request's headers; None if there is none, or one of another scheme."""
    scheme, _, credentials = asked.headers.get("authorization", "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    return bearer or asked.headers.get("x-api-key") or None


def token_of(settings: Settings, key: str) -> Token | None:
    """Which token this is; None if it is none. It needs no query of the database."""
    for token, value in ((Token.WEBHOOK, settings.webhook_token), (Token.METRICS, settings.metrics_token)):
        if value is not None and hmac.compare_digest(key.encode(), value.get_secret_value().encode()):
            return token
    return None


async def caller_of(request: Request, _: _Bearer, __: _Header, ___: _Cookie) -> ApiKey:
    """The caller, whatever its roles.

    Raises:
        Unauthorised: the request has no credential, or a token that is no key.
    """
    return _person_or_program(request.state.caller)


def _person_or_program(found: Shown) -> ApiKey:
    if isinstance(found, ApiKey):
        return found
    raise Unauthorised(NO_KEY if found is None else "this token does not open this route")


async def _sender(request: Request, _: _Bearer, __: _Header) -> ApiKey | None:
    found: Shown = request.state.caller
    return None if found is Token.WEBHOOK else _person_or_program(found)


Caller = Annotated[ApiKey, Depends(caller_of)]


@dataclass(frozen=True)
class Needs:
    """Admits a caller with one of these roles."""

    roles: tuple[Role, ...]

    async def __call__(self, caller: Caller) -> ApiKey:
        """The caller; raises as :func:`admitted`."""
        return admitted(caller, self.roles)


@dataclass(frozen=True)
class NeedsOr:
    """Admits one token as well, as None."""

    token: Token
    roles: tuple[Role, ...]

    async def __call__(self, request: Request, _: _Bearer, __: _Header) -> ApiKey | None:
        """The caller; raises as :func:`admitted`."""
        found: Shown = request.state.caller
        return None if found is self.token else admitted(_person_or_program(found), self.roles)


def admitted(caller: ApiKey, roles: tuple[Role, ...]) -> ApiKey:
    """The caller.

    Raises:
        Forbidden: it holds none of these roles.
    """
    if not caller.has(*roles):
        raise Forbidden(f"this needs the role {' or '.join(roles)}; here is {', '.join(sorted(caller.roles))}")
    return caller


def needs(*roles: Role) -> Any:
    """For a route's signature: the caller must hold one of these roles."""
    return Depends(Needs(roles))


# Callers, by what they may do: a route states in its signature which of them it admits.
TextReader = Annotated[ApiKey, needs(Role.READER, Role.LEAD, Role.SERVICE)]
FilmReader = Annotated[ApiKey, needs(Role.READER, Role.LEAD)]
Lead = Annotated[ApiKey, needs(Role.LEAD)]
LeadAdminOrOperator = Annotated[ApiKey, needs(Role.LEAD, Role.OPERATOR, Role.ADMIN)]
LeadOrAdmin = Annotated[ApiKey, needs(Role.LEAD, Role.ADMIN)]
LeadOrOperator = Annotated[ApiKey, needs(Role.LEAD, Role.OPERATOR)]
Submitter = Annotated[ApiKey, needs(Role.OPERATOR, Role.SERVICE)]
Operator = Annotated[ApiKey, needs(Role.OPERATOR)]
OperatorOrAdmin = Annotated[ApiKey, needs(Role.OPERATOR, Role.ADMIN)]
Admin = Annotated[ApiKey, needs(Role.ADMIN)]
Trainer = Annotated[ApiKey, needs(Role.TRAINER)]
TrainerOrAdmin = Annotated[ApiKey, needs(Role.TRAINER, Role.ADMIN)]
LeadOrTrainer = Annotated[ApiKey, needs(Role.LEAD, Role.TRAINER)]
RunWatcher = Annotated[ApiKey, needs(Role.OPERATOR, Role.ADMIN, Role.TRAINER)]


def needs_or(token: Token, *roles: Role) -> Any:
    """For a route's signature: the same, or None if the request bears this token."""
    return Depends(NeedsOr(token, roles))


def may_ask_for(lane: Lane, caller: ApiKey) -> Lane:
    """The lane, if this caller may ask for it.

    Raises:
        Forbidden: it may not.
    """
    if not caller.may_ask_for(lane):
        raise Forbidden("the lane stat needs the role lead or operator, or a key that was made with --stat")
    return lane


async def _acting(request: Request, services: OpenServices, caller: Caller) -> Dependencies:
    return _bound(services, request, caller)


async def _announcing(
    request: Request, services: OpenServices, sender: Annotated[ApiKey | None, Depends(_sender)]
) -> Dependencies:
    # The bucket's own announcement is no caller's act: only the timeline of each study has it.
    return services if sender is None else _bound(services, request, sender)


def _bound(services: Dependencies, request: Request, caller: ApiKey) -> Dependencies:
    """The dependencies with this caller as the actor of the audit."""
    return replace(services, ledger=services.ledger.acting(actor_of(caller, address_of(request))))


def actor_of(caller: ApiKey, address: str | None) -> Actor:
    """The caller as the audit stores it."""
    return Actor(caller.name, caller.key_id, caller.session_id, address)


def address_of(request: HTTPConnection) -> str | None:
    """The address that a request came from."""
    return request.client.host if request.client else None


async def _acting_ledger(services: Annotated[Dependencies, Depends(_acting)]) -> Ledger:
    return services.ledger


# A route's dependencies. The audit counts everything that is done through them as the caller's act.
UsesServices = Annotated[Dependencies, Depends(_acting)]
UsesLedger = Annotated[Ledger, Depends(_acting_ledger)]
AnnouncesServices = Annotated[Dependencies, Depends(_announcing)]
