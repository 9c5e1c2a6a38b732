"""Where a page of a list begins, as text that goes to the client and comes back."""

import base64
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.lists.orders import Cursor, Order, Sorting, WorklistView

# Version, list and order, rank, microseconds since 1970, id: 27 bytes are 36 letters of base64, without padding.
_CURSOR = struct.Struct(">BBbq16s")
_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LETTERS = "^[A-Za-z0-9_-]{36}$"


def written(listing: WorklistView, sorting: Sorting, place: Cursor) -> str:
    """The place as text."""
    microseconds = (place.at - _EPOCH) // timedelta(microseconds=1)
    packed = _CURSOR.pack(_VERSION, _which(listing, sorting), place.rank, microseconds, place.id.bytes)
    return base64.urlsafe_b64encode(packed).decode()


def read(listing: WorklistView, sorting: Sorting, cursor: str) -> Cursor:
    """Where a page begins.

    Raises:
        InvalidRequest: no page of this list, in this order, ends there.
    """
    version, which, rank, microseconds, study = _CURSOR.unpack(base64.urlsafe_b64decode(cursor))
    if version != _VERSION or which != _which(listing, sorting):
        raise InvalidRequest("the cursor belongs to another list, or to another order: begin without one")
    try:
        at = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise InvalidRequest("the cursor was changed on its way: begin without one") from None
    return Cursor(rank, at, UUID(bytes=study))


def _which(listing: WorklistView, sorting: Sorting) -> int:
    return list(WorklistView).index(listing) | list(Order).index(sorting.order) << 2 | sorting.descending << 5
