"""Whether downloaded files are what their publisher has: by the hashes that came with the download, where any did.

Hugging Face's own downloader leaves a file's hash beside it (``.cache/huggingface/download/NAME.metadata``, second
line), and its cache names every blob by it: SHA-256 for large files, git's blob hash for small ones. Whoever fetched
by hand may have a ``SHA256SUMS``, as sha256sum writes it.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import real_path

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LISTED = re.compile(r"(?P<hash>[0-9a-fA-F]{64})[ *]+(?P<name>\S.*)")
_LISTS = ("SHA256SUMS", "sha256sums.txt", "SHA256SUMS.txt")
_CHUNK = 2**22
_LIST_BYTES = 2**20


@dataclass
class HashCheck:
    """What was compared. ``unknown``: the SHA-256 of each file that nothing is known of, by name."""

    confirmed: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The same as sentences."""
        lines = []
        if self.confirmed:
            lines.append(f"{len(self.confirmed)} files have the hash that came with their download")
        lines += [f"{name}: no hash came with it; its SHA-256 is {digest}" for name, digest in self.unknown.items()]
        return lines


def check_hashes(files: list[Path], notify: Callable[[str], None]) -> HashCheck:
    """Hash these files and compare each with what its download says.

    Raises:
        BundleError: a file differs from it; it is damaged, or it was changed.
    """
    found = HashCheck()
    for path in files:
        notify(path.name)
        stated = stated_hash(path)
        digest = _digest(real_path(path), git=stated is not None and len(stated) == 40)
        if stated is None:
            found.unknown[path.name] = digest
        elif stated != digest:
            raise BundleError(f"{path.name} is not the file its download says: its hash is {digest}, not {stated}")
        else:
            found.confirmed.append(path.name)
    return found


def stated_hash(path: Path) -> str | None:
    """The hash that came with a file, as hex: 64 letters of SHA-256, or 40 of a git blob."""
    blob = real_path(path)
    if blob.parent.name == "blobs" and _HASH.fullmatch(blob.name):
        return blob.name
    for folder in (path.parent, *path.parents[1:3]):
        note = folder / ".cache" / "huggingface" / "download" / f"{path.relative_to(folder)}.metadata"
        lines = _lines(note)
        if len(lines) > 1 and _HASH.fullmatch(lines[1].strip()):
            return lines[1].strip()
    for line in (line for name in _LISTS for line in _lines(path.parent / name)):
        listed = _LISTED.fullmatch(line.strip())
        if listed and listed["name"].removeprefix("./") == path.name:
            return listed["hash"].lower()
    return None


def _lines(file: Path) -> list[str]:
    try:
        if file.is_file() and file.stat().st_size <= _LIST_BYTES:
            return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        pass
    return []


def _digest(path: Path, *, git: bool) -> str:
    digest = hashlib.sha1(usedforsecurity=False) if git else hashlib.sha256()
    if git:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
