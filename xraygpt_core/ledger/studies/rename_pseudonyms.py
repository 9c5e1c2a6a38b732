"""Rows that are known under an old pseudonym become known under the new one (see :mod:`.rotate_pseudonyms`)."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.studies.grouping import lock_uid
from xraygpt_core.ledger.studies.images import PseudonymPair
from xraygpt_core.ledger.transaction import Work

_LOCK_STUDIES = """
    SELECT id FROM studies WHERE id = ANY (ARRAY(
        SELECT id FROM studies WHERE uid_pseudonym = ANY(CAST(:both AS text[]))
        UNION SELECT id FROM studies WHERE patient_pseudonym = ANY(CAST(:olds AS text[]))
        UNION SELECT id FROM studies WHERE accession_pseudonym = ANY(CAST(:olds AS text[]))
        UNION SELECT id FROM studies WHERE other_pseudonyms <> '{}' AND other_pseudonyms && CAST(:olds AS text[])))
    ORDER BY id FOR UPDATE
"""

_NEW = """COALESCE((SELECT new FROM unnest(CAST(:olds AS text[]), CAST(:news AS text[])) AS p (old, new)
                     WHERE old = {column}), {column})"""

_STUDIES = f"""
    UPDATE studies SET
        uid_pseudonym = {_NEW.format(column="uid_pseudonym")},
        patient_pseudonym = {_NEW.format(column="patient_pseudonym")},
        patient_id_pseudonym = {_NEW.format(column="patient_id_pseudonym")},
        accession_pseudonym = {_NEW.format(column="accession_pseudonym")},
        other_pseudonyms = ARRAY(
            SELECT {_NEW.format(column="name")} FROM unnest(other_pseudonyms) AS name ORDER BY 1)
    WHERE id = ANY(CAST(:studies AS uuid[]))
"""

_IMAGES = f"""
    UPDATE images SET
        sop_pseudonym = {_NEW.format(column="sop_pseudonym")},
        patient_pseudonym = {_NEW.format(column="patient_pseudonym")},
        patient_id_pseudonym = {_NEW.format(column="patient_id_pseudonym")},
        accession_pseudonym = {_NEW.format(column="accession_pseudonym")}
    WHERE study_id = ANY(CAST(:studies AS uuid[])) OR id = CAST(:image AS uuid)
"""

_REJECTED = """
    UPDATE rejected_names SET pseudonym = p.new
    FROM unnest(CAST(:olds AS text[]), CAST(:news AS text[])) AS p (old, new) WHERE pseudonym = p.old
"""


def rename(work: Work, uid: str | None, pairs: Sequence[PseudonymPair], image_id: UUID) -> None:
    """Every row that bears an old pseudonym bears the new one from now on.

    Args:
        uid: the image's StudyInstanceUID under the new key, which is locked (:func:`.grouping.lock_uid`).
        pairs: of one image.
    """
    if not pairs:
        return
    lock_uid(work, uid)
    olds, news = [old for old, _ in pairs], [new for _, new in pairs]
    found = work.rows(_LOCK_STUDIES, {"olds": olds, "both": [*olds, *([uid] if uid else [])]})
    values: dict[str, Any] = {"olds": olds, "news": news, "studies": [row["id"] for row in found], "image": image_id}
    work.run(_STUDIES, values)
    work.run(_IMAGES, values)
    work.run(_REJECTED, values)
