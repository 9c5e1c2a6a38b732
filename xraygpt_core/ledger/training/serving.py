"""Which bundle the GPU workers serve now, and how that changes."""

import re
from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger, Work

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class ServedBundle:
    """The bundle every GPU worker is to load.

    Attributes:
        name: the bundle's name in the models directory.
        run_id: the training run it was promoted from; None for a bundle that was fetched or imported.
    """

    name: str
    run_id: UUID | None


def served_bundle(ledger: Ledger) -> ServedBundle:
    """What a GPU worker must load now."""
    with ledger.work() as work:
        return served_in(work)


def served_in(work: Work) -> ServedBundle:
    """The same, inside a transaction."""
    row = work.row("SELECT served_bundle, served_run FROM installation")
    if row is None or row["served_bundle"] is None:
        return ServedBundle("demo", None)
    return ServedBundle(row["served_bundle"], row["served_run"])


def set_served(work: Work, name: str, run_id: UUID | None) -> None:
    """Serve another bundle from now on, and remember the one before. Running summaries finish as they are."""
    work.run(
        "UPDATE installation SET previous_bundle = COALESCE(served_bundle, 'demo'), previous_run = served_run, "
        "served_bundle = :name, served_run = :run_id WHERE COALESCE(served_bundle, 'demo') <> :name",
        {"name": name, "run_id": run_id},
    )


def start_serving(ledger: Ledger, name: str) -> None:
    """Serve this bundle if none was ever chosen: the setting XRAYGPT_BUNDLE, at the first start."""
    with ledger.work() as work:
        work.run("UPDATE installation SET served_bundle = :name WHERE served_bundle IS NULL", {"name": name})


def serve(ledger: Ledger, name: str) -> ServedBundle:
    """Serve a bundle that is in the models directory by name."""
    with ledger.work() as work:
        run = work.row("SELECT id FROM training_runs WHERE bundle = :name", {"name": name})
        set_served(work, name, run["id"] if run else None)
        record(work, "bundle served", subject=run["id"] if run else None, detail=_named(name))
        return served_in(work)


def roll_back(ledger: Ledger) -> ServedBundle:
    """Serve the bundle that was served before.

    Raises:
        Conflict: there was none.
    """
    with ledger.work() as work:
        row = work.row("SELECT previous_bundle, previous_run FROM installation")
        if row is None or row["previous_bundle"] is None:
            raise Conflict("no other bundle was served before")
        set_served(work, row["previous_bundle"], row["previous_run"])
        record(work, "bundle rolled back", subject=row["previous_run"], detail=_named(row["previous_bundle"]))
        return served_in(work)


def _named(bundle: str) -> dict[str, str] | None:
    """The detail of an audit row: the name, if it could be a bundle's. A person may type anything."""
    return {"bundle": bundle} if _NAME.fullmatch(bundle) else None
