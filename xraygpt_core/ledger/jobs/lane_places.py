"""The places in a lane that a registration takes from its sender's share."""

from dataclasses import dataclass

from xraygpt_core.ledger.fair_share import Shares
from xraygpt_core.ledger.jobs.claims import ready_in
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import Lane

# The place that is served now: the first one that waits to be read or to be summarised, whichever is lower. Of an
# empty lane it is the time, in microseconds.
_SERVED = f"""
    SELECT COALESCE(min(ready.place), CAST(extract(epoch FROM clock_timestamp()) * 1e6 AS bigint)) AS place
    FROM unnest(ARRAY['ingest', 'summarise'], ARRAY[CAST(:rank AS smallint), :rank]) AS q (kind, lane_rank)
    LEFT JOIN LATERAL (SELECT place FROM jobs WHERE {ready_in("q")} LIMIT 1) AS ready ON true
"""


@dataclass(frozen=True)
class Share:
    """One sender's, in one lane, within a transaction."""

    shares: Shares
    work: Work
    lane: Lane
    sender: str

    def take(self, count: int) -> int:
        """So many places in a row; the first of them."""
        return self.shares.take(self.lane, self.sender, count, self._served)

    def _served(self) -> int:
        row = self.work.row(_SERVED, {"rank": self.lane.rank})
        return int(row["place"]) if row is not None else 0
