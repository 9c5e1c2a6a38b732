"""Settle: all images of a study are here, so one is chosen and a summary asked for."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from workers.context import Context
from workers.heartbeat import JobProgress
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.settle import settle_many


class Settle:
    """The settle jobs of one process: nothing to fetch or to do, only to write."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def prepare(self, _claims: Sequence[Claim]) -> dict[UUID, Any]:
        return {}

    def do(self, claim: Claim, _progress: JobProgress, _given: Any) -> UUID:
        return claim.subject

    def finish(self, done: Sequence[tuple[Claim, Any]]) -> set[UUID]:
        """Settle these studies, each at the revision its job was made for."""
        return settle_many(self._context.ledger, [claim for claim, _ in done])
