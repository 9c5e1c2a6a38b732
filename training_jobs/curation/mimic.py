"""MIMIC-CXR's reports: ``files/pNN/pSUBJECT/sSTUDY.txt`` in a folder or an archive."""

import re
from collections.abc import Iterator
from pathlib import Path

from training_jobs.curation.archives import files_in, natural
from training_jobs.curation.records import Record, broken
from xraygpt_core.report.mimic_sections import mimic_sections

_REPORT = re.compile(r"(?:^|.*/)(p\d+)/(s\d+)\.txt")


def read_mimic(source: Path, images: Path | None = None) -> Iterator[Record]:
    """The reports; with the folder of MIMIC-CXR-JPG also the films of each study.

    Raises:
        TrainingError: the folder or archive cannot be read.
    """
    for name, content in files_in(source, lambda name: _REPORT.fullmatch(name) is not None):
        found = _REPORT.fullmatch(name)
        if found is None:
            continue
        if content is None:
            yield broken(name, "the file is too large for a report")
            continue
        try:
            text = content.decode()
        except UnicodeDecodeError:
            yield broken(name, "the file is no UTF-8")
            continue
        parts = mimic_sections(text)
        films = _films(images, found[1], found[2]) if images is not None else ()
        yield Record(found[2], parts.findings, parts.impression, parts.indication, found[1], films, name)


def _films(images: Path, subject: str, study: str) -> tuple[str, ...]:
    """The addresses of the study's JPEGs below the folder."""
    for prefix in ("files/", ""):
        folder = images / prefix / subject[:3] / subject / study
        if folder.is_dir():
            films = sorted(folder.glob("*.jpg"), key=lambda film: natural(film.name))
            return tuple(film.relative_to(images).as_posix() for film in films)
    return ()
