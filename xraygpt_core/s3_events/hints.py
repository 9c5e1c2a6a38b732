"""Object hints, which every dialect is read into, and the checks that all dialects share.

Bucket keys are patient data: no error of this package repeats one, and no ``repr`` shows one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from xraygpt_core.errors import InvalidRequest

MAX_HINTS = 1000
MAX_KEY_BYTES = 1024  # Amazon S3 User Guide, "Naming Amazon S3 objects"

Dialect = Literal["aws", "minio", "eventbridge", "seaweedfs", "test"]
Kind = Literal["created", "deleted"]
Message = dict[str, Any]


@dataclass(frozen=True)
class ObjectHint:
    """An object that may have come or gone. ``sequencer`` orders the events of one key (compare padded, as text)."""

    bucket: str
    key: str
    etag: str | None
    version_id: str | None
    size: int | None
    sequencer: str | None
    kind: Kind

    def __repr__(self) -> str:
        return f"ObjectHint(kind={self.kind!r}, etag={self.etag!r})"


@dataclass(frozen=True)
class Events:
    """One message: its dialect and its hints. A test message has no hints."""

    dialect: Dialect
    hints: tuple[ObjectHint, ...]


def limited(hints: Iterator[ObjectHint]) -> tuple[ObjectHint, ...]:
    """All of them, unless they are too many."""
    taken = tuple(islice(hints, MAX_HINTS + 1))
    if len(taken) > MAX_HINTS:
        raise InvalidRequest(f"an event names at most {MAX_HINTS} objects")
    return taken


def inner(parent: Message, name: str) -> Message:
    """The JSON object under a name."""
    value = parent.get(name)
    if not isinstance(value, dict):
        raise InvalidRequest(f"the event lacks the object {name!r}")
    return value


def text(parent: Message, name: str) -> str:
    """The text under a name, which is not empty."""
    value = parent.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"the event lacks the text {name!r}")
    return value


def object_hint(
    kind: Kind,
    *,
    bucket: str,
    key: str,
    etag: object = None,
    version_id: object = None,
    size: object = None,
    sequencer: object = None,
) -> ObjectHint:
    """A hint from an event's values. Values that only help are None where they are not what they should be.

    Raises:
        InvalidRequest: the bucket or the key is impossible.
    """
    version = _short(version_id)
    return ObjectHint(
        bucket=_bucket_name(bucket),
        key=_object_key(key),
        etag=(_short(etag) or "").strip('"') or None,
        version_id=None if version == "null" else version,  # "null" where the bucket keeps no versions
        size=_size(size),
        sequencer=_sequencer(sequencer),
        kind=kind,
    )


def _bucket_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name):
        raise InvalidRequest("the event names an impossible bucket")
    return name


def _object_key(key: str) -> str:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("an object key is not UTF-8") from None
    if not 0 < length <= MAX_KEY_BYTES or "\0" in key:
        raise InvalidRequest(f"an object key has 1 to {MAX_KEY_BYTES} bytes and no NUL")
    return key


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def _sequencer(value: object) -> str | None:
    """Hexadecimal digits, in one case so that they compare as text."""
    return value.upper() if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{1,1024}", value) else None


def _short(value: object) -> str | None:
    """ETags and version ids are printable ASCII; anything else is no hint."""
    return value if isinstance(value, str) and re.fullmatch(r"[!-~]{1,1024}", value) else None
