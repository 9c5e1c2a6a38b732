"""Control seals the audit by itself, tells the head outside of the database, and notices what was cut off there."""

import logging
import threading

import pytest
from prometheus_client import REGISTRY

from tests.support.audit_tools import act, check, sealed, unguarded
from tests.support.ledger_tools import one
from workers.audit_sealer import Sealer
from xraygpt_core.ledger.audit.chain import MOST_ROWS
from xraygpt_core.ledger.audit.seal import head_now
from xraygpt_core.ledger.transaction import Ledger


def figure(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def cut() -> float:
    return figure("xraygpt_audit_cut_total")


def test_the_head_is_logged_and_measured(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sealer = Sealer(ledger)
    act(ledger, "study read", "film read")
    assert (sealer.round(), sealer.round()) == (2, 0)
    head = head_now(ledger)
    told = {(line.message, vars(line)["position"], vars(line)["digest"]) for line in caplog.records}
    assert ("audit sealed", 1, head.digest) in told
    assert figure("xraygpt_audit_position") == 1
    assert figure("xraygpt_audit_head") == int(head.digest[:12], 16)


def test_a_round_seals_all_that_waits(ledger: Ledger) -> None:
    with ledger.work() as work:
        work.run(
            "WITH many AS (INSERT INTO audit (what, actor) SELECT 'study read', 'R' FROM generate_series(1, :rows) "
            "RETURNING id) INSERT INTO audit_open SELECT id FROM many",
            {"rows": MOST_ROWS + 5},
        )
    assert Sealer(ledger).round() == MOST_ROWS + 5
    assert check(ledger)[1].seals == 2


@pytest.mark.parametrize("how", ["cut", "rewritten"])
def test_a_chain_that_lost_what_control_saw_is_told(ledger: Ledger, database_url: str, how: str) -> None:
    sealed(ledger, ["study read"])
    sealer, before = Sealer(ledger), cut()
    act(ledger, "film read")
    sealer.round()
    with unguarded(database_url) as connection:
        if how == "cut":
            connection.execute("DELETE FROM audit_seals WHERE position = 2")
        else:
            connection.execute("UPDATE audit_seals SET digest = repeat('a', 64) WHERE position = 2")
    act(ledger, "summary read")
    sealer.round()
    assert cut() - before == 1
    act(ledger, "summary read")
    sealer.round()
    assert cut() - before == 1


def test_two_controls_take_turns_and_miss_nothing(ledger: Ledger) -> None:
    first, second, before = Sealer(ledger), Sealer(ledger), cut()
    for sealer in (first, second, first, second):
        act(ledger, "study read")
        assert sealer.round() == 1
    assert cut() == before
    assert check(ledger)[1].ok


def test_what_is_done_is_sealed_by_itself(ledger: Ledger) -> None:
    died = threading.Event()
    stop = Sealer(ledger).start(died.set)
    try:
        act(ledger, "study read")
        while one(ledger, "SELECT count(*) FROM audit_open"):
            assert not died.wait(0.01)
    finally:
        stop()
    assert not died.is_set()
    assert check(ledger)[1].rows == 1


def test_a_sealer_that_dies_is_told(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Sealer):
        def round(self) -> int:
            raise ZeroDivisionError

    died = threading.Event()
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        stop = Broken(ledger).start(died.set)
        assert died.wait(20)
        stop()
    finally:
        threading.excepthook = hook
