"""Who asks. ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; the database holds the SHA-256 of a key only."""

import hmac
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api_gateway.services import OpenLedger, OpenServices, Services
from xraygpt_core.errors import Unauthorised
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.keys import ApiKey, check_api_key

_bearer = HTTPBearer(auto_error=False, description="an API key")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="an API key")

_Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
_Header = Annotated[str | None, Security(_header)]


def _caller(ledger: OpenLedger, bearer: _Bearer, header: _Header) -> ApiKey:
    return check_api_key(ledger, _presented(bearer, header))


def _event_sender(ledger: OpenLedger, bearer: _Bearer, header: _Header) -> ApiKey | None:
    """The bucket's webhook may use its own token, which opens nothing but the event route: None."""
    key = _presented(bearer, header)
    return None if _is_webhook(ledger, key) else check_api_key(ledger, key)


def _presented(bearer: HTTPAuthorizationCredentials | None, header: str | None) -> str:
    key = bearer.credentials if bearer else header
    if not key:
        raise Unauthorised("send an API key: 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
    return key


def _is_webhook(ledger: Ledger, key: str) -> bool:
    token = ledger.settings.webhook_token
    return token is not None and hmac.compare_digest(key.encode(), token.get_secret_value().encode())


Caller = Annotated[ApiKey, Depends(_caller)]
EventSender = Annotated[ApiKey | None, Depends(_event_sender)]


def _acting(request: Request, services: OpenServices, caller: Caller) -> Services:
    return _bound(services, request, caller)


def _announcing(request: Request, services: OpenServices, sender: EventSender) -> Services:
    return _bound(services, request, sender)


def _bound(services: Services, request: Request, key: ApiKey | None) -> Services:
    """The services whose acts are this caller's; None: the webhook's."""
    address = request.client.host if request.client else None
    actor = Actor("webhook", address=address) if key is None else Actor(key.name, key.key_id, address=address)
    request.state.actor = actor  # for what is refused
    return replace(services, ledger=services.ledger.acting(actor))


def _acting_ledger(services: Annotated[Services, Depends(_acting)]) -> Ledger:
    return services.ledger


# What the routes work with: everything done through these is the caller's act.
UsesServices = Annotated[Services, Depends(_acting)]
UsesLedger = Annotated[Ledger, Depends(_acting_ledger)]
AnnouncesServices = Annotated[Services, Depends(_announcing)]
