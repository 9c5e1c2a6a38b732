"""Which bundle the GPU workers serve now, and how that changes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ImageRole

_EVIDENCE = """
    SELECT first_bundle, first_sha256, second_bundle, second_sha256,
           (SELECT count(*) FROM shadow_drafts WHERE comparison_id = c.id AND state = 'open') AS open
    FROM comparisons c WHERE c.id = :id
"""
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
    return _bundle(work.row("SELECT served_bundle, served_run FROM installation"))


def _bundle(row: RowMapping | None) -> ServedBundle:
    if row is None or row["served_bundle"] is None:
        return ServedBundle("demo", None)
    return ServedBundle(row["served_bundle"], row["served_run"])


def served_with_images(work: Work) -> tuple[ServedBundle, frozenset[ImageRole] | None]:
    """The same, and the films that the bundle looks at; None before a GPU worker has loaded it."""
    row = work.row("SELECT served_bundle, served_run, served_images FROM installation")
    images = None if row is None else row["served_images"]
    return _bundle(row), None if images is None else frozenset(ImageRole(role) for role in images)


def note_images(ledger: Ledger, name: str, images: Sequence[ImageRole], *, clinical: bool | None = None) -> None:
    """A GPU worker has loaded the served bundle of this name, and these are the films that it looks at.

    Args:
        clinical: it reads the hospital's words about them; None: not known.
    """
    with ledger.work() as work:
        work.run(
            "UPDATE installation SET served_images = :images, served_clinical = :clinical "
            "WHERE COALESCE(served_bundle, 'demo') = :name AND (served_images, served_clinical) "
            "IS DISTINCT FROM (CAST(:images AS text[]), CAST(:clinical AS boolean))",
            {"name": name, "images": list(images), "clinical": clinical},
        )


def set_served(work: Work, name: str, run_id: UUID | None) -> None:
    """Serve another bundle from now on, and remember the one before. Running summaries finish as they are."""
    work.run(
        "UPDATE installation SET previous_bundle = COALESCE(served_bundle, 'demo'), previous_run = served_run, "
        "served_bundle = :name, served_run = :run_id, served_images = NULL, "
        "served_clinical = NULL "
        "WHERE COALESCE(served_bundle, 'demo') <> :name",
        {"name": name, "run_id": run_id},
    )


def start_serving(ledger: Ledger, name: str) -> None:
    """Serve this bundle if none was ever chosen: the setting XRAYGPT_BUNDLE, at the first start."""
    with ledger.work() as work:
        work.run("UPDATE installation SET served_bundle = :name WHERE served_bundle IS NULL", {"name": name})


def serve(ledger: Ledger, name: str, because: UUID | None = None) -> ServedBundle:
    """Serve a bundle that is in the models directory by name.

    Args:
        because: the finished comparison that speaks for it, which the audit then names.

    Raises:
        NotFound: there is no such comparison. Conflict: it is of other bundles, or has texts still to be written.
    """
    with ledger.work() as work:
        evidence = {} if because is None else _evidence(work, name, because)
        run = work.row("SELECT id FROM training_runs WHERE bundle = :name", {"name": name})
        set_served(work, name, run["id"] if run else None)
        record(work, "bundle served", subject=run["id"] if run else None, detail=_named(name, **evidence))
        return served_in(work)


def _evidence(work: Work, name: str, comparison_id: UUID) -> dict[str, str]:
    """What the audit keeps of the comparison that a bundle is served because of."""
    row = work.found(_EVIDENCE, {"id": comparison_id}, f"there is no comparison {comparison_id}")
    hashes = {row["first_bundle"]: row["first_sha256"], row["second_bundle"]: row["second_sha256"]}
    if name not in hashes:
        raise Conflict(f"the comparison {comparison_id} is of {' and '.join(hashes)}: it says nothing about {name!r}")
    if row["open"]:
        raise Conflict(
            f"the comparison {comparison_id} is unfinished, {row['open']} texts are missing: "
            "the command that began it goes on"
        )
    return {"because": str(comparison_id), "bundle_sha256": hashes[name]}


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


def _named(bundle: str, **evidence: str) -> dict[str, str] | None:
    """The detail of an audit row: the name, if it could be a bundle's. A person may type anything."""
    return {"bundle": bundle, **evidence} if _NAME.fullmatch(bundle) else None
