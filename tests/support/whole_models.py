"""Whole published models, narrow: written as they lie on disk, and imported as the command line does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.layout_files import write_rad_dino
from tests.support.published_layouts import (
    write_libra,
    write_libra_3b,
    write_llava_rad,
    write_maira2,
    write_vicuna_v15,
)
from tests.support.published_parts import quiet
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.importing.release import choose, look, unpacked

NOTHING = ImportRequest(Path(), Path(), Path(), max_new_tokens=4)
TEMPLATE: str | None = None  # the one of the family


def imported(
    downloads: Path, models: Path, wanted: ImportRequest = NOTHING, **given: Path
) -> tuple[Bundle, list[ImportedPart]]:
    """The bundle ``models/made``, and what was found."""
    with unpacked(choose(look(downloads), dict(given), TEMPLATE), wanted, models, quiet) as request:
        return import_bundle(models, "made", request, quiet)


def write_all_of_llava_rad(folder: Path) -> None:
    """With the folders that it needs beside it."""
    write_llava_rad(folder)
    write_vicuna_v15(folder)


def write_all_of_libra(folder: Path) -> None:
    """With the folders that it needs beside it."""
    write_libra(folder)
    write_rad_dino(folder)


def write_all_of_libra_3b(folder: Path) -> None:
    """With the folders that it needs beside it."""
    write_libra_3b(folder)
    write_rad_dino(folder)


LAYOUTS: dict[str, Callable[[Path], Any]] = {
    "maira-2": write_maira2,
    "llava-rad": write_all_of_llava_rad,
    "libra": write_all_of_libra,
    "libra-3b": write_all_of_libra_3b,
}


def change(path: Path, **changed: Any) -> None:
    """Other values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
