"""What a process checks before it touches the ledger: its schema and its pseudonymisation key."""

from datetime import datetime

from sqlalchemy.exc import ProgrammingError

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.models import SCHEMA_VERSION


def check_schema(ledger: Ledger) -> None:
    """The database is migrated to exactly the schema this code knows.

    Raises:
        ConfigurationError: it is older (or empty), or newer.
    """
    try:
        with ledger.work() as work:
            row = work.row("SELECT version_num FROM alembic_version")
    except ProgrammingError:
        row = None
    if row is None:
        raise ConfigurationError("the database has no schema yet: run `python -m migrations` first")
    if row["version_num"] != SCHEMA_VERSION:
        raise ConfigurationError(
            f"the database's schema is {row['version_num']}, this version of XrayGPT needs {SCHEMA_VERSION}: "
            "run its `python -m migrations`, or start the version that fits"
        )


_FINGERPRINTS = "SELECT hmac_fingerprint, hmac_old_fingerprint FROM installation WHERE id = 1"


def check_fingerprint(ledger: Ledger, fingerprint: str, former: str | None = None) -> None:
    """The pseudonymisation key is the one this database was filled with. The first process to start sets it.

    Args:
        former: the fingerprint of the key before, if that is known.

    Raises:
        ConfigurationError: it is another key, or it is being replaced and the one before is not known.
    """
    with ledger.work() as work:
        row = work.row(_FINGERPRINTS)
        if row is not None and row["hmac_fingerprint"] is None:
            work.run(
                "UPDATE installation SET hmac_fingerprint = :fingerprint WHERE id = 1 AND hmac_fingerprint IS NULL",
                {"fingerprint": fingerprint},
            )
            row = work.row(_FINGERPRINTS)
    if row is None:
        raise ConfigurationError("the database has no installation row: run `python -m migrations`")
    if row["hmac_fingerprint"] != fingerprint:
        raise ConfigurationError(
            "the pseudonymisation key is not the one this database was filled with "
            f"(fingerprint {fingerprint}, not {row['hmac_fingerprint']}): restore the key from its back-up, "
            "or replace it in order (`xraygpt rotate pseudonyms`)"
        )
    if row["hmac_old_fingerprint"] not in (None, former):
        raise ConfigurationError(
            "the pseudonymisation key is being replaced, and some rows are known under the one before "
            f"(fingerprint {row['hmac_old_fingerprint']}): set XRAYGPT_HMAC_OLD_KEY_FILE"
        )


_SEALED_BY = "SELECT sealing_fingerprint FROM installation WHERE id = 1"


def check_sealing_key(ledger: Ledger, fingerprint: str, former: str | None = None) -> None:
    """The sealing key is the one this database's numbers are sealed with. The first process to start sets it.

    Args:
        former: the fingerprint of the key that it replaces, if that is known.

    Raises:
        ConfigurationError: it is another key.
    """
    with ledger.work() as work:
        work.run(
            "UPDATE installation SET sealing_fingerprint = :key "
            "WHERE id = 1 AND (sealing_fingerprint IS NULL OR sealing_fingerprint = CAST(:former AS text))",
            {"key": fingerprint, "former": former},
        )
        row = work.row(_SEALED_BY)
    if row is None or row["sealing_fingerprint"] != fingerprint:
        raise ConfigurationError(
            "the sealing key is not the one this database's numbers are sealed with "
            f"(fingerprint {fingerprint}, not {row and row['sealing_fingerprint']}): restore the key from its back-up, "
            "or replace it in order (`xraygpt rotate numbers`)"
        )


def installed_at(ledger: Ledger) -> datetime:
    """When this database was set up. A sweep leaves older objects of the bucket alone: they were never announced."""
    with ledger.work() as work:
        row = work.row("SELECT created_at FROM installation WHERE id = 1")
    if row is None:
        raise ConfigurationError("the database has no installation row: run `python -m migrations`")
    moment: datetime = row["created_at"]
    return moment
