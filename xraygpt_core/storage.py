"""The two buckets: the hospital's, which is read, and ours, which is written.

Only ``uploads/<sha256>`` is ever written to the hospital's bucket. An object's key may name a patient, so no error of
this module repeats a key, and none is chained to a library's error that would.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from xraygpt_core.errors import ConfigurationError, InvalidRequest, ObjectMissing, Rejected, Unavailable
from xraygpt_core.incoming_file import IncomingFile
from xraygpt_core.s3_client import answered, s3_client, translated
from xraygpt_core.s3_listing import read_listings_quickly
from xraygpt_core.settings import Settings
from xraygpt_core.states import ReasonCode

_CHUNK = 1 << 20
_PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class ObjectHead:
    """What identifies an object: its ETag without quotes; the version only where the bucket keeps versions."""

    etag: str
    version_id: str | None
    size: int


@dataclass(frozen=True)
class ListedObject:
    """One object of a listing. The key is patient data and stays out of ``repr``."""

    key: str
    etag: str
    size: int
    modified: datetime

    def __repr__(self) -> str:
        return f"Listed(etag={self.etag!r}, size={self.size})"


def is_folder_marker(key: str, size: int | None) -> bool:
    """True for the empty object that stands for a folder (S3 User Guide, "Organizing objects … by using folders")."""
    return size == 0 and key.endswith("/")


class ObjectStore:
    """S3, or anything that speaks it. Safe for many threads."""

    def __init__(self, settings: Settings) -> None:
        self.bucket = settings.bucket
        self.derived_bucket = settings.derived_bucket
        self._client = s3_client(settings)
        read_listings_quickly(self._client)
        self._impatient = cache(lambda: s3_client(settings, seconds=_PROBE_SECONDS, attempts=1))

    def head(self, bucket: str, key: str) -> ObjectHead:
        """What lies under a key now.

        Raises:
            ObjectMissing, Unavailable.
        """
        with self._bucket_there(bucket):
            return _head(translated(lambda: self._client.head_object(Bucket=bucket, Key=key), key))

    def read(self, bucket: str, key: str, *, etag: str, version_id: str | None = None, max_bytes: int) -> bytes:
        """The bytes of exactly the object that was registered, never of one that took its key since.

        Raises:
            ObjectReplaced: the key holds another object now.
            ObjectMissing: the key holds nothing now.
            Rejected: TOO_LARGE, above ``max_bytes``; at most ``max_bytes`` + 1 MiB were read.
            Unavailable: the bucket did not answer, or not to the end.
        """
        pinned = {"VersionId": version_id} if version_id else {}
        with self._bucket_there(bucket):
            return translated(
                lambda: self._fetch(max_bytes, Bucket=bucket, Key=key, IfMatch=f'"{etag}"', **pinned), key
            )

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """An object of the derived bucket.

        Raises:
            ObjectMissing, Unavailable.
            Rejected: TOO_LARGE, above ``max_bytes``.
        """
        return translated(lambda: self._fetch(max_bytes, Bucket=self.derived_bucket, Key=key))

    def get_file(self, key: str, path: Path) -> None:
        """Copy an object of the derived bucket to a file, which appears when it is complete; no link is followed."""
        part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)

        def copy() -> None:
            answer = self._client.get_object(Bucket=self.derived_bucket, Key=key)
            part.unlink(missing_ok=True)
            with part.open("xb") as file, closing(answer["Body"]) as body:
                for chunk in body.iter_chunks(_CHUNK):
                    file.write(chunk)
            _must_be_whole(part.stat().st_size, answer)

        try:
            translated(copy)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def list(self, bucket: str, prefix: str = "", start_after: str = "") -> Iterator[ListedObject]:
        """Every object below ``prefix``, in key order, behind ``start_after``; a page of 1000 a request.

        Raises:
            Unavailable: between two objects; the last key seen is where to go on.
        """
        more: dict[str, str] = {"StartAfter": start_after} if start_after else {}
        while True:
            request = {"Bucket": bucket, "Prefix": prefix, **more}
            page = translated(lambda request=request: self._client.list_objects_v2(**request))  # type: ignore[misc]
            for item in page.get("Contents", []):
                yield ListedObject(item["Key"], item["ETag"].strip('"'), item["Size"], item["LastModified"])
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Write to the derived bucket. Keys are made from content, so writing twice changes nothing."""
        put = self._client.put_object
        translated(lambda: put(Bucket=self.derived_bucket, Key=key, Body=data, ContentType=content_type))

    def put_file(self, key: str, path: Path) -> None:
        """Copy a file to the derived bucket, in parts where it is large."""
        translated(lambda: self._client.upload_file(str(path), self.derived_bucket, key))

    def put_upload(self, arrived: IncomingFile) -> ObjectHead:
        """Store a person's own file as ``uploads/<sha256>`` in the source bucket; nothing is written if it is there.

        Raises:
            InvalidRequest: the bytes do not have this hash.
        """
        file, key = arrived.whole(), f"uploads/{arrived.sha256}"
        try:
            there = self.head(self.bucket, key)
        except ObjectMissing:
            there = None
        if there is None or there.size != arrived.size:
            translated(lambda: self._client.put_object(Bucket=self.bucket, Key=key, Body=file))
            there = self.head(self.bucket, key)
        return there

    def delete(self, key: str) -> None:
        """Remove one object of the derived bucket; nothing happens if it is gone already."""
        translated(lambda: self._client.delete_object(Bucket=self.derived_bucket, Key=key))

    def delete_prefix(self, prefix: str) -> int:
        """Remove everything below a prefix of the derived bucket, and say how many objects that were."""
        if not prefix.strip("/"):
            raise InvalidRequest("delete_prefix needs a prefix: it does not empty the bucket")
        count = 0
        for listed in self.list(self.derived_bucket, prefix):
            self.delete(listed.key)
            count += 1
        return count

    def check(self) -> None:
        """Both buckets are there and answer.

        Raises:
            ConfigurationError: a bucket does not exist. Unavailable: no answer, or no permission.
        """
        for variable, bucket in (("XRAYGPT_BUCKET", self.bucket), ("XRAYGPT_DERIVED_BUCKET", self.derived_bucket)):
            try:
                translated(lambda bucket=bucket: self._client.head_bucket(Bucket=bucket))  # type: ignore[misc]
            except ObjectMissing:
                raise ConfigurationError(f"{variable}: there is no bucket {bucket!r}; create it first") from None

    def probe(self, *, source: bool, writes: bool) -> None:
        """Ask, without patience, whether the derived bucket gives objects, and what else is needed.

        Args:
            source: does the hospital's bucket answer?
            writes: does the derived bucket take an object?

        Raises:
            Unavailable, ObjectMissing.
        """
        client = self._impatient()
        if source:
            translated(lambda: client.head_bucket(Bucket=self.bucket))
        ours = {"Bucket": self.derived_bucket}
        first = translated(lambda: client.list_objects_v2(**ours, Prefix="normalised/", MaxKeys=1))
        for item in first.get("Contents", []):
            key = item["Key"]
            answered(lambda key=key: client.get_object(**ours, Key=key, Range="bytes=0-0")["Body"].read())  # type: ignore[misc]
        if writes:
            ours["Key"] = "probe"
            translated(lambda: client.put_object(**ours, Body=b"probe"))
            answered(lambda: client.delete_object(**ours))

    @contextmanager
    def _bucket_there(self, bucket: str) -> Iterator[None]:
        """A missing object is believed only where its bucket is there: not every server tells the two apart."""
        try:
            yield
        except ObjectMissing:
            try:
                translated(lambda: self._client.head_bucket(Bucket=bucket))
            except ObjectMissing:
                raise Unavailable("the bucket is not there") from None
            raise

    def _fetch(self, max_bytes: int | None, **request: str) -> bytes:
        answer = self._client.get_object(**request)
        data = bytearray()
        with closing(answer["Body"]) as body:  # a connection given up halfway is closed, not left to the collector
            _must_fit(answer["ContentLength"], max_bytes)
            for chunk in body.iter_chunks(_CHUNK):
                data += chunk
                _must_fit(len(data), max_bytes)  # the header may lie
        _must_be_whole(len(data), answer)
        return bytes(data)


def _head(answer: Any) -> ObjectHead:
    return ObjectHead(answer["ETag"].strip('"'), answer.get("VersionId"), answer["ContentLength"])


def _must_fit(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise Rejected(ReasonCode.TOO_LARGE, f"more than {max_bytes} bytes")


def _must_be_whole(size: int, answer: Any) -> None:
    if size != answer["ContentLength"]:
        raise Unavailable(f"the bucket sent {size} of {answer['ContentLength']} bytes")
