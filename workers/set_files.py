"""The files of a run's sets: below XRAYGPT_TRAINING_DATA, or in the hospital's bucket; nothing else is read.

A place is what is kept of an image's address: ``s3://bucket/key``, or a path below XRAYGPT_TRAINING_DATA. It may name a
patient. Its version says whether what lies there is still what the plan saw.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from xraygpt_core.errors import ObjectMissing, ObjectReplaced, Rejected, TrainingError
from xraygpt_core.paths import is_below
from xraygpt_core.states import ReasonCode
from xraygpt_core.storage import ObjectStore
from xraygpt_core.training.datasets.files import S3, FolderFiles, LeadsOut, check_address
from xraygpt_core.training.mixture import SetSpec

_ASK = 100  # so many objects are asked for one by one; then the whole set is listed
_NO_FOLDER = (
    "this worker reads no folder of sets: name it in its setting XRAYGPT_TRAINING_DATA, or put the set into the bucket"
)


class PlacedFiles(Protocol):
    """Files of a set (:class:`xraygpt_core.training.datasets.files.Files`), whose places and versions are known."""

    def open(self, address: str) -> BinaryIO: ...

    def list(self, folder: str) -> Iterator[str]: ...

    def exists(self, address: str) -> bool: ...

    def place(self, address: str) -> str:
        """Where it lies, for whoever reads it later."""

    def version(self, address: str) -> str:
        """What lies there now."""


class BucketFiles:
    """Objects below a prefix of the hospital's bucket; an address may be another object's whole ``s3://…``.

    Args:
        prefix: empty, or ends with a slash.
        max_bytes: of an object.
        alive: called before each question to the bucket.
    """

    def __init__(self, store: ObjectStore, prefix: str, max_bytes: int, alive: Callable[[], None]) -> None:
        self._store = store
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._alive = alive
        self._etags: dict[str, str] = {}
        self._asked = 0
        self._listed = False

    def open(self, address: str) -> BinaryIO:
        """The object's bytes."""
        self._alive()
        try:
            etag = self.version(address)
            return io.BytesIO(
                self._store.read(self._store.bucket, self._key(address), etag=etag, max_bytes=self._max_bytes)
            )
        except (ObjectMissing, ObjectReplaced):
            raise TrainingError("there is no such object") from None
        except Rejected:
            raise TrainingError(f"it has more than {self._max_bytes} bytes") from None

    def list(self, folder: str) -> Iterator[str]:
        """The addresses of all objects below a folder, in key order."""
        below = f"{self._prefix}{folder}/" if folder else self._prefix
        for number, listed in enumerate(self._store.list(self._store.bucket, below)):
            if number % 1000 == 0:
                self._alive()
            self._etags[listed.key] = listed.etag
            yield listed.key.removeprefix(self._prefix)

    def exists(self, address: str) -> bool:
        """Whether there is such an object."""
        try:
            self.version(address)
        except ObjectMissing:
            return False
        return True

    def place(self, address: str) -> str:
        """``s3://bucket/key``."""
        return f"{S3}{self._store.bucket}/{self._key(address)}"

    def version(self, address: str) -> str:
        """Its ETag. Raises ObjectMissing."""
        key = self._key(address)
        if key in self._etags:
            return self._etags[key]
        if self._asked == _ASK and not self._listed:
            self._listed = True
            for _ in self.list(""):
                continue
            return self.version(address)
        if self._listed and key.startswith(self._prefix):
            raise ObjectMissing("the object is not in the bucket")
        self._alive()
        self._asked += 1
        self._etags[key] = self._store.head(self._store.bucket, key).etag
        return self._etags[key]

    def _key(self, address: str) -> str:
        if address.startswith(S3):
            return key_of(address, self._store)
        check_address(address)
        return self._prefix + address


class SharedFolder:
    """A folder below XRAYGPT_TRAINING_DATA; an address may also be an object's whole ``s3://…``."""

    def __init__(self, folder: Path, root: Path, bucket: BucketFiles, alive: Callable[[], None]) -> None:
        self._files = FolderFiles(folder)
        self._root = root.resolve()
        self._bucket = bucket
        self._alive = alive

    def open(self, address: str) -> BinaryIO:
        """The file's bytes."""
        self._alive()
        return self._bucket.open(address) if address.startswith(S3) else self._files.open(address)

    def list(self, folder: str) -> Iterator[str]:
        """The addresses of all files below a folder."""
        for address in self._files.list(folder):
            self._alive()
            yield address

    def exists(self, address: str) -> bool:
        """Whether there is such a file."""
        self._alive()
        return self._bucket.exists(address) if address.startswith(S3) else self._files.exists(address)

    def place(self, address: str) -> str:
        """Its path below XRAYGPT_TRAINING_DATA."""
        if address.startswith(S3):
            return self._bucket.place(address)
        return str(self._files.path(address).relative_to(self._root))

    def version(self, address: str) -> str:
        """Its size and the moment it was last changed."""
        return self._bucket.version(address) if address.startswith(S3) else self._files.stamp(address)


def bucket_and_key(place: str) -> tuple[str, str]:
    """Of ``s3://bucket/key``; two empty texts for a path."""
    if not place.startswith(S3):
        return "", ""
    bucket, _, key = place.removeprefix(S3).partition("/")
    return bucket, key


def key_of(uri: str, store: ObjectStore) -> str:
    """The key of an ``s3://bucket/key`` of the hospital's bucket.

    Raises:
        LeadsOut: it names another bucket, or no object.
    """
    bucket, key = bucket_and_key(uri)
    if bucket != store.bucket or not key:
        raise LeadsOut("this names no object of the hospital's bucket (XRAYGPT_BUCKET), and no other one is read")
    return key


def files_of(
    spec: SetSpec, store: ObjectStore, root: Path | None, max_bytes: int, alive: Callable[[], None]
) -> tuple[PlacedFiles, PlacedFiles]:
    """The files of a set: those with its texts, and those with its images.

    Raises:
        TrainingError: it lies elsewhere, or is not there.
    """
    texts = _files_at(spec.path or "", store, root, max_bytes, alive)
    return texts, texts if spec.images is None else _files_at(spec.images, store, root, max_bytes, alive)


def _files_at(
    path: str, store: ObjectStore, root: Path | None, max_bytes: int, alive: Callable[[], None]
) -> PlacedFiles:
    if path.startswith(S3):
        key = key_of(path if path.rstrip("/").count("/") > len("//") else f"{path.rstrip('/')}//", store).strip("/")
        folder = key.rpartition("/")[0] if Path(key).suffix else key
        return BucketFiles(store, f"{folder}/" if folder else "", max_bytes, alive)
    where = folder_below(path, root)
    bucket = BucketFiles(store, "", max_bytes, alive)
    return SharedFolder(where if where.is_dir() else where.parent, root or where, bucket, alive)


def folder_below(path: str, root: Path | None) -> Path:
    """A file or folder that a run names, below XRAYGPT_TRAINING_DATA.

    Raises:
        TrainingError: it lies elsewhere or nowhere, or this worker has no such folder.
    """
    if root is None:
        raise TrainingError(_NO_FOLDER)
    where = root / path
    if not is_below(where, root) or not where.exists():
        raise LeadsOut("what the run names is no file or folder below the worker's XRAYGPT_TRAINING_DATA")
    return where.resolve()


def read_place(place: str, version: str, store: ObjectStore, root: Path | None, max_bytes: int) -> bytes:
    """The bytes of what the plan saw at a place, and of nothing that took its place since.

    Raises:
        ObjectReplaced, ObjectMissing: something else lies there now, or nothing.
        Rejected: TOO_LARGE.
        TrainingError: this worker has no such folder.
        Unavailable: the bucket does not answer.
    """
    if place.startswith(S3):
        return store.read(store.bucket, key_of(place, store), etag=version, max_bytes=max_bytes)
    if root is None:
        raise TrainingError(_NO_FOLDER)
    files = FolderFiles(root)
    if not files.exists(place):
        raise ObjectMissing("the file is not there")
    if files.stamp(place) != version:
        raise ObjectReplaced("the file was changed since the run was planned")
    with files.open(place) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Rejected(ReasonCode.TOO_LARGE, f"more than {max_bytes} bytes")
    return data
