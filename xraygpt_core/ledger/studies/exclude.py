"""A study is excluded from training: no run of this system's own ledger is given it from now on."""

from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger

# Its images, too: they may move to another study, or be taken apart from it.
_EXCLUDE = """
    INSERT INTO training_exclusions (study_id, image_ids)
    SELECT :id, ARRAY(SELECT id FROM images WHERE study_id = :id ORDER BY id)
    ON CONFLICT DO NOTHING
"""


def exclude_study(ledger: Ledger, study_id: UUID) -> UUID:
    """Give this study to no run from now on. A run that was given it already is not changed. Returns its own id.

    Raises:
        NotFound: no such study.
        Conflict: it is excluded already.
    """
    with ledger.work() as work:
        home = resolve(work, study_id)
        if not work.run(_EXCLUDE, {"id": home}):
            raise Conflict("the study is excluded from training already")
        record(work, "study excluded from training", study=home)
    return home


def include_study(ledger: Ledger, study_id: UUID) -> UUID:
    """Take that back. Returns the study's own id.

    Raises:
        NotFound: no such study.
        Conflict: it is not excluded.
    """
    with ledger.work() as work:
        home = resolve(work, study_id)
        # What was excluded under a provisional id became part of this study.
        undone = work.run(
            "DELETE FROM training_exclusions WHERE study_id = ANY (ARRAY("
            "SELECT CAST(:id AS uuid) UNION ALL SELECT id FROM studies WHERE alias_of = :id))",
            {"id": home},
        )
        if not undone:
            raise Conflict("the study is not excluded from training")
        record(work, "study allowed for training", study=home)
    return home
