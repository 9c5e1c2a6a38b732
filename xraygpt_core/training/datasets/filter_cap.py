"""XrayGPT's own layout: ``image/`` beside ``filter_cap.json``, ``{"annotations": [{"image_id", "caption"}, …]}``.

MIMIC ids lie as ``.jpg`` and Open-i ids as ``.png`` (the released dataset classes); Open-i films may have either of
their two names. The layout names no patient: MIMIC's official tables beside it do, an Open-i id tells its study, and
elsewhere films of one text count as one patient's.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.files import Files, main_file
from xraygpt_core.training.datasets.json_items import BrokenJson, WrongShape, items_of
from xraygpt_core.training.datasets.lines import NO_UTF8, READ_ERRORS, open_plain
from xraygpt_core.training.datasets.mimic_tables import MimicTables, read_tables
from xraygpt_core.training.datasets.open_i_ids import published_end, short_id, study_of
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.rows import Row
from xraygpt_core.training.mixture import SetSpec

FILE = "filter_cap.json"
_FOLDER = "image/"
_ENDINGS = (".jpg", ".png", ".jpeg")


def rows(spec: SetSpec, files: Files, images: Files, problems: Problems) -> Iterator[Row]:
    """The annotations in their order."""
    address = main_file(spec, FILE)
    tables = read_tables(files, images, problems)
    films = _Films(images, "" if spec.images else _FOLDER)
    try:
        with open_plain(files, address) as stream:
            for line, item in items_of(stream, "annotations"):
                row = _row(item, f"{address}, line {line}", tables, films, problems)
                if row is not None:
                    yield row
    except WrongShape as error:
        problems.add(f"{address}, line {error.line}", str(error), Kind.WRONG_SHAPE)
    except BrokenJson as error:
        problems.add(f"{address}, line {error.line}", str(error), Kind.BROKEN_JSON)
    except UnicodeDecodeError:
        problems.add(address, NO_UTF8, Kind.ENCODING)
    except TrainingError as error:
        problems.add(address, str(error), Kind.UNREADABLE_FILE)
    except READ_ERRORS as error:
        problems.add(address, f"it cannot be read to its end ({type(error).__name__})", Kind.UNREADABLE_FILE)


def _row(item: Any, where: str, tables: MimicTables, films: "_Films", problems: Problems) -> Row | None:
    if not isinstance(item, dict) or not isinstance(item.get("caption"), str):
        problems.add(where, "an annotation must be an object with texts image_id and caption", Kind.WRONG_SHAPE)
        return None
    image_id = str(item["image_id"]) if isinstance(item.get("image_id"), str | int) else ""
    caption = item["caption"]
    known = tables.row(image_id)
    patient = known.subject or study_of(image_id) or _by_text(caption)
    return Row(image_id, films.addresses(image_id), caption, where, patient, known.split, known.view)


def _by_text(caption: str) -> str:
    """A stand-in for the patient: the films of one study have one text."""
    return "text " + hashlib.sha256(caption.encode("utf-8", "surrogatepass")).hexdigest()


class _Films:
    """Where an id's image may lie."""

    def __init__(self, images: Files, folder: str) -> None:
        self._images, self._folder = images, folder
        self._published: dict[str, list[str]] | None = None  # by the ends of their names

    def addresses(self, image_id: str) -> tuple[str, ...]:
        own = [f"{self._folder}{image_id}{ending}" for ending in _ENDINGS]
        short = short_id(image_id)
        if short is not None:
            return (*own, f"{self._folder}{short}.png")
        end = published_end(image_id)
        return (*own, *self._of_end(end)) if end is not None and not self._images.exists(own[1]) else tuple(own)

    def _of_end(self, end: str) -> list[str]:
        """The film whose published name ends so; none where several do."""
        if self._published is None:
            self._published = {}
            for address in self._images.list(self._folder.rstrip("/")):
                name = address.rpartition("/")[2].rpartition(".")[0]
                if "_IM-" in name:
                    self._published.setdefault(name[name.index("_IM-") :], []).append(address)
        found = self._published.get(end, [])
        return found if len(found) == 1 else []
