"""Directories on this machine. Apart from the settings, which take 0.2 s to import: most commands need only these."""

import os
from pathlib import Path


def user_cache() -> Path:
    """The user's cache directory (XDG Base Directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xraygpt"


def data_dir() -> Path:
    """``XRAYGPT_HOME``, default ``.xraygpt`` in the current directory: where the one-machine stack keeps its data."""
    return Path(os.environ.get("XRAYGPT_HOME") or ".xraygpt").absolute()


def models_dir() -> Path:
    """``XRAYGPT_MODELS``: where bundles live, shared by all data directories of a user."""
    return Path(os.environ.get("XRAYGPT_MODELS") or user_cache() / "models").absolute()


def is_below(path: Path, folder: Path) -> bool:
    """Does a path stay below a folder when every link is followed? False where it leads nowhere, as a circle does."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, a circle of links, NUL or half a character
        return False
