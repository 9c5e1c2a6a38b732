"""What happened to a study, step by step. Opaque ids and our own words only, never a name, key or text of a patient."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.core import Work
from xraygpt_core.ledger.fence import Claim

_INSERT = """
    INSERT INTO timeline (study_id, image_id, job_id, what, who, attempt, epoch, detail)
    VALUES (:study_id, :image_id, :job_id, :what, :who, :attempt, :epoch, CAST(:detail AS jsonb))
"""


def note(
    work: Work,
    study_id: UUID,
    what: str,
    *,
    who: str = "ledger",
    image_id: UUID | None = None,
    claim: Claim | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one step of a study's story."""
    work.run(
        _INSERT,
        {
            "study_id": study_id,
            "image_id": image_id,
            "job_id": claim.job_id if claim else None,
            "what": what,
            "who": who,
            "attempt": claim.attempts if claim else None,
            "epoch": claim.epoch if claim else None,
            "detail": json.dumps(detail) if detail else None,
        },
    )
