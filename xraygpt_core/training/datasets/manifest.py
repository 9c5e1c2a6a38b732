"""Our own ``manifest.jsonl``: one object a line, ``id``, ``split`` and ``image`` (below the folder) at least.

``only`` takes the rows whose image lies below one of some folders. Such a folder may be a link to another disk, and an
image does not lead out of it: a licence is a folder's. ``columns`` says where the text stands, and the
collection or device that a film comes from, as in ``{ source = "source_repo" }``.
"""

from collections.abc import Iterator
from typing import Any

from xraygpt_core.training.datasets import nih14
from xraygpt_core.training.datasets.files import Files, main_file
from xraygpt_core.training.datasets.json_rows import json_rows
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.rows import Row
from xraygpt_core.training.datasets.views import view_of
from xraygpt_core.training.mixture import SetSpec

FILE = "manifest.jsonl"
_NEEDED = ("id", "split", "image")
_OPTIONAL = ("patient", "view")


def rows(spec: SetSpec, files: Files, images: Files, problems: Problems) -> Iterator[Row]:  # noqa: ARG001  (a reader)
    """Its rows in their order."""
    for where, row in manifest_rows(spec, files, problems):
        named, view = frozenset(row["labels"]), view_of(row["view"])
        text, labels = row["text"], {"view": None if view is None else float(view == "AP")}
        if spec.labels == nih14.NAME:
            labels |= nih14.truth(named)
            text = text or nih14.report(named, view)
        yield Row(
            row_id=row["id"],
            images=(row["image"],),
            text=text,
            where=where,
            patient=row["patient"] or row["id"],
            split=row["split"],
            view=view,
            source=row["source"],
            labels=labels,
        )


def manifest_rows(spec: SetSpec, files: Files, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row of the chosen folders stands, and it, with texts ``id``, ``split`` and ``image``, texts or None
    ``patient``, ``view``, ``text`` and ``source``, and a list of texts ``labels``.
    """
    columns = {name: spec.columns.get(name, name) for name in ("text", "source")}
    for where, row in json_rows(files, main_file(spec, FILE), problems):
        if not all(isinstance(row.get(name), str) for name in _NEEDED):
            problems.add(where, "id, split and image must be texts", Kind.WRONG_SHAPE)
            continue
        if spec.only and not row["image"].startswith(spec.only):
            continue
        labels = row.get("labels") or []
        optional = {name: row.get(name) for name in _OPTIONAL}
        optional |= {name: row.get(column) for name, column in columns.items()}
        if not _are_texts(labels) or not all(value is None or isinstance(value, str) for value in optional.values()):
            what = "patient, view, text and source must be texts, labels a list of texts"
            problems.add(where, what, Kind.WRONG_SHAPE)
            continue
        yield where, {name: row[name] for name in _NEEDED} | optional | {"labels": labels}


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
