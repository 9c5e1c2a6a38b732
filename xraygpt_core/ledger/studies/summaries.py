"""A summary as the worker writes it, and as it is read. Each field has its column in ``models.studies.summaries``.

The statements that write and read summaries take their columns from these fields (:mod:`.summarise`, :mod:`.read`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from xraygpt_core.scope import scope_of
from xraygpt_core.states import NOTICE, Flag


@dataclass(frozen=True)
class NewSummary:
    """A text with everything needed to make it again.

    Attributes:
        provenance: template, prompt, seed, decoding settings, software versions, image sha256, the bundle's scope.
        batch_size: how many requests shared the step that finished it.
        flags: what the GPU worker found out about film and text.
        consistency: ``{kind, one, other}`` for each contradiction; stored, and flagged if there is any.
        lateral_image, prior_image: the other films that the model saw.
        grounding: ``{phrase, boxes}`` for each phrase, as in ``models.studies.summaries``.
        reasoning: what a model that thinks aloud wrote before this text; no reader is shown it.
    """

    summary: str
    findings: str | None
    impression: str | None
    bundle: str
    bundle_sha256: str
    provenance: dict[str, Any]
    tokens: int
    batch_size: int
    flags: tuple[Flag, ...] = ()
    consistency: tuple[Mapping[str, str], ...] = ()
    lateral_image: UUID | None = None
    prior_image: UUID | None = None
    grounding: tuple[Mapping[str, Any], ...] = ()
    reasoning: str | None = None


@dataclass(frozen=True)
class Summary:
    """A text and where it came from. A corrected text has the sections that its own headings name."""

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
    review_state: str
    reviewed_by: str | None
    reviewed_at: datetime | None
    flags: list[str]
    provenance: dict[str, Any]
    consistency: list[dict[str, str]]
    grounding: list[dict[str, Any]]
    notice: str = NOTICE

    @property
    def scope(self) -> dict[str, Any]:
        """What the bundle that wrote it was made for."""
        return scope_of(self.provenance)
