"""Projectors as they come out of an import."""

from pathlib import Path

from xraygpt_core.model.importing.projectors import read_projector
from xraygpt_core.model.projector import Projector, load_projector


def written_projector(path: Path, heads: int | None = None) -> Projector:
    """A published projector, as the importer writes it."""
    read = read_projector(path)
    read.write(path.with_suffix(".ours"), heads)
    return load_projector(read.kind, path.with_suffix(".ours")).eval()
