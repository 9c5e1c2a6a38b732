"""API keys for tests: one call, and the key itself."""

from collections.abc import Collection
from datetime import datetime

from xraygpt_core.ledger.access.api_keys import EVERY_ROLE, NewKey, make_key
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import KeyKind, Role


def create_api_key(
    ledger: Ledger,
    name: str,
    kind: KeyKind = KeyKind.PERSON,
    roles: Collection[Role] = EVERY_ROLE,
    *,
    stat: bool = False,
    owner: str | None = None,
    expires_at: datetime | None = None,
) -> str:
    """A new key, with every role unless ``roles`` are named."""
    return make_key(ledger, NewKey(name, kind, roles, stat, owner, expires_at))[1]
