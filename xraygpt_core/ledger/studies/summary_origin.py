"""What a summary was made from: enough to make it again."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.scope import scope_of


@dataclass(frozen=True)
class SummaryOrigin:
    """The model's own text, not a clinician's correction of it, and where everything lies that led to it."""

    summary_id: UUID
    text: str
    bundle: str
    bundle_sha256: str
    lease_epoch: int
    provenance: dict[str, Any]
    flags: list[str]
    consistency: list[dict[str, str]]
    normalised_key: str

    @property
    def scope(self) -> dict[str, Any]:
        """What the bundle that wrote it was made for."""
        return scope_of(self.provenance)


def summary_origin(ledger: Ledger, summary_id: UUID) -> SummaryOrigin:
    """Of one summary, current or superseded.

    Raises:
        NotFound: there is no such summary, or its image was purged.
    """
    with ledger.work() as work:
        row = work.found(
            "SELECT s.study_id, s.id AS summary_id, s.summary AS text, s.bundle, s.bundle_sha256, "
            "       s.lease_epoch, s.provenance, s.flags, s.consistency, i.normalised_key "
            "FROM summaries s JOIN images i ON i.id = s.image_id WHERE s.id = :id AND i.normalised_key IS NOT NULL",
            {"id": summary_id},
            f"there is no summary {summary_id}, or its image is gone",
        )
        values = dict(row)
        record(work, "origin read", study=values.pop("study_id"), subject=summary_id)
    return SummaryOrigin(**values)
