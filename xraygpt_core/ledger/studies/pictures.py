"""Which stored pictures belong to a study, and by which hash each proves to be the one that was read."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from xraygpt_core.errors import NotFound
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger, Work

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
           COALESCE(s.provenance ->> 'image_sha256', i.normalised_sha256) AS sha256
    FROM summaries s JOIN images i ON i.id = s.image_id WHERE s.id = :id AND i.normalised_key IS NOT NULL
"""

# A purge removes pictures before its commit. A reader who finds one gone meanwhile waits here for that.
_STILL_THERE = """
    SELECT id FROM images WHERE id = :image AND (preview_key = :key OR normalised_key = :key) FOR SHARE
"""


def preview(ledger: Ledger, study_id: UUID) -> StoredPicture:
    """The preview of the study's chosen image.

    Raises:
        NotFound: no such study, or no image of it was read yet.
    """
    with ledger.work() as work:
        row = work.found(_PREVIEW, {"id": resolve(work, study_id)}, "no image of the study has been read yet")
        return _shown(work, StoredPicture(**row), "preview")


def film(ledger: Ledger, summary_id: UUID) -> StoredPicture:
    """The normalised image a summary was made from.

    Raises:
        NotFound: there is no such summary, or its image was purged.
    """
    with ledger.work() as work:
        row = work.found(_FILM, {"id": summary_id}, f"there is no summary {summary_id}, or its image is gone")
        return _shown(work, StoredPicture(**row), "normalised")


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
