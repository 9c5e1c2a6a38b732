"""Two models side by side on the same films. A lead begins it and reads its texts; the figures show none of them."""

import json
from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, model_validator

from api_gateway.auth import Lead, LeadAdminOrOperator, UsesLedger, UsesServices
from api_gateway.schemas import Answer, ContradictionAnswer, JsonObject, Request, Text
from api_gateway.worklist import Chosen, filters_of
from xraygpt_core.ledger.comparisons.begin import MOST, NamedBundle, Question, begin_comparison
from xraygpt_core.ledger.comparisons.drafts import WrittenText, keep_text, shadow_drafts
from xraygpt_core.ledger.comparisons.read import comparison_result, comparisons
from xraygpt_core.ledger.comparisons.words import sealed_boxes
from xraygpt_core.states import NOTICE, ImageRole, ShadowFailure, ShadowState

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"])

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
_UNSEEN = {"q", "order", "descending", "mine"}


class BundleName(Request):
    """A bundle, and the SHA-256 of its ``bundle.toml``; ``images`` and ``clinical`` say which films and whether words
    are shown to it in service, as far as a study has them.
    """

    name: Name
    sha256: Digest
    images: Annotated[tuple[ImageRole, ...], Field(max_length=len(ImageRole))] = (ImageRole.FRONTAL,)
    clinical: bool = False


class ComparisonRequest(Request):
    """Which two bundles, on which studies: the newest arrivals that ``where`` lets through and that have a film.

    ``where`` takes the fields of POST /v1/studies/search but words of texts (``q``), an order and ``mine``: it is kept.
    The same ``asked`` goes on with an unfinished comparison; without it, the same ``where`` and ``limit`` do.
    """

    first: BundleName
    second: BundleName
    where: Chosen = Chosen()
    limit: Annotated[int, Field(ge=1, le=MOST)] = 50
    asked: Digest | None = None

    @model_validator(mode="after")
    def _kept_without_words(self) -> Self:
        if unseen := _UNSEEN & self.where.model_fields_set:
            raise ValueError(f"a comparison keeps what it was asked: leave out {', '.join(sorted(unseen))}")
        return self

    def question(self, filters: Any) -> Question:
        """The same for the ledger."""
        chosen = self.where.model_dump(mode="json", exclude_unset=True, by_alias=True) | {"limit": self.limit}
        said = json.dumps(chosen, sort_keys=True)
        first, second = (
            NamedBundle(one.name, one.sha256, frozenset(one.images), one.clinical) for one in (self.first, self.second)
        )
        asked = self.asked or sha256(said.encode()).hexdigest()
        return Question(first, second, self.where.listing, filters, self.limit, chosen, asked)


class OpenTextAnswer(Answer):
    """A text that is to be written about this film: its normalised form, which must have this SHA-256.

    ``beside`` is what else the bundle is shown: ``lateral`` and ``prior`` with ``study_id``, ``image_id`` and
    ``sha256``, and ``clinical_sha256`` and ``request_sha256`` of sealed words.
    """

    study_id: UUID
    bundle_sha256: str
    image_id: UUID
    image_sha256: str
    beside: dict[str, Any]


class BegunAnswer(Answer):
    """``goes_on``: it was begun before; ``open``: the texts that are still to be written."""

    comparison_id: UUID
    goes_on: bool
    studies: int
    open: list[OpenTextAnswer]


class BundleAnswer(Answer):
    """A bundle."""

    name: str
    sha256: str


class ComparisonAnswer(Answer):
    """A comparison; ``open`` and ``failed`` of its texts, two for each of ``studies``."""

    comparison_id: UUID
    first: BundleAnswer
    second: BundleAnswer
    chosen: dict[str, Any]
    begun_by: str
    begun_at: datetime
    studies: int
    open: int
    failed: int


class ComparisonsAnswer(Answer):
    """The last hundred, the newest first."""

    comparisons: list[ComparisonAnswer]


class ResultAnswer(Answer):
    """A comparison's figures; docs/models.md says what each means."""

    comparison: ComparisonAnswer
    bundles: dict[str, dict[str, Any]]
    signed_from: dict[str, int]
    figures: dict[str, Any]


class BoxAnswer(Answer):
    """A box in base64, and the image that it opens for."""

    image_id: UUID
    box: str


class BoxesAnswer(Answer):
    """The boxes of words about a film, by the names of their hashes; what is gone is missing."""

    boxes: dict[str, BoxAnswer]


class ShadowText(Request):
    """A text of a comparison, or why there is none: either ``text`` and what belongs to it, or ``failed``."""

    study_id: UUID
    bundle_sha256: Digest
    text: Annotated[Text, Field(min_length=1, max_length=100_000)] | None = None
    tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    provenance: Annotated[JsonObject, Field(default_factory=dict)]
    failed: ShadowFailure | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.failed is None):
            raise ValueError("give either text or failed")
        return self

    @property
    def made(self) -> WrittenText | ShadowFailure:
        """What became of it."""
        return self.failed or WrittenText(self.text or "", self.tokens, self.seconds, self.provenance)


class KeptAnswer(Answer):
    """``kept`` is false where there was one already, which stays."""

    kept: bool


class ShadowDraftAnswer(Answer):
    """A text that no reader was shown, or why there is none."""

    study_id: UUID
    bundle: str
    bundle_sha256: str
    state: ShadowState
    reason: ShadowFailure | None
    text: str | None
    findings: str | None
    impression: str | None
    asserted: list[str] | None
    uncertain: list[str] | None
    consistency: list[ContradictionAnswer]
    tokens: int | None
    seconds: float | None
    provenance: dict[str, Any] | None
    at: datetime | None


class ShadowDraftsAnswer(Answer):
    """Study by study, the newest first; of each the text of the first bundle, then that of the second."""

    drafts: list[ShadowDraftAnswer]
    notice: str = NOTICE


@router.post("")
def post_comparison(body: ComparisonRequest, ledger: UsesLedger, caller: Lead) -> BegunAnswer:
    """Begin a comparison, or go on with the unfinished one that asks the same."""
    return BegunAnswer.model_validate(begin_comparison(ledger, body.question(filters_of(body.where, caller))))


@router.get("")
def get_comparisons(ledger: UsesLedger, _: LeadAdminOrOperator) -> ComparisonsAnswer:
    """The last hundred comparisons."""
    return ComparisonsAnswer.model_validate({"comparisons": comparisons(ledger)})


@router.get("/{comparison_id}")
def get_comparison(comparison_id: UUID, ledger: UsesLedger, _: LeadAdminOrOperator) -> ResultAnswer:
    """The figures of a comparison, as far as it is, against what is signed today."""
    return ResultAnswer.model_validate(comparison_result(ledger, comparison_id))


@router.get("/{comparison_id}/words/{study_id}")
def get_words(comparison_id: UUID, study_id: UUID, services: UsesServices, _: Lead) -> BoxesAnswer:
    """The words that models are shown about a study, under seal: the key of the clinical text opens them."""
    found = sealed_boxes(services.ledger, comparison_id, study_id, services.store.get)
    boxes = {name: BoxAnswer(image_id=one.image_id, box=b64encode(one.box).decode()) for name, one in found.items()}
    return BoxesAnswer(boxes=boxes)


@router.post("/{comparison_id}/drafts")
def post_draft(comparison_id: UUID, body: ShadowText, ledger: UsesLedger, _: Lead) -> KeptAnswer:
    """Keep one text of a comparison. A second one about the same film changes nothing."""
    return KeptAnswer(kept=keep_text(ledger, comparison_id, body.study_id, body.bundle_sha256, body.made))


@router.get("/{comparison_id}/drafts")
def get_drafts(
    comparison_id: UUID,
    ledger: UsesLedger,
    _: Lead,
    study_id: UUID | None = None,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> ShadowDraftsAnswer:
    """Both texts of each study, or of one; ``after`` is the last study of the page before."""
    found = shadow_drafts(ledger, comparison_id, study_id=study_id, after=after, limit=limit)
    return ShadowDraftsAnswer.model_validate({"drafts": found})
