"""One file from an address to a place: what is here already is kept, the rest is asked for, and all of it is hashed.

``huggingface_hub`` itself (2.4) throws a half file away when it is stopped, so the bytes are taken here, over its
session. A half file carries the hash of the whole in its name: that of another version is never continued.
"""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

import httpx2
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, get_session

from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.answers import KEPT, PAUSE, Again, Remote, begins_at, is_page, promises_all, web_page
from xraygpt_core.model.catalogue.hub import OFFLINE, no_answer

_CHUNK = 2**20
_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5  # in a row that bring no byte beyond those that were here
_LONGEST_PAUSE = 600.0


def transfer(
    remote: Remote,
    part: Path,
    target: Path,
    progress: Callable[[int], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Bring ``remote`` to ``target``, over ``part``, which stays where this ends early.

    Args:
        progress: takes the bytes that are on this machine, whenever there are more.
        wait: sleeps for so many seconds.

    Raises:
        BundleError: no answer, a full disk, or other bytes than were promised, which are thrown away.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _on_this_disk(target.parent), part.open("ab+") as file:
        way = _Transfer(remote, file, progress)
        found = way.run(wait)
    if found != remote.digest:
        part.unlink()
        more = f"{remote.host} sends more than the {remote.size} bytes that it promised, and " if way.more else ""
        raise BundleError(
            f"{more}{target.name} from {remote.host} is not what was promised, and was thrown away: its hash is "
            f"{found}, not {remote.digest}; download it again"
        )
    part.replace(target)


class _Transfer:
    """The file on its way: ``have`` bytes are here, and hashed; ``more`` than all of them were sent."""

    def __init__(self, remote: Remote, file: BinaryIO, progress: Callable[[int], None]) -> None:
        self._remote, self._file, self._progress = remote, file, progress
        self._hash, self.have, self.more = _hasher(remote), 0, False

    def run(self, wait: Callable[[float], None]) -> str:
        """The hash of all that came."""
        self._read_what_is_here()
        farthest, vain = self.have, 0
        while self.have < self._remote.size:
            again = self._ask_for_the_rest()
            if self.have >= self._remote.size:
                break
            vain = 0 if self.have > farthest else vain + 1
            farthest = max(farthest, self.have)
            if vain == _TRIES or again.pause > _LONGEST_PAUSE:
                raise BundleError(str(again))
            wait(max(again.pause, PAUSE * 2 ** max(vain - 1, 0)))
        return self._hash.hexdigest()

    def _read_what_is_here(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(0)
        if size > self._remote.size:
            self._from_the_start()
            return
        while chunk := self._file.read(min(_CHUNK, size - self.have)):
            self._take(chunk)

    def _from_the_start(self) -> None:
        self._file.truncate(0)
        self._hash, self.have = _hasher(self._remote), 0

    def _take(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.have += len(chunk)
        self._progress(self.have)

    def _ask_for_the_rest(self) -> Again:
        """Take what comes; why it may not have been everything."""
        headers = build_hf_headers(token=self._remote.token or False) | {"Accept-Encoding": "identity"}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
        session = get_session()
        try:
            with session.stream(
                "GET", self._remote.url, headers=headers, timeout=_TIMEOUT, follow_redirects=True
            ) as answer:
                self._receive(answer)
        except OfflineModeIsEnabled:
            raise BundleError(OFFLINE) from None
        except httpx2.HTTPError as error:
            return Again(no_answer(self._remote.host, error))
        except Again as again:
            return again
        name, size = self._remote.name, self._remote.size
        return Again(f"{self._remote.host} ends after {self.have} of the {size} bytes of {name}; {KEPT}")

    def _receive(self, answer: httpx2.Response) -> None:
        """Write the bytes that are missing; those that are here already have to be the same."""
        begins = begins_at(answer, self._remote, self.have)
        known, seen = self.have - begins, _hasher(self._remote)
        for number, chunk in enumerate(answer.iter_bytes()):
            if not begins and not number and is_page(chunk):
                raise web_page(answer, self._remote)
            if known:
                seen.update(chunk[:known])
                chunk, known = chunk[known:], max(known - len(chunk), 0)
                if not known and seen.digest() != self._hash.digest():
                    self._differs(answer)
            rest = self._remote.size - self.have
            self.more = len(chunk) > rest
            if chunk := chunk[:rest]:
                self._file.write(chunk)
                self._take(chunk)
            if self.more:  # the connection is closed, whatever else would come
                return

    def _differs(self, answer: httpx2.Response) -> NoReturn:
        """Either is wrong: where the answer is as long as the file, what is here is given up for it."""
        host, name = self._remote.host, self._remote.name
        if promises_all(answer, self._remote):
            self._from_the_start()
            raise Again(f"{host} has another {name} than the part that was here, which was given up for it")
        raise Again(f"{host} sends other bytes than those that are here of {name}; {KEPT}")


def _hasher(remote: Remote) -> "hashlib._Hash":
    if len(remote.digest) != 40:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {remote.size}\0".encode(), usedforsecurity=False)


@contextmanager
def _on_this_disk(folder: Path) -> Iterator[None]:
    """Say it where the disk is full; other errors of the machine name their file themselves."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BundleError(
            f"the disk of {folder} is full: make room, and the same command goes on; what was downloaded is kept"
        ) from error
