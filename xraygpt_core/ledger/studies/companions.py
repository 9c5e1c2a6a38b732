"""The films beside the chosen one: the study's lateral film and the same patient's frontal film of the study before.

They are looked up only for a served bundle that looks at them, so that they cost other installations nothing.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from xraygpt_core.ledger.card.prior import PRIOR, TAKEN
from xraygpt_core.ledger.studies.choose_image import BEST_LATERAL
from xraygpt_core.ledger.training.serving import served_with_images
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import ImageRole

_NONE = "CAST(NULL AS uuid)"

# A film whose own header names another patient than the study is shown with no study of this one. Where the film of the
# current text was replaced, it is the one that is chosen now. Whatever this finds stands: ``standing_prior`` of version
# 0032 says the same of one film.
_PRIOR_FILM = f"""
    (SELECT f.id FROM (VALUES (true)) AS one {TAKEN} {PRIOR}
     JOIN images f ON f.id IN (prior.image_id, prior.chosen_image) AND f.study_id = prior.id
     WHERE f.state = 'accepted' AND f.normalised_key IS NOT NULL
       AND (f.patient_pseudonym IS NULL OR f.patient_pseudonym = s.patient_pseudonym)
     ORDER BY f.id = prior.image_id DESC LIMIT 1)
"""

_NOTE = """
    UPDATE studies SET chosen_lateral = n.lateral_id, chosen_prior = n.prior_id
    FROM (SELECT s.id, {companions} FROM studies s WHERE s.id = ANY(CAST(:ids AS uuid[]))) AS n
    WHERE studies.id = n.id
      AND (studies.chosen_lateral, studies.chosen_prior) IS DISTINCT FROM (n.lateral_id, n.prior_id)
"""


def companions(images: Collection[ImageRole]) -> str:
    """Columns ``lateral_id`` and ``prior_id`` of a statement about studies ``s``: NULL for roles not among these.

    What is not asked for is not in the statement either: PostgreSQL takes milliseconds to plan it.
    """
    lateral = BEST_LATERAL if ImageRole.LATERAL in images else _NONE
    prior = _PRIOR_FILM if ImageRole.PRIOR in images else _NONE
    return f"{lateral} AS lateral_id, {prior} AS prior_id"


def note_companions(work: Work, study_ids: Sequence[UUID]) -> None:
    """Look them up for studies that are summarised anew without being settled anew.

    A bundle that no GPU worker has loaded yet may look at either.
    """
    _, images = served_with_images(work)
    sql = _NOTE.format(companions=companions(list(ImageRole) if images is None else images))
    work.run(sql, {"ids": list(study_ids)})
