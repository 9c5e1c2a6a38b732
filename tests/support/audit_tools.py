"""What the audit's tests share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.ledger_tools import rows
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.audit.chain import ChainHead, ChainProblem, Verdict
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.audit.seal import seal
from xraygpt_core.ledger.audit.verify import verified
from xraygpt_core.ledger.transaction import Ledger

WHO = Actor("Dr. R", address="10.0.0.7")


def act(ledger: Ledger, *what: str, **about: Any) -> None:
    """One transaction with these acts."""
    with ledger.acting(WHO).work() as work:
        for one in what:
            record(work, one, **about)


def sealed(ledger: Ledger, *batches: Sequence[str]) -> None:
    """One seal for each batch of acts."""
    for batch in batches:
        act(ledger, *batch)
        assert seal(ledger) is not None


def check(
    ledger: Ledger, base: ChainHead | None = None, seen: ChainHead | None = None
) -> tuple[list[ChainProblem], Verdict]:
    """What is wrong, and the verdict; the check itself leaves a row only if somebody is acting."""
    told = list(verified(ledger, base=base, seen=seen))
    verdict = told[-1]
    assert isinstance(verdict, Verdict)
    problems = [one for one in told if isinstance(one, ChainProblem)]
    assert verdict.ok == (not problems)
    return problems, verdict


def kinds(problems: Sequence[ChainProblem]) -> set[str]:
    return {one.kind for one in problems}


@contextmanager
def unguarded(url: str) -> Iterator[psycopg.Connection[Any]]:
    """As whoever owns the tables may: with their triggers switched off."""
    with psycopg.connect(url) as connection:
        for table in (b"audit", b"audit_seals"):
            connection.execute(b"ALTER TABLE " + table + b" DISABLE TRIGGER USER")
        yield connection
        for table in (b"audit", b"audit_seals"):
            connection.execute(
                b"ALTER TABLE " + table + b" ENABLE ALWAYS TRIGGER audit_is_kept, "
                b"ENABLE ALWAYS TRIGGER audit_is_kept_together"
            )


def kept(ledger: Ledger) -> list[dict[str, Any]]:
    """The whole audit, oldest first."""
    return rows(ledger, "SELECT * FROM audit ORDER BY id")


def acts(ledger: Ledger) -> list[str]:
    """What was done, in its order."""
    return [row["what"] for row in kept(ledger)]
