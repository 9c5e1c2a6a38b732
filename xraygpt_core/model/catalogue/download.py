"""All files of a catalogue's entry into one folder: looked up, fitted to the disk, brought, and noted with their hash.

Beside each file lies a note as ``huggingface_hub`` writes it (commit, hash, time), which the importer compares with
the file once more (:mod:`xraygpt_core.model.importing.hashes`).
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from xraygpt_core.errors import BundleError
from xraygpt_core.file_lock import lock_if_free
from xraygpt_core.model.catalogue.answers import Remote
from xraygpt_core.model.catalogue.entries import Entry, Repository
from xraygpt_core.model.catalogue.hub import Hub, HubFile
from xraygpt_core.model.catalogue.memory import gigabytes
from xraygpt_core.model.catalogue.transfer import transfer
from xraygpt_core.model.importing.files import Progress, place
from xraygpt_core.model.importing.hashes import check_hashes, stated_hash
from xraygpt_core.model.importing.source import read_source, write_source

_SPARE = 2**30  # bytes of the disk that stay free
_NOTES = Path(".cache/huggingface/download")


@dataclass(frozen=True)
class Place:
    """Where one file goes."""

    file: HubFile
    folder: Path

    @property
    def target(self) -> Path:
        """The whole file."""
        return self.folder / self.file.name

    @property
    def part(self) -> Path:
        """The half file."""
        return self.folder / _NOTES / f"{self.file.name}.{self.file.digest}.incomplete"

    @property
    def here(self) -> int:
        """Bytes of it that are on this machine."""
        if self.is_whole():
            return self.file.size
        return min(self.part.stat().st_size, self.file.size) if self.part.is_file() else 0

    def is_whole(self) -> bool:
        """Whether it lies there as the hub has it: by its note, and by its size."""
        return (
            self.target.is_file()
            and self.target.stat().st_size == self.file.size
            and stated_hash(self.target) == self.file.digest
        )

    def note(self) -> None:
        """Write down what it is."""
        note = self.folder / _NOTES / f"{self.file.name}.metadata"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{self.file.commit}\n{self.file.digest}\n{time.time()}\n")


def download(
    entry: Entry,
    folder: Path,
    progress: Progress,
    say: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Bring every file of an entry below ``folder``, each repository into a folder of its own.

    Args:
        progress: takes bytes that are here, bytes in all, and which file it is.
        say: takes sentences about what happens.
        wait: sleeps for so many seconds, where the hub asks for it.

    Raises:
        BundleError: one sentence on what is wrong; what was downloaded stays, and the next call goes on from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, entry.name):
        hub = Hub(wait, say)
        found = {wanted.folder: _looked_up(hub, wanted, say) for wanted in _at_its_commits(entry, folder)}
        places = [Place(file, folder / name) for name, files in found.items() for file in files]
        _check_disk(entry, folder, places)
        write_source(folder, [_source(wanted, found[wanted.folder]) for wanted in entry.repositories])
        _clear(folder, found)
        total = sum(one.file.size for one in places)
        before = 0
        for one in places:
            _bring(one, _from(before, total, one.file.name, progress), wait)
            before += one.file.size
        progress(total, total, f"{len(places)} files are here, each with the hash that {hub.host} states")


def _from(before: int, total: int, name: str, progress: Progress) -> Callable[[int], None]:
    """The progress of one file as that of all."""

    def update(have: int) -> None:
        progress(before + have, total, name)

    return update


def _at_its_commits(entry: Entry, folder: Path) -> list[Repository]:
    """Its repositories; one that the catalogue pins to no commit stays at that of a fetch which was begun."""
    begun = read_source(folder) or {"repositories": []}
    commits = {one["repo"]: one["commit"] for one in begun["repositories"]}
    return [
        one if one.is_pinned else replace(one, revision=commits.get(one.repo, one.revision))
        for one in entry.repositories
    ]


def _looked_up(hub: Hub, wanted: Repository, say: Callable[[str], None]) -> list[HubFile]:
    files = hub.files(wanted)
    size = sum(file.size for file in files)
    say(f"{wanted.repo} at {files[0].commit}: {len(files)} files, {gigabytes(size)}")
    return files


def _source(wanted: Repository, files: list[HubFile]) -> dict[str, Any]:
    digests = {file.name: file.digest for file in files}
    return {"folder": wanted.folder, "repo": wanted.repo, "commit": files[0].commit, "files": digests}


def _clear(folder: Path, found: Mapping[str, list[HubFile]]) -> None:
    """Remove files of another commit that this one does not have: the import would take them for its own."""
    for name, files in found.items():
        wanted = {file.name for file in files}
        for path in (folder / name).glob("*"):
            if path.is_file() and path.name not in wanted:
                path.unlink()


def _check_disk(entry: Entry, folder: Path, places: list[Place]) -> None:
    """What is missing, and as much again as the bundle takes, has to fit.

    Raises:
        BundleError: it does not.
    """
    missing = sum(one.file.size - one.here for one in places)
    converted = sum(one.file.size for one in places)
    free = shutil.disk_usage(folder).free
    if missing + converted + _SPARE > free:
        raise BundleError(
            f"{entry.name} takes {gigabytes(missing)} to download and up to {gigabytes(converted)} as a bundle, and "
            f"the disk of {folder} has {gigabytes(free)} free: make room, or set XRAYGPT_MODELS to a folder elsewhere"
        )


def _bring(one: Place, progress: Callable[[int], None], wait: Callable[[float], None]) -> None:
    if not one.is_whole():
        cached = _in_the_cache(one)
        if cached is not None:
            one.target.unlink(missing_ok=True)
            place(cached, one.target)
        else:
            remote = Remote(one.file.url, one.file.size, one.file.digest, one.file.token)
            transfer(remote, one.part, one.target, progress, wait)
        one.note()
    progress(one.file.size)


def _in_the_cache(one: Place) -> Path | None:
    """The same file where ``huggingface_hub`` keeps what it downloaded for others, under its hash, which is checked."""
    repo = one.file.url.partition("://")[2].partition("/")[2].partition("/resolve/")[0]
    blobs = Path(str(constants.HF_HUB_CACHE)) / repo_folder_name(repo_id=repo, repo_type="model") / "blobs"
    blob: Path = blobs / one.file.digest
    if not blob.is_file() or blob.stat().st_size != one.file.size:
        return None
    try:
        check_hashes([blob], lambda _: None)
    except BundleError:  # damaged there: it is downloaded
        return None
    return blob


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """One fetch of a model at a time.

    Raises:
        BundleError: another process is at it.
    """
    with (folder / ".lock").open("w") as lock:
        if not lock_if_free(lock):
            raise BundleError(f"another command fetches {name} just now: wait until it has ended")
        yield
