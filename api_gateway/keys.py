"""API keys: make, see, replace and end them. An admin may give every role, its own included; the audit has each act."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AfterValidator, Field

from api_gateway.auth import Admin, UsesLedger
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, Moment, Request, Text
from xraygpt_core.ledger.access.api_keys import LONGEST_NAME, NewKey, make_key
from xraygpt_core.ledger.access.key_changes import end_key, keys, rotate_key
from xraygpt_core.states import KeyKind, Role

router = APIRouter(prefix="/v1/keys", tags=["keys"])

_LONGEST_OVERLAP = 30 * 86400


def _to_come(moment: datetime) -> datetime:
    """Refuse an expiry in the past: the last admin's key would lock every admin out."""
    if moment <= datetime.now(UTC):
        raise ValueError("a key expires at a moment to come")
    return moment


_Expiry = Annotated[Moment, AfterValidator(_to_come)]


class WantedKey(Request):
    """A key for one person or program. It signs with ``name``, which is unique among valid keys.

    ``owner`` answers for it. With ``stat`` it may ask for that lane without the role lead or operator.
    """

    name: Annotated[Text, Field(min_length=1, max_length=LONGEST_NAME)]
    kind: KeyKind = KeyKind.PERSON
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))]
    owner: Annotated[Text, Field(min_length=1, max_length=LONGEST_NAME)] | None = None
    stat: bool = False
    expires_at: _Expiry | None = None


class MadeKey(Answer):
    """A new key. ``key`` appears only here: the database keeps its hash."""

    key_id: UUID
    key: str


class KeyRotation(Request):
    """How long the old key stays valid beside the new one (0 ends it now), and when the new one expires.

    Without ``expires_at`` the new key expires when the old one would have.
    """

    overlap_seconds: Annotated[int, Field(ge=0, le=_LONGEST_OVERLAP)] = 86400
    expires_at: _Expiry | None = None


class KeyAnswer(Answer):
    """A key, without the key itself. ``last_used_at`` is right to the minute; ``replaced_by`` came from a rotation."""

    key_id: UUID
    name: str
    kind: KeyKind
    roles: list[Role]
    stat: bool
    owner: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    replaced_by: UUID | None
    revoked_at: datetime | None
    valid: bool


class Keys(Answer):
    """By name. Ended keys stay, because they signed reviews."""

    keys: list[KeyAnswer]


@router.post("", status_code=201)
def post_key(body: WantedKey, ledger: UsesLedger, _: Admin) -> MadeKey:
    """Make a key. 409 if a valid key bears the name."""
    wanted = NewKey(body.name, body.kind, frozenset(body.roles), body.stat, body.owner, body.expires_at)
    key_id, key = make_key(ledger, wanted)
    return MadeKey(key_id=key_id, key=key)


@router.get("")
def get_keys(ledger: UsesLedger, _: Admin, ended: bool = False) -> Keys:
    """The valid keys; with ``ended``, the ended ones, too."""
    return Keys(keys=[KeyAnswer.model_validate(dict(one)) for one in keys(ledger, ended=ended)])


@router.post("/{key_id}/rotate", status_code=201)
def post_rotation(key_id: UUID, body: KeyRotation, ledger: UsesLedger, _: Admin) -> MadeKey:
    """Make a key in place of another, with its name, roles and owner. Both work until the old one ends."""
    new_id, key = rotate_key(ledger, key_id, body.overlap_seconds, body.expires_at)
    return MadeKey(key_id=new_id, key=key)


@router.delete("/{key_id}", status_code=204)
def delete_key(key_id: UUID, once: RunsOnce, _: Admin) -> Response:
    """End a key, its sessions and the streams it watches, at once. 409 if no admin would be left."""
    return once.empty(lambda ledger: end_key(ledger, key_id))
