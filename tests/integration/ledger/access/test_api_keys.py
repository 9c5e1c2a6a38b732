"""API keys and repeated requests."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import do, one, together
from xraygpt_core.errors import Conflict, InvalidRequest, NotFound, Unauthorised
from xraygpt_core.ledger.access.api_keys import check_api_key, revoke_api_key
from xraygpt_core.ledger.access.idempotency import Attempt, forget_answers, once
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import KeyKind, Lane, Role


def test_a_key_opens_the_door_until_it_is_revoked(ledger: Ledger) -> None:
    key = create_api_key(ledger, "pacs", KeyKind.PROGRAM)
    assert (check_api_key(ledger, key).name, check_api_key(ledger, key).kind) == ("pacs", KeyKind.PROGRAM)
    revoke_api_key(ledger, "pacs")
    with pytest.raises(Unauthorised):
        check_api_key(ledger, key)
    with pytest.raises(NotFound):
        revoke_api_key(ledger, "pacs")


def test_a_wrong_key_opens_nothing(ledger: Ledger) -> None:
    key = create_api_key(ledger, "pacs")
    for wrong in ("", key[:-1], key + "x", key.upper()):
        with pytest.raises(Unauthorised):
            check_api_key(ledger, wrong)


def test_the_database_holds_no_key(ledger: Ledger) -> None:
    key = create_api_key(ledger, "pacs")
    assert key not in one(ledger, "SELECT a::text FROM api_keys a")


def test_a_name_belongs_to_one_valid_key(ledger: Ledger) -> None:
    create_api_key(ledger, "Andr\u00e9")
    with pytest.raises(Conflict, match="valid key named"):
        create_api_key(ledger, "Andre\u0301")  # another spelling of the same letters
    revoke_api_key(ledger, "Andr\u00e9")
    create_api_key(ledger, "Andr\u00e9")


def test_of_those_who_want_one_name_at_once_one_gets_it(ledger: Ledger) -> None:
    made = together(*[lambda: create_api_key(ledger, "pacs")] * 3)
    assert [type(one) for one in made if not isinstance(one, str)] == [Conflict, Conflict]


def test_a_key_holds_the_roles_it_was_made_with(ledger: Ledger) -> None:
    key = check_api_key(ledger, create_api_key(ledger, "Dr. R", roles=[Role.READER, Role.ANALYST]))
    assert key.roles == {Role.READER, Role.ANALYST}
    assert (key.has(Role.LEAD, Role.READER), key.has(Role.LEAD)) == (True, False)
    with pytest.raises(InvalidRequest, match="at least one role"):
        create_api_key(ledger, "Dr. S", roles=[])


@pytest.mark.parametrize(
    ("roles", "stat", "may"),
    [
        ([Role.SERVICE], False, False),
        ([Role.SERVICE], True, True),
        ([Role.LEAD], False, True),
        ([Role.OPERATOR], False, True),
    ],
)
def test_stat_is_a_right_of_its_own(ledger: Ledger, roles: list[Role], stat: bool, may: bool) -> None:
    key = check_api_key(ledger, create_api_key(ledger, "pacs", roles=roles, stat=stat))
    assert (key.may_ask_for(Lane.STAT), key.may_ask_for(Lane.ROUTINE)) == (may, True)


def test_an_expired_key_opens_nothing_and_frees_its_name(ledger: Ledger) -> None:
    key = create_api_key(ledger, "pacs", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert check_api_key(ledger, key).expires_at is not None
    do(ledger, "UPDATE api_keys SET expires_at = clock_timestamp()")
    with pytest.raises(Unauthorised, match="expired"):
        check_api_key(ledger, key)
    create_api_key(ledger, "pacs")


def test_the_last_use_of_a_key_is_known_to_the_minute(ledger: Ledger) -> None:
    key = create_api_key(ledger, "pacs")
    used = "SELECT last_used_at FROM api_keys"
    assert one(ledger, used) is None
    check_api_key(ledger, key)
    first = one(ledger, used)
    check_api_key(ledger, key)
    assert one(ledger, used) == first
    do(ledger, "UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    check_api_key(ledger, key)
    assert one(ledger, used) >= first


def test_a_key_is_a_persons_unless_it_is_said_otherwise(ledger: Ledger) -> None:
    assert check_api_key(ledger, create_api_key(ledger, "Dr. R")).kind is KeyKind.PERSON


@pytest.mark.parametrize("name", ["", "Dr.\u200bR", "\x1b[2J"])
def test_a_key_has_a_name_that_can_be_read(ledger: Ledger, name: str) -> None:
    with pytest.raises(InvalidRequest):
        create_api_key(ledger, name)


def request(key: str = "k", body: bytes = b"{}", caller: str = "pacs") -> Attempt:
    return Attempt(caller, "POST /v1/studies", key, body)


def test_a_repeated_request_has_one_effect_and_the_same_answer(ledger: Ledger) -> None:
    ran: list[int] = []

    def action(_: Ledger) -> dict[str, int]:
        ran.append(1)
        return {"run": len(ran)}

    assert once(ledger, request(), 202, action) == once(ledger, request(), 202, action) == {"run": 1}
    assert once(ledger, request(caller="other"), 202, action) == {"run": 2}


def test_a_key_used_for_another_request_is_refused(ledger: Ledger) -> None:
    once(ledger, request(), 202, lambda _: {})
    with pytest.raises(InvalidRequest):
        once(ledger, request(body=b"[]"), 202, lambda _: {})


def test_a_request_that_failed_may_be_sent_again(ledger: Ledger) -> None:
    def broken(_: Ledger) -> dict[str, int]:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        once(ledger, request(), 202, broken)
    assert once(ledger, request(), 202, lambda _: {"ok": 1}) == {"ok": 1}


def test_the_same_request_at_the_same_moment_runs_once(ledger: Ledger) -> None:
    ran = threading.Semaphore(0)

    def action(_: Ledger) -> dict[str, int]:
        ran.release()
        return {"ok": 1}

    results = together(*[lambda: once(ledger, request(), 202, action)] * 3)
    assert ran.acquire(blocking=False)
    assert not ran.acquire(blocking=False)
    assert all(result == {"ok": 1} or isinstance(result, Conflict) for result in results)


def test_answers_are_forgotten_after_a_day(ledger: Ledger) -> None:
    once(ledger, request(), 202, lambda _: {"old": 1})
    assert forget_answers(ledger) == 0
    do(ledger, "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
    assert once(ledger, request(), 202, lambda _: {"new": 1}) == {"new": 1}
    do(ledger, "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
    assert forget_answers(ledger) == 1
