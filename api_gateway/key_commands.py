"""``create-key`` and ``revoke-key``: for the first key of an installation, on a machine that reaches the database.

They need only XRAYGPT_DATABASE_URL. Otherwise use ``/v1/keys``, or ``xraygpt keys``.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.access.api_keys import EVERY_ROLE, NewKey, make_key, revoke_api_key
from xraygpt_core.ledger.access.key_changes import free_name
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.preflight import check_schema
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import load_database_settings
from xraygpt_core.states import KeyKind, Role

# The roles of a key without --role: the least that its holder needs.
_USUAL = {KeyKind.PERSON: (Role.READER,), KeyKind.PROGRAM: (Role.SERVICE,), KeyKind.BOTH: tuple(EVERY_ROLE)}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the two commands."""
    create = commands.add_parser("create-key", help="make an API key and print it once")
    create.add_argument("--name", required=True, help="its holder; a person's signatures carry this name")
    create.add_argument("--program", action="store_true", help="for a program, which may sign for people it names")
    create.add_argument("--both", action="store_true", help=argparse.SUPPRESS)  # the one-machine stack's own
    create.add_argument("--role", action="append", choices=list(Role), help="what it may do; may be repeated")
    create.add_argument("--owner", help="the person who answers for it")
    create.add_argument(
        "--expires", metavar="DAYS", type=float, help="after how many days it expires; without this, never"
    )
    create.add_argument("--stat", action="store_true", help="it may ask for the lane stat")
    create.set_defaults(act=_create)
    revoke = commands.add_parser("revoke-key", help="end every valid API key of this name, at once")
    revoke.add_argument("--name", required=True, help="its holder")
    revoke.set_defaults(act=_revoke)


def _create(chosen: argparse.Namespace) -> None:
    kind = KeyKind.BOTH if chosen.both else KeyKind.PROGRAM if chosen.program else KeyKind.PERSON
    roles = [Role(role) for role in chosen.role or _USUAL[kind]]
    if not chosen.role and not chosen.both:
        _say(f"roles: {', '.join(roles)}. For others name them: --role {' --role '.join(Role)}")
    if chosen.expires is not None and not 0 < chosen.expires < 36500:
        raise InvalidRequest("--expires: a number of days above 0")
    until = None if chosen.expires is None else datetime.now(UTC) + timedelta(days=chosen.expires)

    def make(ledger: Ledger) -> None:
        name = free_name(ledger, chosen.name) if chosen.both else chosen.name
        wanted = NewKey(name, kind, roles, chosen.stat or chosen.both, chosen.owner, until)
        print(make_key(ledger, wanted)[1])  # noqa: T201  # what the command is for

    _with_ledger(make)


def _revoke(chosen: argparse.Namespace) -> None:
    _with_ledger(lambda ledger: revoke_api_key(ledger, chosen.name))


def _with_ledger(act: Callable[[Ledger], None]) -> None:
    ledger = open_ledger(load_database_settings(), pool_size=1)
    try:
        check_schema(ledger)
        act(ledger.acting(Actor("command line")))
    finally:
        ledger.close()


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201  # for the person who runs this; stdout has the key alone
