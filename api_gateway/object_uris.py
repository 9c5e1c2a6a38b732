"""Addresses of objects as callers write them: ``s3://bucket/key``, with the plain key, not percent-encoded."""

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.s3_events.hints import MAX_KEY_BYTES
from xraygpt_core.settings import Settings


def source_object(uri: str, place: str, settings: Settings) -> tuple[str, str]:
    """Bucket and key of an object of the source bucket.

    Args:
        place: where in the request it stands, for the error; the address itself is patient data.

    Raises:
        InvalidRequest: it is malformed, or of another bucket.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise InvalidRequest(f"{place}: write it as s3://bucket/key, the key of at most {MAX_KEY_BYTES} bytes")
    if bucket == settings.derived_bucket:
        raise InvalidRequest(f"{place}: the derived bucket holds XrayGPT's own images; submit the original")
    if bucket != settings.bucket:
        raise InvalidRequest(f"{place}: only objects of the bucket {settings.bucket!r} are read here")
    return bucket, key
