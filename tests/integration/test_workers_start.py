"""What a worker process makes sure of before it touches anything."""

from typing import TYPE_CHECKING, Any

import pytest

from migrations.upgrade import head
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.guard import check_fingerprint, check_schema
from xraygpt_core.models import SCHEMA_VERSION

if TYPE_CHECKING:
    from tests.integration.conftest import Bench
else:
    Bench = Any


def test_the_schema_this_code_knows_is_the_newest_migration() -> None:
    assert head() == SCHEMA_VERSION


def test_a_migrated_database_is_accepted(ledger: Ledger) -> None:
    check_schema(ledger)


@pytest.mark.parametrize("version", ["0000", "9999"])
def test_another_schema_is_refused(ledger: Ledger, version: str) -> None:
    with ledger.work() as work:
        work.run("UPDATE alembic_version SET version_num = :version", {"version": version})
    try:
        with pytest.raises(ConfigurationError, match=version):
            check_schema(ledger)
    finally:
        with ledger.work() as work:
            work.run("UPDATE alembic_version SET version_num = :version", {"version": SCHEMA_VERSION})


def test_the_first_process_names_the_key_and_another_key_is_refused(ledger: Ledger) -> None:
    check_fingerprint(ledger, "first")
    check_fingerprint(ledger, "first")
    with pytest.raises(ConfigurationError, match="restore the key"):
        check_fingerprint(ledger, "second")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("XRAYGPT_HMAC_KEY", "6" * 64, "restore the key"),
        ("XRAYGPT_DERIVED_BUCKET", "no-such-bucket", "XRAYGPT_DERIVED_BUCKET"),
        ("XRAYGPT_LEASE_SECONDS", "soon", "XRAYGPT_LEASE_SECONDS"),
        ("XRAYGPT_DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:9/nowhere", "PostgreSQL does not answer"),
    ],
)
def test_a_process_that_cannot_work_says_why_in_one_line(bench: Bench, variable: str, value: str, said: str) -> None:
    check_fingerprint(bench.ledger, "of another key") if variable == "XRAYGPT_HMAC_KEY" else None
    assert bench.start("ingest", **{variable: value}).wait(60) == 1
    (line,) = [line for line in bench.log().splitlines() if "CRITICAL" in line]
    assert said in line
    assert "Traceback" not in bench.log()
