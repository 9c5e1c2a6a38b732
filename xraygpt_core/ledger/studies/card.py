"""One study's card, for a caller, and the audit's note of it."""

from uuid import UUID

from xraygpt_core.errors import NotFound
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.card.read import StudyCard, cards
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger


def study_card(ledger: Ledger, study_id: UUID, *, dates: bool) -> StudyCard:
    """The card of a study, under its own id or a provisional one.

    Args:
        dates: as for :func:`cards`.

    Raises:
        NotFound: there is no such study.
    """
    with ledger.work() as work:
        home = resolve(work, study_id)
        found = cards(work, [home], dates=dates)
        if not found:  # it became part of another study this very moment
            raise NotFound(f"there is no study {study_id}")
        record(work, "card read", study=home)
    return found[0]
