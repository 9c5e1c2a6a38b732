"""The files and objects a person names on the command line."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit


def is_uri(source: str) -> bool:
    """True for ``s3://bucket/key``."""
    return source.startswith("s3://")


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of an ``s3://`` URI; ValueError if it has no bucket."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"{uri} is not s3://bucket/key")
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").removeprefix("/")


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular, not hidden file below a folder, in a fixed order; hidden folders are passed over."""
    for directory, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory, name)
            if not name.startswith(".") and path.is_file():
                yield path


def expand(sources: Iterable[str]) -> list[str]:
    """Files, folders and ``s3://`` URIs as one list of files and URIs, each once.

    Raises:
        FileNotFoundError: naming what is neither.
    """
    found: dict[str, str] = {}
    for source in sources:
        if is_uri(source):
            found.setdefault(source, source)
            continue
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(source)
        for file in files_below(path) if path.is_dir() else (path,):
            found.setdefault(str(file.absolute()), str(file))
    return list(found.values())
