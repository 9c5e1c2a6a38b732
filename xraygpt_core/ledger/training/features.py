"""The features of a shard by one encoder: made once, by whoever is first, and shared by every run that needs them."""

from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.errors import LeaseLost, TrainingError
from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.training.advance import features_ended
from xraygpt_core.ledger.transaction import Ledger, Work

_INPUT = """
    SELECT f.id AS features_id, f.encoder, s.digest, s.addresses_key IS NULL AS signed,
           ARRAY(SELECT sha256 FROM training_images WHERE shard_id = s.id AND sha256 IS NOT NULL ORDER BY position)
               AS images
    FROM training_features f JOIN training_shards s ON s.id = f.shard_id
"""
# The row is locked before its images are counted: a purge changes both, in the same order.
_KEEP = """
    UPDATE training_features SET key = :key, encoded_at = clock_timestamp() WHERE id = :id AND encoded_at IS NULL
    RETURNING shard_id, encoder
"""
_COUNT = "SELECT count(*) AS images FROM training_images WHERE shard_id = :shard AND sha256 IS NOT NULL"
_LEAVE = """
    UPDATE training_features SET left_to_trainer = encoded_at IS NULL WHERE id = :id RETURNING shard_id, encoder
"""
# Unless somebody made them again meanwhile.
_LOSE = """
    UPDATE training_features SET key = NULL, encoded_at = NULL, left_to_trainer = true WHERE id = :id AND key = :key
"""
_LOAD = "UPDATE installation SET served_encoder = :encoder WHERE served_encoder IS DISTINCT FROM :encoder"


@dataclass(frozen=True)
class FeaturesInput:
    """What is to be encoded.

    Attributes:
        encoder: by which encoder, as a digest.
        digest: of the shard.
        signed: whether the pictures are those of the ledger's studies, not of a set.
        images: the hashes of the pictures, in order.
    """

    features_id: UUID
    encoder: str
    digest: str
    signed: bool
    images: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Where the pictures lie in the derived bucket."""
        return tuple(picture_key(sha256, signed=self.signed) for sha256 in self.images)


def picture_key(sha256: str, *, signed: bool) -> str:
    """Where a normalised picture lies: made by ingest for a study, or for a set alone."""
    return f"normalised/{sha256[:2]}/{sha256}.png" if signed else f"training/images/{sha256[:2]}/{sha256}.png"


def features_input(ledger: Ledger, claim: Claim) -> FeaturesInput:
    """What is to be encoded.

    Raises:
        LeaseLost: the job is no longer ours, or the shard is gone.
    """

    def body(work: Work) -> FeaturesInput:
        row = work.row(f"{_INPUT} WHERE f.id = :id", {"id": claim.subject})
        if row is None:
            raise LeaseLost(f"features {claim.subject} are gone")
        return FeaturesInput(**{**row, "images": tuple(row["images"])})

    return fenced(ledger, claim, body, finish=None)


def complete_features(ledger: Ledger, claim: Claim, given: FeaturesInput, key: str) -> bool:
    """The features lie under this key: let the runs go on that wait for them. False: others were there already.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
        TrainingError: an image was purged meanwhile; the features are to be made again.
    """

    def body(work: Work) -> bool:
        kept = _keep(work, given, key)
        _ended(work, claim, ledger.settings.max_attempts)
        return kept

    return fenced(ledger, claim, body)


def leave_features(ledger: Ledger, claim: Claim) -> None:
    """This encoder is not served: the training worker makes the features before its run.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    fenced(ledger, claim, lambda work: _ended(work, claim, ledger.settings.max_attempts))


def keep_features(ledger: Ledger, train: Claim, given: FeaturesInput, key: str) -> bool:
    """The same for the training worker, as the owner of its run. False: others were there already.

    Raises:
        LeaseLost, TrainingError: as :func:`complete_features`.
    """
    return fenced(ledger, train, lambda work: _keep(work, given, key), finish=None)


def lose_features(ledger: Ledger, train: Claim, features_id: UUID, key: str) -> None:
    """The derived bucket does not hold them any more: they are to be made again, by the owner of this run.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    fenced(ledger, train, lambda work: work.run(_LOSE, {"id": features_id, "key": key}), finish=None)


def load_encoder_digest(ledger: Ledger, encoder: str | None) -> None:
    """A GPU worker has loaded this encoder, or none: what it can encode is queued for it from now on."""
    with ledger.work() as work:
        work.run(_LOAD, {"encoder": encoder})


def _keep(work: Work, given: FeaturesInput, key: str) -> bool:
    row = work.row(_KEEP, {"id": given.features_id, "key": key})
    if row is None:
        return False
    left = work.row(_COUNT, {"shard": row["shard_id"]})
    if left is None or left["images"] != len(given.images):
        raise TrainingError("an image of this shard was purged while it was encoded")
    return True


def _ended(work: Work, claim: Claim, max_attempts: int) -> None:
    row = work.row(_LEAVE, {"id": claim.subject})
    if row is not None:
        features_ended(work, row["shard_id"], row["encoder"], max_attempts)
