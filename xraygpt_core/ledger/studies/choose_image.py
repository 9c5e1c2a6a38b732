"""Which image of a study is summarised. It depends on the images alone, never on the order in which they came."""

from collections.abc import Collection
from typing import Any

from sqlalchemy.engine import RowMapping

from xraygpt_core.states import Flag, Origin

# A film that is frontal by its own header, and no worse than the detector made it. An urgent study is summarised from
# it at once; whatever else would be chosen only for want of a better one waits for the rest of its study.
SURELY_FRONTAL = f"""
    {{image}}.view IN ('PA', 'AP', 'FRONTAL') AND {{image}}.origin <= {Origin.PROCESSED}
    AND NOT {{image}}.flags && ARRAY['{Flag.IMPLAUSIBLE_PIXELS}', '{Flag.SECONDARY_CAPTURE}']
"""

# The lateral film of a study ``s`` that a model is shown beside the chosen one: a uuid, or NULL. Preferred as below.
BEST_LATERAL = f"""
    (SELECT l.id FROM images l
     WHERE l.study_id = s.id AND l.state = 'accepted' AND l.view = 'LATERAL'
       AND NOT EXISTS (SELECT FROM images o WHERE o.id = l.duplicate_of AND o.state = 'accepted')
     ORDER BY l.flags && ARRAY['{Flag.IMPLAUSIBLE_PIXELS}'], l.origin, l.flags && ARRAY['{Flag.ORIENTATION_UNCERTAIN}'],
              l.flags && ARRAY['{Flag.SECONDARY_CAPTURE}'], l.rows * l.columns DESC NULLS LAST, l.pixel_sha256, l.id
     LIMIT 1)
"""

# Preferred first. A view without a name may be frontal; the model was not trained on lateral or oblique ones.
_VIEW_ORDER = {"PA": 0, "AP": 1, "FRONTAL": 2, None: 3}


def choose(candidates: Collection[Any]) -> RowMapping | None:
    """The image to summarise.

    First comes how its pixels came about, so that a bone image is summarised only if there is nothing else; then what
    is called frontal before what has no name; an original before a derived film; PA before AP before a frontal view;
    the original before a copy, the largest, and of equals the one whose pixels' hash is the smallest: as arbitrary as
    any other, and the same whichever comes first.

    Args:
        candidates: rows with ``id``, ``view``, ``origin``, ``flags``, ``area``, ``pixel_sha256``.

    Returns:
        None if there is no frontal view among them.
    """
    return min((image for image in candidates if image["view"] in _VIEW_ORDER), key=_worth, default=None)


def _worth(image: RowMapping) -> tuple[Any, ...]:
    flags = image["flags"]
    copied = Flag.SECONDARY_CAPTURE in flags
    origin = max(image["origin"], Origin.DERIVED) if copied else image["origin"]
    return (
        Flag.IMPLAUSIBLE_PIXELS in flags,
        origin > Origin.PROCESSED and origin,
        image["view"] is None,
        origin,
        _VIEW_ORDER[image["view"]],
        Flag.ORIENTATION_UNCERTAIN in flags,
        copied,
        -(image["area"] or 0),
        image["pixel_sha256"] or "",
        str(image["id"]),
    )
