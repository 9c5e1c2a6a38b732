"""Planning a run: its sets are read and checked once, and become shards of images and their texts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.errors import LeaseLost
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.training.advance import demand, prepared, revive
from xraygpt_core.ledger.training.chain import tuned_encoders
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind

PURGED = "purged"  # why an image is not trained on: its study was purged

# As a purge: it comes wholly before the plan, and then its pictures are gone, or wholly after, and then finds the rows.
_TAKE_TURNS = "SELECT pg_advisory_xact_lock(1347768903)"

_INPUT = "SELECT stage, config, base_bundle FROM training_runs WHERE id = :id"
_ADD_SHARDS = """
    INSERT INTO training_shards (id, digest, images, addresses_key)
    VALUES (:id, :digest, :images, :addresses_key) ON CONFLICT DO NOTHING
"""
_KNOWN = "SELECT id, digest, prepared_at FROM training_shards WHERE digest = ANY (CAST(:digests AS text[]))"
_ADD_IMAGES = """
    INSERT INTO training_images (shard_id, position)
    SELECT :shard, position FROM generate_series(0, :images - 1) AS position ON CONFLICT DO NOTHING
"""
_ADD_SIGNED = """
    INSERT INTO training_images (shard_id, position, sha256)
    SELECT :shard, position - 1, sha256 FROM unnest(CAST(:images AS text[])) WITH ORDINALITY AS i (sha256, position)
    ON CONFLICT DO NOTHING
"""
_GONE = """
    UPDATE training_images i SET sha256 = NULL, dropped = :purged WHERE i.shard_id = :shard AND i.sha256 IS NOT NULL
      AND NOT EXISTS (SELECT FROM images WHERE normalised_sha256 = i.sha256)
"""
_PREPARED = """
    UPDATE training_shards SET prepared_at = clock_timestamp() WHERE id = :shard AND prepared_at IS NULL
"""
_LINK = """
    INSERT INTO training_run_shards (run_id, position, shard_id, texts_key)
    VALUES (:run, :position, :shard, :texts_key)
"""
_ADD_TEXTS = """
    INSERT INTO training_texts (run_id, shard, position, pair)
    SELECT :run, :position, i.position, p.pair
    FROM jsonb_array_elements(CAST(:pairs AS jsonb)) WITH ORDINALITY AS p (pair, number)
    JOIN training_images i ON i.shard_id = :shard AND i.position = p.number - 1 AND i.sha256 IS NOT NULL
"""
_PLANNED = """
    UPDATE training_runs SET state = 'preparing', encoder = :encoder, pairs = :pairs, problem = :problem,
           problems_key = :problems_key WHERE id = :run AND state = 'planning'
"""
_PROBLEMS = "UPDATE training_runs SET problem = :problem, problems_key = :problems_key WHERE id = :run"


@dataclass(frozen=True)
class PlanInput:
    """What is to be planned.

    Attributes:
        base_bundle: the bundle the first run of the chain started from.
        tuned_encoders: results of the runs before this one that changed its encoder, oldest first, in the derived
            bucket.
    """

    run_id: UUID
    stage: str
    config: dict[str, Any]
    base_bundle: str
    tuned_encoders: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedShard:
    """Some images in an order, and what is said about them.

    Attributes:
        digest: names the images: of their addresses and versions, or of their own hashes. Runs share what is equal.
        images: how many.
        addresses_key: the object with their addresses; None where they are the ledger's own.
        texts_key: the object with the pairs, in the same order; None where ``pairs`` holds them.
        signed: the hashes of the ledger's own images.
        pairs: what is said about these, in the same order.
    """

    digest: str
    images: int
    addresses_key: str | None = None
    texts_key: str | None = None
    signed: tuple[str, ...] = ()
    pairs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A run whose sets are sound.

    Attributes:
        encoder: the digest of the encoder whose features it takes.
        problem: what was left out, in our own words; None: nothing.
        problems_key: the object that lists it.
    """

    encoder: str
    shards: tuple[PlannedShard, ...]
    problem: str | None = None
    problems_key: str | None = None


def plan_input(ledger: Ledger, claim: Claim) -> PlanInput:
    """The run that is to be planned.

    Raises:
        LeaseLost: the job is no longer ours, or the run is gone.
    """

    def body(work: Work) -> PlanInput:
        row = work.row(_INPUT, {"id": claim.subject})
        if row is None:
            raise LeaseLost(f"training run {claim.subject} is gone")
        return PlanInput(claim.subject, **row, tuned_encoders=tuned_encoders(work, claim.subject))

    return fenced(ledger, claim, body, finish=None)


def problems_of(ledger: Ledger, claim: Claim) -> tuple[str | None, str | None]:
    """What is known of the problems of a run's sets, and the object that lists them.

    Raises:
        LeaseLost: the job is no longer ours.
    """

    def body(work: Work) -> tuple[str | None, str | None]:
        row = work.row("SELECT problem, problems_key FROM training_runs WHERE id = :run", {"run": claim.subject})
        return (None, None) if row is None else (row["problem"], row["problems_key"])

    return fenced(ledger, claim, body, finish=None)


def keep_problems(ledger: Ledger, claim: Claim, problem: str, problems_key: str | None) -> None:
    """What is wrong with the run's sets, and the object that lists it.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    values = {"run": claim.subject, "problem": problem, "problems_key": problems_key}
    fenced(ledger, claim, lambda work: work.run(_PROBLEMS, values), finish=None)


def complete_plan(ledger: Ledger, claim: Claim, plan: Plan) -> None:
    """Write the shards that are new and their jobs, and let the run go on: in one transaction.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        if any(shard.addresses_key is None for shard in plan.shards):
            work.row(_TAKE_TURNS)
        known = _shards(work, plan.shards, ledger.settings.max_attempts)
        for position, shard in enumerate(plan.shards):
            where = {"run": claim.subject, "position": position, "shard": known[shard.digest]}
            work.run(_LINK, where | {"texts_key": shard.texts_key})
            if shard.texts_key is None:
                work.run(_ADD_TEXTS, where | {"pairs": json.dumps(shard.pairs)})
        values = {"run": claim.subject, "encoder": plan.encoder, "pairs": sum(one.images for one in plan.shards)}
        values |= {"problem": plan.problem, "problems_key": plan.problems_key}
        if not work.run(_PLANNED, values):
            raise LeaseLost(f"training run {claim.subject} is not planned any more")
        prepared(work, claim.subject, plan.encoder, ledger.settings.max_attempts)

    fenced(ledger, claim, body)


def _shards(work: Work, shards: Sequence[PlannedShard], max_attempts: int) -> dict[str, UUID]:
    """The ids of these shards by digest: the new ones are written, and what is not prepared has a job."""
    by_digest = {shard.digest: shard for shard in shards}
    for shard in sorted(by_digest.values(), key=lambda one: one.digest):
        shard_id, values = new_id(), {"digest": shard.digest, "images": shard.images}
        if work.run(_ADD_SHARDS, values | {"id": shard_id, "addresses_key": shard.addresses_key}):
            _images(work, shard_id, shard)
    known = {row["digest"]: row for row in work.rows(_KNOWN, {"digests": list(by_digest)})}
    open_shards = [row["id"] for row in known.values() if row["prepared_at"] is None]
    if open_shards:
        demand(work, JobKind.PREPARE, open_shards, max_attempts)
        rows = work.rows(_KNOWN, {"digests": list(by_digest)})
        revive(work, JobKind.PREPARE, [row["id"] for row in rows if row["prepared_at"] is None])
    for digest, row in known.items():
        if by_digest[digest].addresses_key is None:
            work.run(_GONE, {"shard": row["id"], "purged": PURGED})
    return {digest: row["id"] for digest, row in known.items()}


def _images(work: Work, shard_id: UUID, shard: PlannedShard) -> None:
    if shard.addresses_key is None:
        work.run(_ADD_SIGNED, {"shard": shard_id, "images": list(shard.signed)})
        work.run(_PREPARED, {"shard": shard_id})
    else:
        work.run(_ADD_IMAGES, {"shard": shard_id, "images": shard.images})
