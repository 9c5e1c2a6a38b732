"""A study is purged: its films and texts are taken out of every run that is not trained yet."""

from uuid import UUID

from xraygpt_core.ledger.training.features import picture_key
from xraygpt_core.ledger.training.plan import PURGED
from xraygpt_core.ledger.transaction import Work

# Also where another study has the same picture: nothing says whose text stands beside it.
_FORGET_IMAGES = """
    WITH gone AS (
        SELECT shard_id, position, sha256 FROM training_images WHERE sha256 = ANY (ARRAY(
            SELECT normalised_sha256 FROM images WHERE study_id = :study AND normalised_sha256 IS NOT NULL))
        ORDER BY shard_id, position FOR UPDATE
    )
    UPDATE training_images i SET sha256 = NULL, dropped = :purged FROM gone
    WHERE i.shard_id = gone.shard_id AND i.position = gone.position
    RETURNING i.shard_id, i.position, gone.sha256
"""
_FORGET_TEXTS = """
    DELETE FROM training_texts t USING training_run_shards s,
        unnest(CAST(:shards AS uuid[]), CAST(:positions AS int[])) AS gone (shard_id, position)
    WHERE s.run_id = t.run_id AND s.position = t.shard AND s.shard_id = gone.shard_id AND t.position = gone.position
"""
_FORGET_FEATURES = """
    WITH gone AS (
        SELECT id, key FROM training_features WHERE shard_id = ANY (CAST(:shards AS uuid[])) ORDER BY id FOR UPDATE
    )
    UPDATE training_features f SET key = NULL, encoded_at = NULL, left_to_trainer = true FROM gone
    WHERE f.id = gone.id RETURNING gone.key
"""


def forget_study(work: Work, study_id: UUID) -> list[str]:
    """Take a study's films and texts out of the runs, before the study's own rows are emptied.

    Returns:
        The objects of the derived bucket that are to be deleted: films, and features that hold theirs. Features are
        made again, without them, where a run still needs them.
    """
    gone = work.rows(_FORGET_IMAGES, {"study": study_id, "purged": PURGED})
    if not gone:
        return []
    shards = [row["shard_id"] for row in gone]
    work.run(_FORGET_TEXTS, {"shards": shards, "positions": [row["position"] for row in gone]})
    features = [row["key"] for row in work.rows(_FORGET_FEATURES, {"shards": shards})]
    # Those of ingest are the purge's own: another study may have the same picture.
    films = [picture_key(row["sha256"], signed=False) for row in gone]
    return sorted({*films, *(key for key in features if key is not None)})
