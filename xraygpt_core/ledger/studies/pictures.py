"""Which stored pictures belong to a study, and by which hash each proves to be the one that was read."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from xraygpt_core.errors import NotFound
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ImageRole

Doubt = Literal["missing", "other content", "no hash"]


@dataclass(frozen=True)
class StoredPicture:
    """A picture in the derived bucket.

    Attributes:
        sha256: of its bytes, as 64 hex digits; None where it was not stored, so that nothing proves it.
    """

    study_id: UUID
    image_id: UUID
    key: str
    sha256: str | None


_PREVIEW = """
    SELECT study_id, id AS image_id, preview_key AS key, preview_sha256 AS sha256 FROM images
    WHERE study_id = :id AND preview_key IS NOT NULL AND state = 'accepted'
    ORDER BY id = (SELECT chosen_image FROM studies WHERE id = :id) DESC NULLS LAST, id LIMIT 1
"""

# What the model saw counts, whatever the image's row says today.
_FILM = """
    SELECT s.study_id, i.id AS image_id, i.normalised_key AS key,
           COALESCE(s.provenance #>> ARRAY['images', CAST(:role AS text)],
                    CASE WHEN :role = 'frontal' THEN s.provenance ->> 'image_sha256' END, i.normalised_sha256) AS sha256
    FROM summaries s JOIN images i ON i.id = CASE CAST(:role AS text) WHEN 'lateral' THEN s.lateral_image
         WHEN 'prior' THEN s.prior_image ELSE s.image_id END
    WHERE s.id = :id AND i.normalised_key IS NOT NULL
"""

_OF_STUDY = """
    SELECT study_id, id AS image_id, normalised_key AS key, normalised_sha256 AS sha256 FROM images
    WHERE id = :image AND study_id = :id AND normalised_key IS NOT NULL AND state = 'accepted'
"""

_DEEP = """
    SELECT study_id, id AS image_id, deep_key AS key, deep_sha256 AS sha256 FROM images
    WHERE id = :image AND study_id = :id AND deep_key IS NOT NULL AND state = 'accepted'
"""

# A purge removes pictures before its commit. A reader who finds one gone meanwhile waits here for that.
_STILL_THERE = """
    SELECT id FROM images WHERE id = :image AND :key IN (preview_key, normalised_key, deep_key) FOR SHARE
"""


def preview(ledger: Ledger, study_id: UUID, *, form: str = "preview") -> StoredPicture:
    """The preview of the study's chosen image.

    Args:
        form: in which it is looked at, for the audit.

    Raises:
        NotFound: no such study, or no image of it was read yet.
    """
    with ledger.work() as work:
        row = work.found(_PREVIEW, {"id": resolve(work, study_id)}, "no image of the study has been read yet")
        return _shown(work, StoredPicture(**row), form)


def film(ledger: Ledger, summary_id: UUID, role: ImageRole = ImageRole.FRONTAL) -> StoredPicture:
    """A normalised image that a summary was made from.

    Raises:
        NotFound: there is no such summary, it was made without such a film, or that was purged.
    """
    with ledger.work() as work:
        problem = f"there is no summary {summary_id}, or its {role} image is gone"
        row = work.found(_FILM, {"id": summary_id, "role": role}, problem)
        return _shown(work, StoredPicture(**row), "normalised")


def image_of_study(ledger: Ledger, study_id: UUID, image_id: UUID) -> StoredPicture:
    """The normalised form of any image of a study, chosen or not.

    Raises:
        NotFound: no such study, or it has no such image that was read.
    """
    with ledger.work() as work:
        values = {"id": resolve(work, study_id), "image": image_id}
        row = work.found(_OF_STUDY, values, f"the study has no image {image_id} that can be shown")
        return _shown(work, StoredPicture(**row), "normalised")


def deep_image_of_study(ledger: Ledger, study_id: UUID, image_id: UUID) -> StoredPicture:
    """The 16-bit copy of any image of a study, chosen or not.

    Raises:
        NotFound: no such study or image, or it has no such copy.
    """
    with ledger.work() as work:
        values = {"id": resolve(work, study_id), "image": image_id}
        row = work.found(_DEEP, values, f"the study has no image {image_id} with a 16-bit copy")
        return _shown(work, StoredPicture(**row), "16 bit")


def _shown(work: Work, picture: StoredPicture, form: str) -> StoredPicture:
    """Record that it is looked at; also by a caller who has it already and asks whether it still stands."""
    record(work, "film read", study=picture.study_id, subject=picture.image_id, detail={"as": form})
    return picture


def picture_refused(ledger: Ledger, picture: StoredPicture, doubt: Doubt) -> None:
    """Record that a stored picture was not shown, because it is not the one that was read.

    Raises:
        NotFound: it was purged meanwhile, so nothing is wrong.
    """
    with ledger.work() as work:
        if work.row(_STILL_THERE, {"image": picture.image_id, "key": picture.key}) is None:
            raise NotFound("the image is gone")
        record(work, "picture refused", study=picture.study_id, subject=picture.image_id, detail={"reason": doubt})
