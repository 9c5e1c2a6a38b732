"""What a request says of the films that it names: boxes that only a worker opens, kept with the images.

They are rows that are only added, and the newest of a film counts; a purge alone removes them. Other words for a film
that was read make a new revision of its study, so that they reach a draft: the one that is there is superseded.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.studies.register_races import RacedError
from xraygpt_core.ledger.studies.revise import revise
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ImageState, StudyState

Seal = Callable[[UUID], bytes | None]

# A purged study takes none. Studies are locked in the order of their ids, as everywhere.
_LOCK = """
    SELECT i.id AS image_id, s.id AS study_id, s.state AS study_state FROM images i JOIN studies s ON s.id = i.study_id
    WHERE i.id = ANY(CAST(:ids AS uuid[])) AND s.purged_at IS NULL ORDER BY s.id, i.id FOR UPDATE OF s
"""
_NOW = f"""
    SELECT i.id AS image_id, i.study_id, i.state = '{ImageState.ACCEPTED}' AS read, (
        SELECT w.sha256 FROM request_words w WHERE w.image_id = i.id ORDER BY w.number DESC LIMIT 1) AS sha256
    FROM images i WHERE i.id = ANY(CAST(:ids AS uuid[]))
"""
_KEEP = """
    INSERT INTO request_words (image_id, box, sha256, revision)
    SELECT :image_id, :box, :sha256, CASE WHEN :revised THEN revision ELSE 0 END FROM studies WHERE id = :study_id
"""

# Words for a film of this study, or for the same film under another key.
_OF_FILM = """
    FROM images t JOIN request_words w ON w.image_id = t.id
    WHERE t.study_id = {study} AND (t.id = {image} OR t.duplicate_of = {image} AND t.state = 'accepted')
"""
NEWEST_WORDS = f"SELECT w.image_id, w.box, w.sha256 {_OF_FILM} ORDER BY w.number DESC LIMIT 1"
# The revision of the study that they made; 0 where there are none, or they came before the study had a film.
WORDS_REVISION = f"COALESCE((SELECT max(w.revision) {_OF_FILM}), 0)"

_NEWEST = NEWEST_WORDS.format(study="(SELECT study_id FROM images WHERE id = :id)", image=":id")
_JOIN = """
    UPDATE request_words SET revision = s.revision FROM studies s WHERE s.id = :study_id AND image_id = :image_id
"""


@dataclass(frozen=True)
class SealedWords:
    """A box, the image that it opens for, and the SHA-256 of its bytes."""

    image_id: UUID
    box: bytes
    sha256: str


def keep_words(ledger: Ledger, work: Work, image_ids: Collection[UUID], seal: Seal) -> None:
    """Keep a request's words with these images, inside the transaction that registers them. The same words again change
    nothing.

    Raises:
        RacedError: an image went to another study while we waited for the one it was in.
    """
    values = {"ids": list(image_ids)}
    studies = {row["image_id"]: row for row in work.rows(_LOCK, values)}
    revised: dict[UUID, bool] = {}
    for row in work.rows(_NOW, values):
        image_id, locked = row["image_id"], studies.get(row["image_id"])
        box = seal(image_id)
        if locked is None or box is None:
            continue
        study_id = locked["study_id"]
        if row["study_id"] != study_id:
            raise RacedError
        digest = sha256(box).hexdigest()
        if digest == row["sha256"]:
            continue
        if row["read"] and study_id not in revised:
            waits = locked["study_state"] == StudyState.WAITING
            revised[study_id] = _are_read(work) and revise(ledger, work, study_id, wait=waits)
        work.run(_KEEP, {"image_id": image_id, "box": box, "sha256": digest, "study_id": study_id,
                         "revised": row["read"] and revised[study_id]})  # fmt: skip
        note(work, study_id, "words given", who="gateway", image_id=image_id)


def newest_words(ledger: Ledger, image_id: UUID) -> SealedWords | None:
    """What the last request that had words said of this film."""
    with ledger.work() as work:
        row = work.row(_NEWEST, {"id": image_id})
    return None if row is None else SealedWords(row["image_id"], bytes(row["box"]), row["sha256"])


def words_join(work: Work, study_id: UUID, image_id: UUID) -> None:
    """An image that was just read joins a study that may have a draft: what was said of it counts from now on."""
    if _are_read(work):
        work.run(_JOIN, {"study_id": study_id, "image_id": image_id})


def _are_read(work: Work) -> bool:
    """Does the served bundle read such words? Before a GPU worker has loaded it, it may."""
    row = work.row("SELECT served_clinical FROM installation")
    return row is None or row["served_clinical"] is not False
