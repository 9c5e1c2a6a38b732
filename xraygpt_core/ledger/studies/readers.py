"""Who looked at a study, and what they did with it: the audit's rows of one study, in short."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger

MOST = 500

# A desk asks again and again while its study is open, so equal acts of one person are one line. The ids are worked out
# once, as an array, for the index.
_READERS = """
    SELECT actor, what, outcome, count(*) AS times, min(at) AS first_at, max(at) AS last_at FROM audit
    WHERE study_id = ANY (ARRAY(SELECT CAST(:id AS uuid) UNION ALL SELECT id FROM studies WHERE alias_of = :id))
    GROUP BY actor, what, outcome ORDER BY last_at DESC, what LIMIT :most
"""


@dataclass(frozen=True)
class StudyReader:
    """What one person or program did with a study.

    Attributes:
        actor: the name of the key or person.
        what: a word of docs/audit.md.
        outcome: ``done``, ``refused`` or ``failed``.
    """

    actor: str
    what: str
    outcome: str
    times: int
    first_at: datetime
    last_at: datetime


def readers_of_study(ledger: Ledger, study_id: UUID) -> list[StudyReader]:
    """Who did what with a study, the last act first. Pages of a list on which it stood do not count.

    Raises:
        NotFound: no such study.
    """
    with ledger.work() as work:
        home = resolve(work, study_id)
        rows = work.rows(_READERS, {"id": home, "most": MOST})
        record(work, "readers listed", study=home)
    return [StudyReader(**row) for row in rows]
