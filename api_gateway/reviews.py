"""Reviews of summaries: make one, and list all that were made."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from api_gateway.auth import TextReader, UsesLedger
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, ContradictionAnswer, Request, ScopeAnswer, Text, Words
from xraygpt_core.errors import Forbidden
from xraygpt_core.ledger.access.api_keys import LONGEST_NAME
from xraygpt_core.ledger.studies.read import reviews, summary
from xraygpt_core.ledger.studies.review import Seen, Signer, Verdict, review_summary
from xraygpt_core.rejections import reason_of_rejection
from xraygpt_core.states import NOTICE, Flag, KeyKind, ReviewAction, ReviewState, Role

router = APIRouter(prefix="/v1/summaries", tags=["summaries"])


class SummaryAnswer(Answer):
    """A text (the correction, if there is one), its origin, and the notice to show with it.

    ``findings`` and ``impression`` are the sections of this text, null where it has no such headings.
    ``consistency`` quotes the model's own text, corrected or not. ``grounding``: where on the film the model says that
    it saw what it names: ``{phrase, image, boxes: [[left, top, right, bottom]]}``, in fractions of the film; a last
    ``{malformed}`` counts the boxes that could not be read.
    """

    summary_id: UUID
    study_id: UUID
    image_id: UUID
    summary: str
    findings: str | None
    impression: str | None
    bundle: str
    bundle_sha256: str
    lease_epoch: int
    summarised_at: datetime
    superseded_at: datetime | None
    review_state: ReviewState
    reviewed_by: str | None
    reviewed_at: datetime | None
    flags: list[Flag]
    scope: ScopeAnswer
    consistency: list[ContradictionAnswer]
    grounding: list[dict[str, Any]]
    provenance: dict[str, Any]
    notice: str


class ReviewAnswer(Answer):
    """One act of a person on a summary. It stays as it is; only a purge of the study removes it.

    ``text`` is the correction that it stands for; null if that is the model's own text (``draft``), or if it takes
    something back. ``reviewer`` is the name as signed, ``key_name`` the key's; null before keys were kept.
    """

    review_id: UUID
    summary_id: UUID
    position: int
    action: ReviewAction
    text: str | None
    draft: str
    reason: str | None
    reviewer: str
    key_id: UUID | None
    key_name: str | None
    key_kind: KeyKind | None
    seen: dict[str, Any] | None
    at: datetime


class ReviewsAnswer(Answer):
    """All reviews of one summary, the first act first; and the limits of its draft."""

    summary_id: UUID
    reviews: list[ReviewAnswer]
    flags: list[Flag]
    scope: ScopeAnswer
    notice: str = NOTICE


class SeenSummary(Request):
    """The summary as its reader saw it, these three fields unchanged, and the film that was painted beside it."""

    review_state: ReviewState
    reviewed_at: AwareDatetime | None
    superseded_at: AwareDatetime | None
    image_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    painted_at: AwareDatetime | None = None
    shown_ms: Annotated[int, Field(ge=0, le=1 << 53)] | None = None


class Review(Request):
    """A review. ``text`` is the corrected summary and goes with ``edited`` only.

    ``draft`` takes back all reviews that stand, with ``undo`` only the last act; to take back another person's
    signature needs a ``reason``. With ``rejected`` the ``reason`` is a code, or a code, a colon and words.
    ``seen`` must be given with a person's key: 409 if the summary was reviewed or superseded since, or if another film
    was shown, and nothing is changed. ``reviewer`` is for a program's key: the person for whom it signs.
    """

    state: ReviewState
    text: Annotated[Words, Field(max_length=20_000)] | None = None
    reason: Annotated[Words, Field(min_length=1, max_length=2_000)] | None = None
    undo: bool = False
    reviewer: Annotated[Text, Field(min_length=1, max_length=LONGEST_NAME)] | None = None
    seen: SeenSummary | None = None


@router.post("/{summary_id}/review")
def post_review(
    summary_id: UUID, body: Review, ledger: UsesLedger, caller: TextReader, once: RunsOnce
) -> SummaryAnswer:
    """Accept, correct, reject or take back. Each is a row that stays; the model's own text is kept beside it."""
    if not caller.has(Role.READER, Role.LEAD) and (caller.is_person or body.reviewer is None):
        raise Forbidden("a service signs for a person whom it names in 'reviewer', with a program's key")
    reason = reason_of_rejection(body.reason) if body.state is ReviewState.REJECTED else body.reason
    verdict = Verdict(body.state, body.text, reason, body.undo)
    seen = None if body.seen is None else Seen(**body.seen.model_dump())
    signer = Signer(caller, body.reviewer)
    once(lambda joined: {"review_id": str(review_summary(joined, summary_id, verdict, signer, seen))})
    return SummaryAnswer.model_validate(summary(ledger, summary_id))


@router.get("/{summary_id}/reviews")
def get_reviews(summary_id: UUID, ledger: UsesLedger, _: TextReader) -> ReviewsAnswer:
    """All reviews of a summary, current or superseded, also those that were taken back."""
    summary_of, acts = reviews(ledger, summary_id)
    about, found = SummaryAnswer.model_validate(summary_of), [ReviewAnswer.model_validate(one) for one in acts]
    return ReviewsAnswer(summary_id=summary_id, reviews=found, flags=about.flags, scope=about.scope)
