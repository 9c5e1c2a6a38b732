"""Pictures as answers. A picture leaves only if its SHA-256 is the one in the ledger."""

import hashlib
import hmac
import logging
from collections import OrderedDict
from http import HTTPStatus
from threading import Lock
from typing import Annotated, Any

from fastapi import Header, Response

from api_gateway.dependencies import Dependencies
from xraygpt_core.dicom.thumbnail import LONGEST_SIDE, thumbnail
from xraygpt_core.errors import ObjectMissing, Rejected, WrongPicture
from xraygpt_core.ledger.studies.pictures import Doubt, StoredPicture, picture_refused
from xraygpt_core.metrics import PICTURES_REFUSED

log = logging.getLogger(__name__)

# The pictures that the caller has (RFC 9110, section 13.1.2).
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="ETags of pictures the caller has: 304 if one of them is current"),
]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}},
    304: {"description": "The caller has this picture"},
    500: {"description": "The stored picture is not the one that was read"},
}
_LARGEST_BYTES = 16 << 20  # ingest makes at most 2048 x 2048 pixels of two bytes; a larger file is not its work


def picture_answer(services: Dependencies, picture: StoredPicture, cached: str | None) -> Response:
    """The picture, with its hash as ETag; 304, without a request to the bucket, if the caller has it already.

    Raises:
        WrongPicture: the stored picture is not the one that ingest wrote, or nothing proves it.
        NotFound: it was purged meanwhile.
    """
    # Only the caller may keep it, and must ask before showing it: rights end, and a study may choose another image.
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{picture.sha256}"'}
    if picture.sha256 is not None and _names(cached, picture.sha256):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(_verified(services, picture), media_type="image/png", headers=headers)


def thumbnail_answer(services: Dependencies, picture: StoredPicture, cached: str | None) -> Response:
    """The picture, small enough for a list. Those of late are kept in memory by the hash of what they were made from.

    Raises: as :func:`picture_answer`.
    """
    tag = f"{picture.sha256}-{LONGEST_SIDE}"
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{tag}"'}
    if picture.sha256 is not None and _names(cached, tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    small = _SMALL.get(picture.sha256)
    if small is None:
        small = _SMALL.put(picture.sha256, thumbnail(_verified(services, picture)))
    return Response(small, media_type="image/png", headers=headers)


class _Recent:
    """A few thousand small pictures by the hash of the large ones; the oldest goes first. Safe for many threads."""

    def __init__(self, most: int) -> None:
        self._most, self._kept, self._lock = most, OrderedDict[str, bytes](), Lock()

    def get(self, sha256: str | None) -> bytes | None:
        with self._lock:
            return None if sha256 is None else self._kept.get(sha256)

    def put(self, sha256: str | None, png: bytes) -> bytes:
        with self._lock:
            if sha256 is not None:
                self._kept[sha256] = png
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return png


_SMALL = _Recent(2000)  # some 10 MB


def _names(tags_sent: str | None, sha256: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (tags_sent or "").split(",")]
    return f'"{sha256}"' in tags


def _verified(services: Dependencies, picture: StoredPicture) -> bytes:
    if picture.sha256 is None:
        raise _refused(services, picture, "no hash")
    try:
        png = services.store.get(picture.key, max_bytes=_LARGEST_BYTES)
    except ObjectMissing:
        raise _refused(services, picture, "missing") from None
    except Rejected:
        raise _refused(services, picture, "other content") from None
    if not hmac.compare_digest(hashlib.sha256(png).hexdigest(), picture.sha256):
        raise _refused(services, picture, "other content")
    return png


def _refused(services: Dependencies, picture: StoredPicture, doubt: Doubt) -> WrongPicture:
    """The alarm: a row, a log line and a count. Raises NotFound if a purge explains it."""
    picture_refused(services.ledger, picture, doubt)
    PICTURES_REFUSED.inc()
    ids = {"study_id": picture.study_id, "image_id": picture.image_id, "reason": doubt}
    log.critical("a stored picture is not the one that was read: it is not shown", extra=ids)
    return WrongPicture("the stored picture is not the one that was read, so it is not shown: tell an operator")
