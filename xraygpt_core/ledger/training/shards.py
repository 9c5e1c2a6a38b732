"""A shard of images: each of them is prepared, or dropped with a reason. What was done stays done, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.training.advance import shard_prepared
from xraygpt_core.ledger.transaction import Ledger, Work

_SHARD = "SELECT id AS shard_id, images, addresses_key FROM training_shards WHERE id = :id"
_OPEN = """
    SELECT position FROM training_images WHERE shard_id = :id AND sha256 IS NULL AND dropped IS NULL ORDER BY position
"""
_NOTE = """
    UPDATE training_images i SET sha256 = n.sha256, dropped = n.dropped
    FROM unnest(CAST(:positions AS int[]), CAST(:images AS text[]), CAST(:reasons AS text[]))
        AS n (position, sha256, dropped)
    WHERE i.shard_id = :id AND i.position = n.position AND i.sha256 IS NULL AND i.dropped IS NULL
"""
_PREPARED = """
    UPDATE training_shards SET prepared_at = clock_timestamp() WHERE id = :id AND NOT EXISTS (
        SELECT FROM training_images WHERE shard_id = :id AND sha256 IS NULL AND dropped IS NULL)
"""


@dataclass(frozen=True)
class ShardInput:
    """A shard, and the positions of its images that nothing is known of yet."""

    shard_id: UUID
    images: int
    addresses_key: str
    open: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of an image: the hash of its normalised picture, or why it is dropped (a reason code, or a word)."""

    sha256: str | None = None
    dropped: str | None = None


def shard_input(ledger: Ledger, claim: Claim) -> ShardInput:
    """What is still to be prepared.

    Raises:
        LeaseLost: the job is no longer ours, or the shard is gone.
    """

    def body(work: Work) -> ShardInput:
        row = work.row(_SHARD, {"id": claim.subject})
        if row is None or row["addresses_key"] is None:
            raise LeaseLost(f"shard {claim.subject} is gone")
        return ShardInput(**row, open=tuple(one["position"] for one in work.rows(_OPEN, {"id": claim.subject})))

    return fenced(ledger, claim, body, finish=None)


def note_images(ledger: Ledger, claim: Claim, outcomes: Mapping[int, Outcome]) -> None:
    """Keep what became of some images, by position. The pictures lie in the derived bucket by now.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    values = {
        "id": claim.subject,
        "positions": list(outcomes),
        "images": [one.sha256 for one in outcomes.values()],
        "reasons": [one.dropped for one in outcomes.values()],
    }
    fenced(ledger, claim, lambda work: work.run(_NOTE, values), finish=None)


def complete_shard(ledger: Ledger, claim: Claim) -> None:
    """All images of the shard are prepared or dropped: let the runs go on that wait for it.

    Raises:
        LeaseLost: the job is no longer ours, or an image is still open; nothing was written.
    """

    def body(work: Work) -> None:
        if not work.run(_PREPARED, {"id": claim.subject}):
            raise LeaseLost(f"shard {claim.subject} is not whole yet")
        shard_prepared(work, claim.subject, ledger.settings.max_attempts)

    fenced(ledger, claim, body)
