"""Who looked at a study, for those who answer for its readers."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter

from api_gateway.auth import LeadOrAdmin, UsesLedger
from api_gateway.schemas import Answer
from xraygpt_core.ledger.studies.readers import MOST, readers_of_study

router = APIRouter(prefix="/v1/studies", tags=["studies"])


class StudyReaderAnswer(Answer):
    """What one person or program did with the study, how often, and when first and last. ``what`` is the audit's."""

    actor: str
    what: str
    outcome: str
    times: int
    first_at: datetime
    last_at: datetime


class StudyReaders(Answer):
    """The last act first. ``truncated``: there are more than these."""

    study_id: UUID
    readers: list[StudyReaderAnswer]
    truncated: bool


@router.get("/{study_id}/readers")
def get_readers(study_id: UUID, ledger: UsesLedger, _: LeadOrAdmin) -> StudyReaders:
    """Who read this study or did something with it, by the audit. A list on which it stood does not count."""
    found = readers_of_study(ledger, study_id)
    shown = [StudyReaderAnswer.model_validate(one) for one in found]
    return StudyReaders(study_id=study_id, readers=shown, truncated=len(found) == MOST)
