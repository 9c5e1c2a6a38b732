"""Who asks, and what they may do.

``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; the page has a session's cookie instead. A route states its roles
in its signature, ``Annotated[ApiKey, needs(Role.READER, …)]``: one of them will do.
"""

import hmac
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer

from api_gateway.cookies import must_be_our_page, must_hold_token, session_token
from api_gateway.services import OpenServices, Services
from xraygpt_core.errors import Forbidden, Unauthorised
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.keys import ApiKey, check_api_key
from xraygpt_core.ledger.sessions import check_session
from xraygpt_core.states import Lane, Role

# What the page asks by itself, and not because its reader did something, keeps no session open.
BACKGROUND_HEADER = "X-Background"

# For the description of the API: what is presented is read from the request itself, by authenticate().
_Bearer = Annotated[Any, Security(HTTPBearer(auto_error=False, description="an API key"))]
_Header = Annotated[Any, Security(APIKeyHeader(name="X-API-Key", auto_error=False, description="an API key"))]
_Cookie = Annotated[Any, Security(APIKeyCookie(name="xraygpt", auto_error=False, description="a session"))]


def authenticate(ledger: Ledger, request: Request) -> ApiKey:
    """Whose request it is, by its headers alone.

    A cookie counts only where neither header is there, whatever is in it.

    Raises:
        Unauthorised: there is no key and no session, or it opens nothing.
        Forbidden: another page makes a browser use its session.
    """
    if (key := presented_key(request)) is not None:
        return check_api_key(ledger, key)
    token = None if _names_a_key(request) else session_token(request)
    if not token:
        raise Unauthorised("send an API key: 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
    must_be_our_page(request)
    must_hold_token(request, token)
    return check_session(ledger, token, used=BACKGROUND_HEADER not in request.headers).caller


def presented_key(request: Request) -> str | None:
    """The key in a request's headers; None if there is none, or one of another scheme."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    return bearer or request.headers.get("x-api-key") or None


def _names_a_key(request: Request) -> bool:
    return "authorization" in request.headers or "x-api-key" in request.headers


def _caller(request: Request, services: OpenServices, _: _Bearer, __: _Header, ___: _Cookie) -> ApiKey:
    return _known(request, services)


def _known(request: Request, services: Services) -> ApiKey:
    known = getattr(request.state, "caller", None)  # where it was looked at before the body was read
    caller: ApiKey = authenticate(services.ledger, request) if known is None else known
    request.state.caller = caller
    return caller


def _event_sender(request: Request, services: OpenServices, _: _Bearer, __: _Header) -> ApiKey | None:
    """The bucket's webhook may use its own token, which opens nothing but the event route: None."""
    return None if is_webhook(services.ledger, request) else _known(request, services)


def is_webhook(ledger: Ledger, request: Request) -> bool:
    """Whether the request bears the token of the bucket's webhook."""
    token, key = ledger.settings.webhook_token, presented_key(request)
    return token is not None and hmac.compare_digest((key or "").encode(), token.get_secret_value().encode())


Caller = Annotated[ApiKey, Depends(_caller)]
EventSender = Annotated[ApiKey | None, Depends(_event_sender)]


@dataclass(frozen=True)
class Needs:
    """Lets a caller in who holds one of these roles."""

    roles: tuple[Role, ...]

    async def __call__(self, caller: Caller) -> ApiKey:
        """The caller; raises as :func:`admitted`."""
        return admitted(caller, self.roles)


@dataclass(frozen=True)
class NeedsOrWebhook:
    """Lets the bucket's webhook in as well, as None."""

    roles: tuple[Role, ...]

    async def __call__(self, sender: EventSender) -> ApiKey | None:
        """The caller; raises as :func:`admitted`."""
        return None if sender is None else admitted(sender, self.roles)


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


def needs_or_webhook(*roles: Role) -> Any:
    """For a route's signature: likewise, or the request bears the webhook's token."""
    return Depends(NeedsOrWebhook(roles))


def may_ask_for(lane: Lane, caller: ApiKey) -> Lane:
    """The lane, if this caller may ask for it.

    Raises:
        Forbidden: it may not.
    """
    if not caller.may_ask_for(lane):
        raise Forbidden("the lane stat needs the role lead or operator, or a key that was made with --stat")
    return lane


async def _acting(request: Request, services: OpenServices, caller: Caller) -> Services:
    return _bound(services, request, caller)


async def _announcing(request: Request, services: OpenServices, sender: EventSender) -> Services:
    return _bound(services, request, sender)


def _bound(services: Services, request: Request, caller: ApiKey | None) -> Services:
    """The services whose acts are this caller's; None: the webhook's."""
    address = address_of(request)
    actor = Actor("webhook", address=address) if caller is None else actor_of(caller, address)
    request.state.actor = actor
    return replace(services, ledger=services.ledger.acting(actor))


def actor_of(caller: ApiKey, address: str | None) -> Actor:
    """Whose acts they are, as the audit keeps it."""
    return Actor(caller.name, caller.key_id, caller.session_id, address)


def address_of(request: Request) -> str | None:
    """Where a request came from."""
    return request.client.host if request.client else None


async def _acting_ledger(services: Annotated[Services, Depends(_acting)]) -> Ledger:
    return services.ledger


# What the routes work with: everything done through these is the caller's act.
UsesServices = Annotated[Services, Depends(_acting)]
UsesLedger = Annotated[Ledger, Depends(_acting_ledger)]
AnnouncesServices = Annotated[Services, Depends(_announcing)]
