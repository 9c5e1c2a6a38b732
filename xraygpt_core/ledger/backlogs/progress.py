"""A whole prefix of the bucket as one piece of work: listed page by page, resumable, with its counts at any time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.register import ObjectRef, register_in
from xraygpt_core.ledger.studies.register_races import registering
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import Lane


@dataclass(frozen=True)
class Backlog:
    """A backlog as people see it. ``open`` images are registered and have not ended; ``problem`` says why the listing
    stands still.
    """

    backlog_id: UUID
    state: str
    lane: str
    listed: int
    registered: int
    summarised: int
    rejected: int
    dead: int
    cancelled: int
    open: int
    problem: str | None
    created_at: datetime
    listed_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class PrefixListing:
    """Where the listing of a backlog goes on. Patient data: it stays inside the process."""

    backlog_id: UUID
    bucket: str
    prefix: str
    start_after: str
    since: datetime | None
    lane: Lane


_PROGRESS = """
    SELECT b.id AS backlog_id, b.state, b.lane_rank, b.listed, b.problem, b.created_at, b.listed_at, b.finished_at,
           count(i.id) AS registered,
           count(*) FILTER (WHERE i.state = 'rejected' OR i.state = 'accepted' AND s.state = 'rejected') AS rejected,
           count(*) FILTER (WHERE i.state = 'dead' OR i.state = 'accepted' AND s.state = 'dead') AS dead,
           count(*) FILTER (WHERE i.state = 'cancelled' OR i.state = 'accepted' AND s.state = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE i.state = 'accepted' AND s.state = 'summarised') AS summarised
    FROM backlogs b LEFT JOIN backlog_images n ON n.backlog_id = b.id
    LEFT JOIN images i ON i.id = n.image_id LEFT JOIN studies s ON s.id = i.study_id
    WHERE b.id = :id GROUP BY b.id
"""

# The backlog's row first: a pause or a cancellation waits for this page, and then finds all of its images.
_ADVANCE = """
    UPDATE backlogs SET start_after = :next_after, listed = listed + :listed, problem = NULL,
           state = CASE WHEN :last THEN 'listed' ELSE state END,
           listed_at = CASE WHEN :last THEN clock_timestamp() END
    WHERE id = :id AND start_after = :start_after AND state = 'listing'
"""

_ADD_IMAGES = """
    INSERT INTO backlog_images (backlog_id, image_id)
    SELECT :id, i FROM unnest(CAST(:images AS uuid[])) AS i ON CONFLICT DO NOTHING
"""

_CLOSE = """
    UPDATE backlogs SET state = 'done', finished_at = clock_timestamp() WHERE id = :id AND state = 'listed'
    RETURNING state, finished_at
"""


def create_backlog(ledger: Ledger, bucket: str, prefix: str, lane: Lane, since: datetime | None) -> UUID:
    """Start listing everything under a prefix; the control worker does it page by page."""
    backlog_id = new_id()
    with ledger.work() as work:
        work.run(
            "INSERT INTO backlogs (id, bucket, prefix, since, lane_rank, state) "
            "VALUES (:id, :bucket, :prefix, :since, :lane_rank, 'listing')",
            {"id": backlog_id, "bucket": bucket, "prefix": prefix, "since": since, "lane_rank": lane.rank},
        )
        record(work, "backlog created", subject=backlog_id, detail={"lane": lane})
    return backlog_id


def listings(ledger: Ledger) -> list[PrefixListing]:
    """The backlogs that are still to be listed, oldest first."""
    with ledger.work() as work:
        rows = work.rows(
            "SELECT id, bucket, prefix, start_after, since, lane_rank FROM backlogs WHERE state = 'listing' ORDER BY id"
        )
    return [
        PrefixListing(
            row["id"], row["bucket"], row["prefix"], row["start_after"], row["since"], Lane.of_rank(row["lane_rank"])
        )
        for row in rows
    ]


def add_page(ledger: Ledger, listing: PrefixListing, page: Sequence[ObjectRef], *, next_after: str, last: bool) -> bool:
    """Register one page of a listing and move its checkpoint. A page that is registered twice counts once.

    Args:
        next_after: the last key of the page; listing goes on behind it.
        last: nothing follows.

    Returns:
        False if the backlog is not at this page any more: it was paused or cancelled, or another worker listed it.
    """

    move = {
        "id": listing.backlog_id,
        "start_after": listing.start_after,
        "next_after": next_after,
        "listed": len(page),
        "last": last,
    }
    sender = f"backlog {listing.backlog_id}"

    def body(work: Work, *, careful: bool) -> bool:
        moved = work.run(_ADVANCE, move) > 0
        if moved and page:
            images = register_in(ledger, work, page, listing.lane, actor="backlog", careful=careful, sender=sender)
            work.run(_ADD_IMAGES, {"id": listing.backlog_id, "images": [str(image.image_id) for image in images]})
        return moved

    return registering(ledger, body)


def note_problem(ledger: Ledger, backlog_id: UUID, problem: str) -> None:
    """Note why a backlog cannot be listed now, in our own words; the next page that is listed removes the note."""
    with ledger.work() as work:
        work.run("UPDATE backlogs SET problem = :problem WHERE id = :id", {"id": backlog_id, "problem": problem})


def backlog(ledger: Ledger, backlog_id: UUID) -> Backlog:
    """Progress of a backlog; closes it when everything it registered has ended.

    Raises:
        NotFound: there is none.
    """
    with ledger.work() as work:
        row = work.found(_PROGRESS, {"id": backlog_id}, f"there is no backlog {backlog_id}")
        values = dict(row)
        ended = sum(values[name] for name in ("summarised", "rejected", "dead", "cancelled"))
        if values["state"] == "listed" and ended == values["registered"]:
            values |= work.row(_CLOSE, {"id": backlog_id}) or {}
    lane = Lane.of_rank(values.pop("lane_rank"))
    return Backlog(**values, lane=lane, open=values["registered"] - ended)


def backlogs(ledger: Ledger) -> list[Backlog]:
    """The newest backlogs first."""
    with ledger.work() as work:
        rows = work.rows("SELECT id FROM backlogs ORDER BY id DESC LIMIT 50")
    return [backlog(ledger, row["id"]) for row in rows]
