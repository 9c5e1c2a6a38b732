"""An object was deleted from the bucket: its timeline says so, its summary stays."""

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger

_NOTE_DELETED = """
    WITH gone AS (
        UPDATE object_keys SET deleted_at = clock_timestamp(), sequencer = COALESCE(CAST(:sequencer AS text), sequencer)
        WHERE bucket = :bucket AND key = :key AND deleted_at IS NULL
          AND NOT COALESCE(rpad(sequencer, 1024, '0') COLLATE "C"
                           > rpad(CAST(:sequencer AS text), 1024, '0') COLLATE "C", false)
        RETURNING image_id
    )
    INSERT INTO timeline (study_id, image_id, what, who)
    SELECT i.study_id, i.id, 'object deleted', 'event' FROM gone JOIN images i ON i.id = gone.image_id
"""


def note_deleted(ledger: Ledger, bucket: str, key: str, sequencer: str | None = None) -> None:
    """Note on the timeline that an object was deleted from the bucket.

    Args:
        sequencer: of the event; contents that came later, as far as sequencers tell, are still there.
    """
    with ledger.work() as work:
        gone = work.run(_NOTE_DELETED, {"bucket": bucket, "key": key, "sequencer": sequencer})
        record(work, "deletion announced", detail={"images": gone})
