"""What a registration is about: the contents of objects, and what became of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from xraygpt_core.ledger.transaction import Ledger

Identity = tuple[str, str, str]

_BURIED = "SELECT digest FROM tombstones WHERE digest = ANY (CAST(:digests AS text[]))"


@dataclass(frozen=True)
class ObjectRef:
    """One content of one object: the identity of an image is (bucket, key, etag)."""

    bucket: str
    key: str
    etag: str
    version_id: str | None = None
    size: int | None = None
    sequencer: str | None = None

    @property
    def uri(self) -> str:
        """``s3://bucket/key``; patient data, so it goes back to its sender and nowhere else."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def identity(self) -> Identity:
        """What tells one image from another."""
        return (self.bucket, self.key, self.etag)


@dataclass(frozen=True)
class Registered:
    """What an object became. ``new`` is False if it was known."""

    image_id: UUID
    study_id: UUID
    uri: str
    new: bool


def as_json(refs: Sequence[ObjectRef]) -> str:
    """The same objects as JSON, for ``jsonb_to_recordset``: one value is sent and read faster than many arrays."""
    return json.dumps([ref.__dict__ for ref in refs])


def later(one: str, other: str) -> bool:
    """Did the event with sequencer ``one`` happen after the other? The shorter is filled up with zeros on its right
    side, then they compare as text (Amazon S3 user guide, "Event message structure").
    """
    length = max(len(one), len(other))
    return one.ljust(length, "0") > other.ljust(length, "0")


def digest(salt: str, bucket: str, key: str, etag: str) -> str:
    """What a tombstone remembers of a purged object: enough to know it again, not enough to read it."""
    return sha256("\0".join((salt, bucket, key, etag)).encode()).hexdigest()


def purged_objects(ledger: Ledger, objects: Mapping[int, Identity]) -> set[int]:
    """Which of these objects (bucket, key, ETag) were films of a study that was purged: no run reads them again."""
    if not objects:
        return set()
    with ledger.work() as work:
        salt = work.row("SELECT tombstone_salt FROM installation")
        digests = {digest(salt["tombstone_salt"] if salt else "", *one): number for number, one in objects.items()}
        found = work.rows(_BURIED, {"digests": list(digests)})
    return {digests[row["digest"]] for row in found}
