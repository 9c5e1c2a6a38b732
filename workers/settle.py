"""Settle: all images of a study are here, so one is chosen and a summary asked for."""

from workers.context import Context
from workers.heartbeat import Pulse
from xraygpt_core.ledger.fence import Claim
from xraygpt_core.ledger.settle import settle


class Settle:
    """The settle jobs of one process: a transaction each, nothing to fetch."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, claim: Claim, _pulse: Pulse) -> None:
        """Settle one study at the revision the job was made for."""
        settle(self._context.ledger, claim)
