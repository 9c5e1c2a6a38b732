"""The films that a model is shown beside the frontal one, as a statement about images ``l`` and ``p`` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.states import ImageRole

# Columns: ``l`` is the lateral film, ``p`` the prior one, and each may be missing; ``i`` is the frontal one.
FURTHER = """
    i.clinical_key, i.clinical_sha256,
    l.id AS lateral_id, l.normalised_key AS lateral_key, l.normalised_sha256 AS lateral_sha256,
    p.id AS prior_id, p.normalised_key AS prior_key, p.normalised_sha256 AS prior_sha256,
    l.study_id AS lateral_study, p.study_id AS prior_study
"""


@dataclass(frozen=True)
class Film:
    """A normalised image in the derived bucket, and the SHA-256 of its bytes.

    Attributes:
        study_id: the study that it was in when it was handed over.
    """

    image_id: UUID
    key: str
    sha256: str
    study_id: UUID


def with_further(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with ``further``, films by their roles, in the place of the columns of FURTHER."""
    values, further = dict(row), dict[ImageRole, Film]()
    for role in (ImageRole.LATERAL, ImageRole.PRIOR):
        image_id, key, sha256, study_id = (values.pop(f"{role}_{name}") for name in ("id", "key", "sha256", "study"))
        if key is not None and sha256 is not None:
            further[role] = Film(image_id, key, sha256, study_id)
    return values | {"further": further}
