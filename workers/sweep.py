"""Walks through buckets: what bucket events missed, what a backlog asks for, what is too old to be kept.

Events are hints and may be lost; a listing is the truth.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.backlogs.progress import PrefixListing, add_page, listings, note_problem
from xraygpt_core.ledger.studies.purge import expired_studies, purge_study
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.metrics import MISSED_BY_EVENT
from xraygpt_core.states import Lane
from xraygpt_core.storage import ObjectStore, is_folder_marker

PAGE = 1000  # what a bucket answers at once
_TURN = 20  # pages of one backlog before the next one has its turn
# An upload counts from its start: look back further than to what was seen last.
_OVERLAP = timedelta(minutes=15)


@dataclass(frozen=True)
class Swept:
    """What a sweep found.

    Attributes:
        missed: objects that no event announced.
        until: where the next sweep goes on: the newest object of this one, by the bucket's clock, which may be far from
            ours; what is new later is not older than that.
    """

    missed: int
    until: datetime


def sweep_bucket(ledger: Ledger, store: ObjectStore, since: datetime, until: datetime) -> Swept:
    """Register what changed in the source bucket between two moments and no event announced."""
    found, newest = 0, since

    def recent() -> Iterator[ObjectRef]:
        nonlocal newest
        for listed in store.list(store.bucket):
            if since - _OVERLAP <= listed.modified <= until and not is_folder_marker(listed.key, listed.size):
                newest = max(newest, listed.modified)
                yield ObjectRef(store.bucket, listed.key, listed.etag, size=listed.size)

    for page in pages(recent()):
        found += sum(one.new for one in register_objects(ledger, page, Lane.ROUTINE, actor="sweep"))
    MISSED_BY_EVENT.inc(found)
    return Swept(found, newest)


def list_backlogs(ledger: Ledger, store: ObjectStore) -> int:
    """List every open backlog to its end, a page a transaction, from where it stands; how many objects were listed.

    Pausing and cancelling act at once, for a page counts only if the backlog is still where it was; so two listers do
    not disturb each other, and several backlogs take turns. One whose bucket refuses says so and waits for the next
    round, while the others go on.
    """
    count = 0
    refused: set[UUID] = set()
    while open_listings := [one for one in listings(ledger) if one.backlog_id not in refused]:
        for listing in open_listings:
            try:
                count += _list_some(ledger, store, listing)
            except Unavailable as error:
                note_problem(ledger, listing.backlog_id, str(error))
                refused.add(listing.backlog_id)
    return count


def retain(ledger: Ledger, store: ObjectStore) -> int:
    """Purge what is older than the retention setting; how many studies that were."""
    count = 0
    while expired := expired_studies(ledger):
        for study_id in expired:
            purge_study(ledger, study_id, store.delete)
            count += 1
    return count


def pages(refs: Iterable[ObjectRef]) -> Iterator[list[ObjectRef]]:
    """The same in lists of at most :data:`PAGE`."""
    rest = iter(refs)
    while page := list(islice(rest, PAGE)):
        yield page


def _list_some(ledger: Ledger, store: ObjectStore, listing: PrefixListing) -> int:
    """A few pages of one backlog; the next page is fetched while one is registered."""
    since = listing.since or datetime.min.replace(tzinfo=UTC)
    objects = store.list(listing.bucket, listing.prefix, listing.start_after)
    count = 0
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(lambda: list(islice(objects, PAGE)))
        for turn in range(_TURN):
            page = coming.result()
            last = len(page) < PAGE
            if not last and turn + 1 < _TURN:
                coming = ahead.submit(lambda: list(islice(objects, PAGE)))
            refs = [
                ObjectRef(listing.bucket, listed.key, listed.etag, size=listed.size)
                for listed in page
                if listed.modified >= since and not is_folder_marker(listed.key, listed.size)
            ]
            next_after = page[-1].key if page else listing.start_after
            if not add_page(ledger, listing, refs, next_after=next_after, last=last):
                break
            count += len(refs)
            listing = replace(listing, start_after=next_after)
            if last:
                break
    return count
