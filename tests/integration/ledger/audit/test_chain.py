"""The audit's chain: what is written is sealed once, and what is changed afterwards is found and named."""

import threading
from contextlib import closing
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from hypothesis import strategies as st
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from tests.support.audit_tools import WHO, act, check, kept, kinds, sealed, unguarded
from tests.support.ledger_tools import do, one, rows, together
from xraygpt_core.db import libpq_url
from xraygpt_core.ledger.audit.chain import ChainHead
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.audit.seal import head_now, seal
from xraygpt_core.ledger.audit.verify import LATE_SECONDS
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import Settings


def test_a_row_says_who_did_what_to_which_study_and_from_where(ledger: Ledger) -> None:
    study, subject = uuid4(), uuid4()
    act(ledger, "summary read", study=study, subject=subject, detail={"rows": 3})
    (row,) = kept(ledger)
    assert (row["what"], row["actor"], row["address"], row["outcome"]) == ("summary read", "Dr. R", "10.0.0.7", "done")
    assert (row["study_id"], row["subject"], row["detail"]) == (study, subject, {"rows": 3})


def test_what_the_system_does_by_itself_leaves_no_row(ledger: Ledger) -> None:
    with ledger.work() as work:
        record(work, "study read")
    assert kept(ledger) == []


def test_an_act_that_is_rolled_back_leaves_no_row(ledger: Ledger) -> None:
    def fails() -> None:
        with ledger.acting(WHO).work() as work:
            record(work, "study read")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert kept(ledger) == []


@pytest.mark.parametrize("table", ["audit", "audit_seals"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_not_even_the_databases_owner_changes_or_removes_a_row(ledger: Ledger, table: str, statement: str) -> None:
    sealed(ledger, ["study read"])
    with pytest.raises(DBAPIError):
        do(ledger, statement.format(table))
    assert check(ledger)[1].ok


def test_what_was_committed_is_sealed_and_proved(ledger: Ledger) -> None:
    sealed(ledger, ["study read", "film read"], ["summary read"])
    problems, verdict = check(ledger)
    assert (problems, verdict.head.position, verdict.seals, verdict.rows) == ([], 2, 2, 3)
    assert rows(ledger, "SELECT FROM audit_open") == []
    assert seal(ledger) is None


def test_a_row_in_flight_holds_up_nobody_and_comes_with_a_later_seal(ledger: Ledger) -> None:
    with ledger.acting(WHO).work() as slow:
        record(slow, "question asked")
        sealed(ledger, ["study read"])
    assert seal(ledger) is not None
    assert [row["ids"] for row in rows(ledger, "SELECT ids::text FROM audit_seals ORDER BY position")] == [
        f"{{[{number},{number + 1})}}"
        for number in (one(ledger, "SELECT max(id) FROM audit"), one(ledger, "SELECT min(id) FROM audit"))
    ]
    assert check(ledger)[1].ok


def test_one_sealer_at_a_time(ledger: Ledger) -> None:
    act(ledger, "study read")
    with ledger.work() as work:
        work.row("SELECT pg_advisory_xact_lock(:key)", {"key": 0x5345414C})
        assert seal(ledger) is None
    assert seal(ledger) is not None


def test_many_writers_and_killed_sealers_leave_every_row_sealed_once(ledger: Ledger, settings: Settings) -> None:
    over = threading.Event()

    def write() -> None:
        with closing(open_ledger(settings, pool_size=1)) as own:
            for _ in range(25):
                act(own, "study read", "film read")

    def sealer() -> None:
        with closing(open_ledger(settings, pool_size=2)) as own:
            while not over.is_set():
                seal(own)

    def killer() -> None:
        with psycopg.connect(libpq_url(ledger.database.url), autocommit=True) as connection:
            while not over.wait(0.03):  # in the middle of whatever they do
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND query LIKE '%audit_seals%' AND pid <> pg_backend_pid() LIMIT 1"
                )

    def surviving() -> None:
        while not over.is_set():
            together(sealer)  # Unavailable ends one; the next goes on

    threads = [threading.Thread(target=run) for run in (surviving, surviving, killer)]
    for thread in threads:
        thread.start()
    written = together(*[write] * 3)
    over.set()
    for thread in threads:
        thread.join(60)
    while seal(ledger) is not None:
        pass
    assert written == [None] * 3
    problems, verdict = check(ledger)
    assert (problems, verdict.rows) == ([], 150)


@pytest.fixture
def chain(ledger: Ledger, database_url: str) -> str:
    """Four seals over nine rows, whose ids begin where the last test's ended."""
    sealed(ledger, ["study read"], ["film read", "summary read"], ["timeline read"] * 3, ["transcript read"] * 3)
    return database_url


def _ids(ledger: Ledger) -> list[int]:
    return [row["id"] for row in rows(ledger, "SELECT id FROM audit ORDER BY id")]


ROW_CHANGES = (
    "at = at + interval '1 microsecond'",
    "what = what || ' '",
    "actor = 'Dr. Else'",
    "key_id = gen_random_uuid()",
    "session_id = gen_random_uuid()",
    "address = '10.0.0.8'",
    "study_id = gen_random_uuid()",
    "subject = gen_random_uuid()",
    "studies = ARRAY[gen_random_uuid()]",
    "outcome = 'refused'",
    "detail = '{\"rows\": 1.0}'",
)
SEAL_CHANGES = (
    "at = at + interval '1 microsecond'",
    "ids = '{[1,5000000)}'",
    "ids = '{(,)}'",
    "ids = '{}'",
    "rows = rows + 1",
    "row_digests = row_digests || '\\x00'",
    "previous = repeat('a', 64)",
    "digest = repeat('a', 64)",
)


@pytest.mark.parametrize("change", ROW_CHANGES)
def test_a_changed_row_is_named(ledger: Ledger, chain: str, change: str) -> None:
    changed = _ids(ledger)[4]
    with unguarded(chain) as connection:
        connection.execute(f"UPDATE audit SET {change} WHERE id = {changed}".encode())
    problems, _ = check(ledger)
    assert [(found.kind, found.seal, list(found.rows)) for found in problems] == [("row changed", 3, [changed])]


@pytest.mark.parametrize("change", SEAL_CHANGES)
@pytest.mark.parametrize("position", [2, 4])
def test_a_changed_seal_is_named(ledger: Ledger, chain: str, change: str, position: int) -> None:
    with unguarded(chain) as connection:
        connection.execute(f"UPDATE audit_seals SET {change} WHERE position = {position}".encode())
    problems, _ = check(ledger)
    assert position in {found.seal for found in problems if found.kind in ("seal changed", "chain broken")}


@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(st.data())
def test_whatever_is_removed_swapped_or_added_is_named(ledger: Ledger, chain: str, data: st.DataObject) -> None:
    known, ids = head_now(ledger), _ids(ledger)
    row, other = data.draw(st.lists(st.sampled_from(ids), min_size=2, max_size=2, unique=True))
    place, next_place = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=2, unique=True))
    what = data.draw(
        st.sampled_from(["row gone", "rows swapped", "row added", "seal gone", "seals swapped", "tail gone"])
    )
    with unguarded(chain) as connection:
        match what:
            case "row gone":
                connection.execute("DELETE FROM audit WHERE id = %s", [row])
            case "rows swapped":
                _swap(connection, "audit", "id", row, other)
            case "row added":
                connection.execute("INSERT INTO audit (what, actor) VALUES ('study read', 'Dr. Else')")
            case "seal gone":
                connection.execute("DELETE FROM audit_seals WHERE position = %s", [place])
            case "seals swapped":
                _swap(connection, "audit_seals", "position", place, next_place)
            case "tail gone":  # with the rows, as one who knows how to
                connection.execute("DELETE FROM audit WHERE id > %s", [ids[2]])
                connection.execute("DELETE FROM audit_seals WHERE position > 2")
    problems, _ = check(ledger, seen=known)
    expected = {
        "row gone": ("row missing", [row]),
        "rows swapped": ("row changed", None),
        "row added": ("row never sealed", None),
        "seal gone": ("seal missing", None),
        "seals swapped": ("seal changed", None),
        "tail gone": ("tail missing", None),
    }
    kind, named = expected[what]
    if what == "seal gone" and place == 4:
        kind = "tail missing"
    assert kind in kinds(problems)
    assert named is None or named in [list(found.rows) for found in problems]
    assert what != "rows swapped" or {row, other} == {one for found in problems for one in found.rows}
    _restore(ledger, chain)


def _swap(connection: psycopg.Connection[object], table: str, column: str, one: int, other: int) -> None:
    """Two rows change their names; nothing else of them changes."""
    statement = sql.SQL("UPDATE {table} SET {column} = %s WHERE {column} = %s").format(
        table=sql.Identifier(table), column=sql.Identifier(column)
    )
    if table == "audit":
        connection.execute("ALTER TABLE audit ALTER id SET GENERATED BY DEFAULT")
    for new, old in ((-1, one), (one, other), (other, -1)):
        connection.execute(statement, [new, old])


def _restore(ledger: Ledger, chain: str) -> None:
    """A chain as it was: four seals over nine new rows."""
    with unguarded(chain) as connection:
        connection.execute("DELETE FROM audit")
        connection.execute("DELETE FROM audit_seals")
    sealed(ledger, ["study read"], ["film read", "summary read"], ["timeline read"] * 3, ["transcript read"] * 3)


def test_a_chain_that_was_written_anew_is_not_the_one_that_was_seen(ledger: Ledger, chain: str) -> None:
    known = head_now(ledger)
    _restore(ledger, chain)
    assert check(ledger)[1].ok
    assert kinds(check(ledger, seen=known)[0]) == {"head rewritten"}


def test_a_check_may_begin_behind_a_head_that_was_proved(ledger: Ledger, chain: str) -> None:
    with ledger.work() as work:
        row = work.row("SELECT digest FROM audit_seals WHERE position = 2")
    assert row is not None
    base = ChainHead(2, row["digest"])
    problems, verdict = check(ledger, base=base)
    assert (problems, verdict.seals, verdict.rows) == ([], 2, 6)
    assert kinds(check(ledger, base=ChainHead(2, "a" * 64))[0]) >= {"head rewritten"}


def test_a_row_that_was_removed_before_its_seal_is_named(ledger: Ledger, database_url: str) -> None:
    act(ledger, "study read", "film read")
    first = _ids(ledger)[0]
    with unguarded(database_url) as connection:
        connection.execute("DELETE FROM audit WHERE id = %s", [first])
    assert seal(ledger) is not None
    problems, _ = check(ledger)
    assert [(found.kind, list(found.rows)) for found in problems] == [("row missing", [first])]


def test_a_row_that_nobody_seals_is_told_after_a_minute(ledger: Ledger) -> None:
    act(ledger, "study read")
    assert check(ledger)[1].ok
    late = (
        "INSERT INTO audit (what, actor, at) VALUES ('film read', 'R', clock_timestamp() - make_interval(secs => :s))"
    )
    with ledger.work() as work:
        work.run(
            f"WITH one AS ({late} RETURNING id) INSERT INTO audit_open SELECT id FROM one", {"s": LATE_SECONDS + 1}
        )
    assert kinds(check(ledger)[0]) == {"row waits"}
