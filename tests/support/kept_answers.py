"""A gateway that dies between an act and the answer that is kept for its repeat."""

from collections.abc import Iterator
from contextlib import contextmanager

from xraygpt_core.ledger.transaction import Ledger


@contextmanager
def no_answer_kept(ledger: Ledger) -> Iterator[None]:
    """There is no room left where the answer is kept, after all that was done."""
    with ledger.work() as work:
        work.run(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full'; END $$"
        )
        work.run("CREATE TRIGGER full_disk BEFORE UPDATE ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION no_room()")
    try:
        yield
    finally:
        with ledger.work() as work:
            work.run("DROP FUNCTION no_room() CASCADE")
