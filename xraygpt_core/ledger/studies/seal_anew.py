"""A new sealing key takes the place of the old one, while images arrive and numbers are opened.

Every row says which key opens it, and gateway and ingest know both keys meanwhile, so nothing has to wait.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.sealing import SealedNumbers

PAGE = 1000

_OLD = """
    SELECT image_id, sealed, key_fingerprint FROM sealed_numbers
    WHERE image_id > :after AND key_fingerprint <> :key ORDER BY image_id LIMIT :limit
"""

# What was purged, or sealed by an ingest worker meanwhile, stays as it is.
_SEAL = """
    UPDATE sealed_numbers SET sealed = n.sealed, key_fingerprint = :key
    FROM unnest(CAST(:images AS uuid[]), CAST(:before AS text[]), CAST(:boxes AS text[])) AS n (image_id, was, sealed)
    WHERE sealed_numbers.image_id = n.image_id AND sealed_numbers.sealed = n.was
"""

Again = Callable[[UUID, SealedNumbers], SealedNumbers | None]


def seal_anew(ledger: Ledger, fingerprint: str, again: Again) -> tuple[int, list[UUID]]:
    """Seal every row under the key of this fingerprint that is sealed under another one. Interrupted, it is called
    again.

    Args:
        again: the numbers in a new box; None where the old box does not open.

    Returns:
        How many rows were sealed anew, and the images whose box did not open: they stay as they are.
    """
    sealed, left, after = 0, list[UUID](), UUID(int=0)
    while rows := _page(ledger, fingerprint, after):
        boxes = [(row, again(row["image_id"], SealedNumbers(row["sealed"], row["key_fingerprint"]))) for row in rows]
        new = [(row["image_id"], row["sealed"], box.box) for row, box in boxes if box is not None]
        left += [row["image_id"] for row, box in boxes if box is None]
        if new:
            images, before, renewed = map(list, zip(*new, strict=True))
            with ledger.work() as work:
                values = {"images": images, "before": before, "boxes": renewed, "key": fingerprint}
                sealed += work.run(_SEAL, values)
        after = rows[-1]["image_id"]
    with ledger.work() as work:
        record(work, "numbers sealed anew", detail={"sealed": sealed, "left": len(left)})
    return sealed, left


def _page(ledger: Ledger, fingerprint: str, after: UUID) -> Sequence[RowMapping]:
    with ledger.work() as work:
        work.by_index()
        return work.rows(_OLD, {"after": after, "key": fingerprint, "limit": PAGE})
