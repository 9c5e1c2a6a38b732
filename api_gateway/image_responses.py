"""Pictures as answers. A picture leaves only if its SHA-256 is the one in the ledger."""

import hashlib
import hmac
import logging
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Response

from api_gateway.dependencies import Dependencies
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
_LARGEST_BYTES = 16 << 20  # ingest makes at most 2048 x 2048 grey bytes; a larger file is not its work


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
