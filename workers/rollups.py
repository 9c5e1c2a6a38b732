"""The round of control that fills what operators look at: rollups, the length of queues, how far backlogs are."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from xraygpt_core.ledger.jobs.status import status_counts
from xraygpt_core.ledger.operations.gauges import note_backlogs, note_queues
from xraygpt_core.ledger.operations.presence import forget_gone
from xraygpt_core.ledger.operations.rollup import roll_up
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.metrics import ROLLED_UP_UNTIL

log = logging.getLogger(__name__)

_MOST_SECONDS = 5.0  # of catching up in one round
_SHARE = 20  # a round that took long is followed by a rest of so many times its length


class Rollups:
    """Rounds of one process. A round that is skipped or done twice changes nothing that the next one does not mend."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._until: datetime | None = None
        self._rest_until = 0.0

    def round(self) -> bool:
        """Count what is new. Returns whether the rollups reach the present.

        Raises:
            Unavailable: PostgreSQL does not answer; the next round does the work.
        """
        began = self._clock()
        if began < self._rest_until:
            return False
        present = self._count(began)
        if present:
            note_queues(self._ledger, status_counts(self._ledger))
            note_backlogs(self._ledger)
            forget_gone(self._ledger)
        ended = self._clock()
        self._rest_until = ended + _SHARE * (ended - began)
        return present

    def _count(self, began: float) -> bool:
        """Up to the present, or as far as one round may go. False also if another process counts."""
        while (rolled := roll_up(self._ledger, self._until)) is not None:
            self._until = rolled.until
            ROLLED_UP_UNTIL.set(rolled.until.timestamp())
            if rolled.present or self._clock() - began > _MOST_SECONDS:
                return rolled.present
        return False
