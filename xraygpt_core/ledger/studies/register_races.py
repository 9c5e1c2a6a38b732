"""Several processes register the same objects at the same moment: events, a listing, a sweep."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.studies.objects import Identity, ObjectRef, Registered
from xraygpt_core.ledger.transaction import Ledger, Work

T = TypeVar("T")

# Keeps a study from being purged, or from becoming an alias, until the new image is in it.
_LOCK_JOINED = """
    SELECT id, alias_of FROM studies WHERE id = ANY(CAST(:ids AS uuid[])) AND purged_at IS NULL
    ORDER BY id FOR KEY SHARE
"""


class RacedError(Exception):
    """Another process changed what this registration has just read: roll back and look again."""


def registering(ledger: Ledger, body: Callable[..., T]) -> T:
    """Run ``body(work, careful=…)``, which calls :func:`.register.register_in`, in one transaction.

    It is careful after a race: see there.
    """
    with suppress(RacedError):
        return repeating(ledger, partial(body, careful=False))
    while True:
        with suppress(RacedError):
            return repeating(ledger, partial(body, careful=True))


def lock_joined(
    work: Work, studies: Mapping[tuple[str, str], UUID], refs: Sequence[ObjectRef]
) -> dict[tuple[str, str], UUID]:
    """The studies, by (bucket, key), that these new contents join; they stay as they are until the commit.

    Args:
        studies: where the last content of each known key is. A purged one takes no new content.

    Raises:
        RacedError: a study became an alias of another one while we waited for it.
    """
    of_key = {name: studies[name] for name in {(ref.bucket, ref.key): None for ref in refs} if name in studies}
    if not of_key:
        return {}
    locked = work.rows(_LOCK_JOINED, {"ids": list(of_key.values())})
    if any(row["alias_of"] is not None for row in locked):
        raise RacedError
    alive = {row["id"] for row in locked}
    return {name: study_id for name, study_id in of_key.items() if study_id in alive}


def inserted_first(offered: dict[Identity, Registered], images: Collection[UUID]) -> dict[Identity, Registered]:
    """Those whose images were inserted; others were faster with the rest.

    Raises:
        RacedError: two contents of a key, one of them now in a study we have not seen: the other belongs there, too.
    """
    mine = {identity: one for identity, one in offered.items() if one.image_id in images}
    lost = {(bucket, key) for bucket, key, _etag in offered.keys() - mine.keys()}
    if any((bucket, key) in lost for bucket, key, _etag in mine):
        raise RacedError
    return mine
