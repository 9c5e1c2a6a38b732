"""Who asks. ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; the database holds the SHA-256 of a key only.

:class:`api_gateway.keyfirst.KeyFirst` looks at the key, once, before anything of a body is read: see :func:`shown`.
"""

import hmac
from dataclasses import replace
from enum import Enum, auto
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from api_gateway.services import OpenServices, Services
from xraygpt_core.errors import Unauthorised
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.keys import ApiKey, check_api_key

_bearer = HTTPBearer(auto_error=False, description="an API key")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="an API key")

_Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
_Header = Annotated[str | None, Security(_header)]

NO_KEY = "send an API key: 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"


class Token(Enum):
    """What is no key of a person or program, and opens one thing each."""

    WEBHOOK = auto()  # the bucket's: the route of its events
    METRICS = auto()  # Prometheus's: /metrics


Shown = ApiKey | Token | None


def shown(ledger: Ledger, headers: Headers) -> Shown:
    """Whose credential a request carries; None: it carries none.

    Raises:
        Unauthorised: nobody's. Unavailable: PostgreSQL does not answer.
    """
    kind, _, key = headers.get("authorization", "").partition(" ")
    key = key.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
    if not key:
        return None
    settings = ledger.settings
    for token, value in ((Token.WEBHOOK, settings.webhook_token), (Token.METRICS, settings.metrics_token)):
        if value is not None and hmac.compare_digest(key.encode(), value.get_secret_value().encode()):
            return token
    return check_api_key(ledger, key)


async def _caller(request: Request, _bearer: _Bearer, _header: _Header) -> ApiKey:
    caller: Shown = request.state.caller
    if isinstance(caller, ApiKey):
        return caller
    raise Unauthorised(NO_KEY if caller is None else "this token does not open this route")


async def _event_sender(request: Request, bearer: _Bearer, header: _Header) -> ApiKey | None:
    """The bucket's webhook may use its own token: None."""
    return None if request.state.caller is Token.WEBHOOK else await _caller(request, bearer, header)


async def _scraper(request: Request, bearer: _Bearer, header: _Header) -> ApiKey | None:
    """Prometheus may use its own token: None."""
    return None if request.state.caller is Token.METRICS else await _caller(request, bearer, header)


Caller = Annotated[ApiKey, Depends(_caller)]
EventSender = Annotated[ApiKey | None, Depends(_event_sender)]
Scraper = Annotated[ApiKey | None, Depends(_scraper)]


def _acting(request: Request, services: OpenServices, caller: Caller) -> Services:
    return _bound(services, request, caller)


def _announcing(request: Request, services: OpenServices, sender: EventSender) -> Services:
    return _bound(services, request, sender)


def _bound(services: Services, request: Request, key: ApiKey | None) -> Services:
    """The services whose acts are this caller's; None: the webhook's."""
    address = request.client.host if request.client else None
    actor = Actor("webhook", address=address) if key is None else Actor(key.name, key.key_id, address=address)
    return replace(services, ledger=services.ledger.acting(actor))


def _acting_ledger(services: Annotated[Services, Depends(_acting)]) -> Ledger:
    return services.ledger


# What the routes work with: everything done through these is the caller's act.
UsesServices = Annotated[Services, Depends(_acting)]
UsesLedger = Annotated[Ledger, Depends(_acting_ledger)]
AnnouncesServices = Annotated[Services, Depends(_announcing)]
