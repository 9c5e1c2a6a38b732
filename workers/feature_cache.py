"""Features on a training worker's disk: pulled once, checked by their hash, and kept for the runs that come."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from xraygpt_core.durable import flush
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import file_sha256
from xraygpt_core.storage import ObjectStore

_UNUSED_SECONDS = 3600.0  # after which no run is about to use a file
_KEY = re.compile(r"training/features/([0-9a-f]{64})/([0-9a-f]{64})-([0-9a-f]{64})\.safetensors")


class SpoiltFeatures(TrainingError):
    """What the derived bucket holds of features is not what was left there."""


class FeatureCache:
    """A folder of features, named by encoder, shard and content. Processes of one machine may share it.

    Args:
        max_bytes: what is kept beside the files of a run that is on.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def link(self, store: ObjectStore, key: str, path: Path) -> None:
        """Let the features of this key appear at ``path``, pulled if they are not here.

        Raises:
            SpoiltFeatures: what the bucket holds is not what was left there. ObjectMissing, Unavailable.
        """
        kept = self._folder / _name(key)
        if not kept.is_file():
            self._pull(store, key, kept)
        with contextlib.suppress(FileNotFoundError):  # another process threw it out at this moment
            os.utime(kept)
        self._link(kept, path)

    def _pull(self, store: ObjectStore, key: str, kept: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.make_room()
        part = kept.with_name(f".{kept.name}.{os.getpid()}")
        try:
            store.get_file(key, part)
            if not key.endswith(f"-{file_sha256(part)}.safetensors"):
                raise SpoiltFeatures("what the derived bucket holds of features is not what was left there")
            flush(part)  # a name that outlives a power failure has its content
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)

    def _link(self, kept: Path, path: Path) -> None:
        """A link keeps its file when the cache throws it out; on another disk it is copied."""
        try:
            os.link(kept, path)
        except OSError:
            shutil.copyfile(kept, path)

    def make_room(self) -> None:
        """Throw out the files that were not used for the longest time, until the bound is kept."""
        files = sorted(self._files())
        size = sum(bytes_ for _, bytes_, _ in files)
        for _, bytes_, path in files:
            if size <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            size -= bytes_

    def forget_all_but(self, keys: Iterable[str]) -> None:
        """Throw out what has none of these keys and was not used for an hour: purged films were in some of it."""
        known = {_name(key) for key in keys}
        for used_at, _, path in list(self._files()):
            if path.name not in known and time.time() - used_at > _UNUSED_SECONDS:
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._folder.glob("*.safetensors"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path


def _name(key: str) -> str:
    parts = _KEY.fullmatch(key)
    if parts is None:
        raise TrainingError("the ledger names features by a key that is none of features")
    return f"{parts[1][:16]}-{parts[2]}-{parts[3]}.safetensors"
