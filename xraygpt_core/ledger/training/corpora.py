"""What a training worker puts together before a run: the run's shards, their texts and their features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.training.features import FeaturesInput, picture_key
from xraygpt_core.ledger.transaction import Ledger, Work

_SHARDS = """
    SELECT s.position AS number, s.texts_key, t.digest, t.addresses_key IS NULL AS signed, r.encoder,
           f.id AS features_id, f.key AS features_key,
           ARRAY(SELECT sha256 FROM training_images WHERE shard_id = t.id AND sha256 IS NOT NULL ORDER BY position)
               AS images,
           ARRAY(SELECT position FROM training_images WHERE shard_id = t.id AND sha256 IS NOT NULL ORDER BY position)
               AS positions,
           (SELECT COALESCE(jsonb_object_agg(position, dropped), '{}') FROM training_images
            WHERE shard_id = t.id AND dropped IS NOT NULL) AS dropped
    FROM training_run_shards s JOIN training_runs r ON r.id = s.run_id JOIN training_shards t ON t.id = s.shard_id
    LEFT JOIN training_features f ON f.shard_id = t.id AND f.encoder = r.encoder
    WHERE s.run_id = :run AND s.position = :number
"""
_NUMBERS = "SELECT position FROM training_run_shards WHERE run_id = :run ORDER BY position"
_TEXTS = "SELECT position, pair FROM training_texts WHERE run_id = :run AND shard = :number"


@dataclass(frozen=True)
class RunShard:
    """A shard of a run, at one moment: a purge may take images out of it, and its features with them.

    Attributes:
        number: its place in the run.
        texts_key: the object with its pairs; None: :func:`signed_pairs_of` has them.
        features_key: the object with its features; None: they are to be made.
        positions: which of its images are trained on, in order.
        images: the hashes of these.
        dropped: why an image is not trained on, by its position (as JSON has it, a string).
    """

    number: int
    texts_key: str | None
    digest: str
    signed: bool
    encoder: str
    features_id: UUID | None
    features_key: str | None
    images: tuple[str, ...]
    positions: tuple[int, ...]
    dropped: dict[str, str]

    @property
    def features(self) -> FeaturesInput:
        """What is to be encoded where there are no features."""
        if self.features_id is None:
            raise AssertionError("a shard with images has a row for its features")
        return FeaturesInput(self.features_id, self.encoder, self.digest, self.signed, self.images)

    def key(self, sha256: str) -> str:
        """Where a picture of it lies in the derived bucket."""
        return picture_key(sha256, signed=self.signed)


def shard_numbers(ledger: Ledger, claim: Claim) -> Sequence[int]:
    """The places of a run's shards; none where nothing was planned.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    values = {"run": claim.subject}
    return fenced(ledger, claim, lambda work: [row["position"] for row in work.rows(_NUMBERS, values)], finish=None)


def run_shard(ledger: Ledger, claim: Claim, number: int) -> tuple[RunShard, dict[int, dict[str, Any]] | None]:
    """A shard as it is now, and its pairs by position where the ledger has them.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    values = {"run": claim.subject, "number": number}

    def body(work: Work) -> tuple[RunShard, dict[int, dict[str, Any]] | None]:
        # The texts first: a purge between the two statements takes an image out whose text is not used then.
        texts = {row["position"]: dict(row["pair"]) for row in work.rows(_TEXTS, values)}
        (row,) = work.rows(_SHARDS, values)
        shard = RunShard(**{**row, "images": tuple(row["images"]), "positions": tuple(row["positions"])})
        return shard, texts if shard.texts_key is None else None

    return fenced(ledger, claim, body, finish=None)
