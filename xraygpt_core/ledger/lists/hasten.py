"""Studies that a person moves to a more urgent lane: their open work, and their drafts in the list."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.fair_share import sender_of
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.studies.open_work import Share, raise_work
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import Lane

_STUDIES = """
    SELECT s.id, s.lane_rank,
           ARRAY(SELECT i.id FROM images i WHERE i.study_id = s.id AND i.state = 'received') AS images
    FROM studies s WHERE s.id = ANY(CAST(:ids AS uuid[])) AND s.alias_of IS NULL AND s.purged_at IS NULL ORDER BY s.id
"""


@dataclass(frozen=True)
class Hastened:
    """What became of one study of many; ``refused`` says why it stayed in its lane."""

    study_id: UUID
    refused: str | None


def hasten(ledger: Ledger, study_ids: Sequence[UUID], lane: Lane) -> list[Hastened]:
    """Move studies to a more urgent lane, never to a less urgent one, in the next places of the caller's share."""

    def body(work: Work) -> list[Hastened]:
        there = {row["id"]: row for row in work.rows(_STUDIES, {"ids": list(study_ids)})}
        found = [Hastened(one, _refused(there.get(one), lane)) for one in dict.fromkeys(study_ids)]
        done = [one.study_id for one in found if one.refused is None]
        images = [image for one in done for image in there[one]["images"]]
        raise_work(work, done, images, lane, Share(ledger.shares, work, lane, sender_of(ledger.actor, "gateway")))
        record(work, "studies hastened", studies=done, detail={"lane": lane})
        return found

    return repeating(ledger, body)


def _refused(study: RowMapping | None, lane: Lane) -> str | None:
    if study is None:
        return "there is no such study"
    now = Lane.of_rank(study["lane_rank"])
    return f"it is in the lane {now} already" if now.rank <= lane.rank else None
