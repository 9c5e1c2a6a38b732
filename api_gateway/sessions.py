"""Signing in and out: a browser shows a key once and gets a session's cookie for it.

A login of persons (OIDC) would end in the same way: ``open_session`` takes a person and roles, not a key.
"""

from contextlib import suppress
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi import Request as Asked
from pydantic import Field

from api_gateway.acts import Act, Acts
from api_gateway.auth import Caller, UsesLedger, actor_of, address_of, presented_key
from api_gateway.cookies import clear_cookie, csrf_token, must_be_our_page, session_token, set_cookie
from api_gateway.dependencies import OpenLedger
from api_gateway.rate_limits import address, limits, spends_here
from api_gateway.schemas import Answer, Request
from xraygpt_core.errors import NotFound, Unauthorised
from xraygpt_core.ledger.access.api_keys import ApiKey, check_api_key
from xraygpt_core.ledger.access.preferences import Language, Preferences, Theme, prefer, preferences
from xraygpt_core.ledger.access.sessions import check_session, end_session, note_failed, open_session
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import KeyKind, Lane, Role

router = APIRouter(prefix="/v1", tags=["session"])


class Me(Answer):
    """The caller's key: it signs reviews with its name, and a program's key may name others as ``reviewer``.

    ``acts`` says what it may do here, a word each, and ``stat`` whether it may ask for that lane. ``key_id`` is null
    for a session that no key opened.
    """

    key_id: UUID | None
    name: str
    kind: KeyKind
    roles: list[Role]
    acts: list[Act]
    stat: bool
    expires_at: datetime | None


class SignIn(Request):
    """An API key; it may also be in a header, as in every request."""

    key: Annotated[str, Field(max_length=1000)] | None = None


class PreferencesAnswer(Answer):
    """What the person chose for the pages; null: as the browser does."""

    language: Language | None
    theme: Theme | None


class WantedPreferences(Request):
    """What is left out is as the browser does."""

    language: Language | None = None
    theme: Theme | None = None


class SessionAnswer(Answer):
    """The session. ``csrf_token`` goes into the header ``X-CSRF-Token`` of each request that changes something.

    The session ends ``idle_seconds`` after its last use, and in ``left_seconds`` at the latest. A request with the
    header ``X-Background`` does not count as use.
    """

    me: Me
    preferences: PreferencesAnswer
    csrf_token: str
    idle_seconds: float
    left_seconds: float


@router.get("/me")
def get_me(request: Asked, caller: Caller) -> Me:
    """The caller's key, and what it may do."""
    return _me(request, caller)


@router.put("/me/preferences", status_code=204)
def put_preferences(ledger: UsesLedger, caller: Caller, wanted: WantedPreferences) -> Response:
    """Choose the language and the colours of the pages, for the caller's name."""
    prefer(ledger, caller.name, Preferences(wanted.language, wanted.theme))
    return Response(status_code=204)


@router.post("/session", status_code=201, dependencies=[spends_here("login")])
def post_session(request: Asked, response: Response, ledger: OpenLedger, body: SignIn | None = None) -> SessionAnswer:
    """Sign in with an API key. The answer sets a cookie, which is enough for reading from then on."""
    must_be_our_page(request)
    stranger = ledger.acting(Actor("nobody", address=address_of(request)))
    limits(request).check("wrong key", address(request))
    try:
        key = check_api_key(stranger, (body and body.key) or presented_key(request) or "")
    except Unauthorised:
        limits(request).failed("wrong key", address(request))
        note_failed(stranger)
        raise
    acting = ledger.acting(actor_of(key, address_of(request)))
    if former := session_token(request):
        with suppress(Unauthorised):
            end_session(acting, check_session(ledger, former, used=False).caller)
    token = open_session(acting, key.name, key.roles, "key", kind=key.kind, stat=key.stat, key_id=key.key_id)
    set_cookie(request, response, token)
    return _session(request, ledger, token)


@router.get("/session")
def get_session(request: Asked, ledger: UsesLedger, caller: Caller) -> SessionAnswer:
    """The session of this browser, and how long it still lasts."""
    _must_be_session(caller)
    return _session(request, ledger, session_token(request) or "")


@router.delete("/session", status_code=204)
def delete_session(request: Asked, ledger: UsesLedger, caller: Caller, everywhere: bool = False) -> Response:
    """Sign out; with ``everywhere``, in all browsers in which this key signed in."""
    _must_be_session(caller)
    end_session(ledger, caller, everywhere=everywhere)
    response = Response(status_code=204)
    clear_cookie(request, response)
    return response


def _must_be_session(caller: ApiKey) -> None:
    if caller.session_id is None:
        raise NotFound("this is an API key, no session")


def _session(request: Asked, ledger: Ledger, token: str) -> SessionAnswer:
    session = check_session(ledger, token, used=False)
    return SessionAnswer(
        me=_me(request, session.caller),
        preferences=PreferencesAnswer.model_validate(preferences(ledger, session.caller.name)),
        csrf_token=csrf_token(token),
        idle_seconds=session.idle_seconds,
        left_seconds=session.left_seconds,
    )


def _me(request: Asked, caller: ApiKey) -> Me:
    acts: Acts = request.app.state.acts
    return Me(
        key_id=caller.key_id,
        name=caller.name,
        kind=caller.kind,
        roles=[role for role in Role if caller.has(role)],
        acts=acts.of(caller),
        stat=caller.may_ask_for(Lane.STAT),
        expires_at=caller.expires_at,
    )
