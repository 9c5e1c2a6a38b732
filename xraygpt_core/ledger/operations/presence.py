"""Which worker processes live, and what each is at: a row for each, which it writes anew every ten seconds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xraygpt_core.ledger.transaction import Ledger, Work


@dataclass(frozen=True)
class Presence:
    """What a worker process says of itself.

    Attributes:
        name: role, process and host.
        kind: its role.
        slots: jobs it can have in hand at once.
        busy: jobs it has in hand.
        tokens_per_s: what it generated since it last said so; None where it generates nothing.
        bundle: what it loaded, with its hash and what it declares (:mod:`xraygpt_core.scope`).
        devices: its GPUs as NVML sees them; None where there is no NVML.
    """

    name: str
    kind: str
    slots: int
    busy: int
    tokens_per_s: float | None = None
    bundle: str | None = None
    bundle_sha256: str | None = None
    scope: dict[str, Any] | None = None
    devices: Sequence[dict[str, Any]] | None = None


@dataclass(frozen=True)
class SeenWorker(Presence):
    """The same, and when it began and was seen last; ``age_seconds`` is how long ago that is."""

    started_at: datetime | None = None
    seen_at: datetime | None = None
    age_seconds: float = 0.0


_SAY = """
    INSERT INTO workers (name, kind, slots, busy, tokens_per_s, bundle, bundle_sha256, scope, devices)
    VALUES (:name, :kind, :slots, :busy, :tokens_per_s, :bundle, :bundle_sha256, CAST(:scope AS jsonb),
            CAST(:devices AS jsonb))
    ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, slots = excluded.slots, busy = excluded.busy,
        tokens_per_s = excluded.tokens_per_s, bundle = excluded.bundle, bundle_sha256 = excluded.bundle_sha256,
        scope = excluded.scope, devices = excluded.devices, seen_at = clock_timestamp()
"""
_GONE = "seen_at <= clock_timestamp() - interval '1 minute'"
_SEEN = f"""
    SELECT name, kind, slots, busy, tokens_per_s, bundle, bundle_sha256, scope, devices, started_at,
           seen_at, GREATEST(extract(epoch FROM clock_timestamp() - seen_at), 0)::float8 AS age_seconds
    FROM workers WHERE NOT {_GONE} ORDER BY kind, name
"""


def announce(ledger: Ledger, presence: Presence) -> None:
    """Say that this worker lives.

    Raises:
        Unavailable: PostgreSQL does not answer.
    """
    values = {name: value for name, value in vars(presence).items() if name not in ("scope", "devices")}
    values |= {name: _json(getattr(presence, name)) for name in ("scope", "devices")}
    with ledger.work() as work:
        work.run(_SAY, values)


def leave(ledger: Ledger, name: str) -> None:
    """This worker ends in good order."""
    with ledger.work() as work:
        work.run("DELETE FROM workers WHERE name = :name", {"name": name})


def seen_in(work: Work) -> list[SeenWorker]:
    """The workers that live: those that were seen within a minute."""
    return [SeenWorker(**row) for row in work.rows(_SEEN)]


def forget_gone(ledger: Ledger) -> int:
    """Remove the rows of workers that ended without a word. Returns how many."""
    with ledger.work() as work:
        return work.run(f"DELETE FROM workers WHERE {_GONE}")


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)
