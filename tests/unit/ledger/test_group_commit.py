"""Calls that meet: one transaction for all who wait, and a bad one fails by itself."""

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import DataError

from tests.support.ledger_tools import no_errors, together
from xraygpt_core.errors import Refused, Unavailable
from xraygpt_core.ledger.group_commit import GroupCommit


class Database:
    """Doubles numbers, a transaction at a time; stands still while ``open`` is not set."""

    def __init__(self) -> None:
        self.transactions: list[list[int]] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def double(self, items: Sequence[int]) -> list[int]:
        self.transactions.append(list(items))
        self.entered.set()
        assert self.open.wait(60)
        if -1 in items:
            raise DataError("a bad row", {}, ValueError("bad"))
        if -3 in items and len(items) > 1:
            raise Refused("PostgreSQL cannot do this now")
        if -2 in items:
            raise Unavailable("PostgreSQL does not answer")
        return [2 * item for item in items]


@pytest.fixture
def database() -> Database:
    return Database()


def waiting(meeting: "GroupCommit[int, int]") -> int:
    return len(meeting._waiting)


def meet(database: Database, meeting: "GroupCommit[int, int]", items: Sequence[int]) -> list[int | BaseException]:
    """Call with all of these while an earlier call is in the database; what each got."""
    database.open.clear()
    first = threading.Thread(target=meeting, args=(100,))
    first.start()
    assert database.entered.wait(60)

    def open_when_all_wait() -> int:
        while waiting(meeting) < len(items):
            pass
        database.open.set()
        return 0

    results = together(*[lambda item=item: meeting(item) for item in items], open_when_all_wait)
    first.join()
    return results[:-1]


def test_a_lone_call_waits_for_nobody(database: Database) -> None:
    meeting = GroupCommit(database.double)
    assert [meeting(1), meeting(2)] == [2, 4]
    assert database.transactions == [[1], [2]]


def test_calls_that_come_meanwhile_share_the_next_transaction(database: Database) -> None:
    meeting = GroupCommit(database.double)
    assert no_errors(meet(database, meeting, range(8))) == [2 * item for item in range(8)]
    assert [len(batch) for batch in database.transactions] == [1, 8]


def test_a_transaction_has_a_largest_size_and_nobody_is_left_behind(database: Database) -> None:
    meeting = GroupCommit(database.double, most=3)
    assert no_errors(meet(database, meeting, range(8))) == [2 * item for item in range(8)]
    assert [len(batch) for batch in database.transactions] == [1, 3, 3, 2]


def test_a_bad_item_fails_alone(database: Database) -> None:
    meeting = GroupCommit(database.double)
    results = meet(database, meeting, [1, -1, 3])
    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], DataError)


def test_what_is_refused_for_all_together_is_tried_for_each_alone(database: Database) -> None:
    assert no_errors(meet(database, GroupCommit(database.double), [1, -3, 3])) == [2, -6, 6]


def test_an_outage_is_everybodys(database: Database) -> None:
    meeting = GroupCommit(database.double)
    results = meet(database, meeting, [-2, -2])
    assert all(isinstance(result, Unavailable) for result in results)
    assert meeting(5) == 10, "nobody waits for a leader who is gone"
