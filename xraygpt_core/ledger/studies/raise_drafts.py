"""A draft moves up in the list when its study is raised to a more urgent lane after the draft was written."""

from collections.abc import Sequence
from uuid import UUID

from xraygpt_core.ledger.transaction import Work

_RAISE = """
    UPDATE summaries SET lane_rank = :rank
    WHERE study_id = ANY(CAST(:studies AS uuid[])) AND superseded_at IS NULL AND lane_rank > :rank
"""


def raise_drafts(work: Work, study_ids: Sequence[UUID], rank: int) -> None:
    """Move the current summaries of these studies to a more urgent lane, never to a less urgent one.

    In a statement after the one that raised the studies: a summary that was written meanwhile is seen by this one.
    """
    work.run(_RAISE, {"studies": list(study_ids), "rank": rank})
