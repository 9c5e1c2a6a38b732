"""The boxes of words that a comparison shows to its models: opened where these run, by the one who has the key."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from xraygpt_core.errors import ObjectMissing
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger

_BOXES = """
    SELECT d.image_id, i.clinical_key, d.header, d.request, w.image_id AS told_of, w.box FROM (
        SELECT image_id, max(beside ->> 'clinical_sha256') AS header, max(beside ->> 'request_sha256') AS request
        FROM shadow_drafts WHERE comparison_id = :id AND study_id = :study GROUP BY image_id
    ) d
    LEFT JOIN images i ON i.id = d.image_id AND i.clinical_sha256 = d.header
    LEFT JOIN LATERAL (
        SELECT image_id, box FROM request_words
        WHERE sha256 = d.request AND image_id = ANY (ARRAY(SELECT id FROM images WHERE study_id = :study)) LIMIT 1
    ) w ON true
"""


@dataclass(frozen=True)
class SealedBox:
    """A box, and the image that it opens for."""

    image_id: UUID
    box: bytes


def sealed_boxes(
    ledger: Ledger, comparison_id: UUID, study_id: UUID, get: Callable[[str], bytes]
) -> dict[str, SealedBox]:
    """The boxes that this comparison fixed for a study, by the names that the provenance has for their hashes, as they
    are: nothing here opens them. What is gone is missing.

    Args:
        get: reads an object of the derived bucket.

    Raises:
        NotFound: the comparison has no such study, or that was purged.
    """
    values = {"id": comparison_id, "study": study_id}
    with ledger.work() as work:
        row = work.found(_BOXES, values, "the comparison has no such study, or that was purged")
        record(work, "sealed words read", study=study_id, subject=comparison_id)
    boxes = {} if row["box"] is None else {"request_sha256": SealedBox(row["told_of"], bytes(row["box"]))}
    if row["clinical_key"] is not None:
        with suppress(ObjectMissing):
            boxes["clinical_sha256"] = SealedBox(row["image_id"], get(row["clinical_key"]))
    hashes = {"clinical_sha256": row["header"], "request_sha256": row["request"]}
    return {name: one for name, one in boxes.items() if sha256(one.box).hexdigest() == hashes[name]}
