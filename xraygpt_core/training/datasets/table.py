"""Any JSONL or CSV file (also ``.gz``) with a column for the image's address and one for its text.

Columns are found by our names, or by theirs where ``columns`` says so::

    columns = { image = "path_to_image", findings = "section_findings", impression = "section_impression" }

``image`` is needed, and ``text`` or one of ``findings`` and ``impression``. ``id``, ``patient``, ``split``, ``view``,
``indication``, ``question`` and ``paraphrases`` (JSONL: a list; CSV: texts apart by ``|``) are taken where they are.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from xraygpt_core.training.datasets.csv_rows import csv_rows
from xraygpt_core.training.datasets.files import Files, main_file
from xraygpt_core.training.datasets.json_rows import json_rows
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.report_text import joined
from xraygpt_core.training.datasets.rows import Row
from xraygpt_core.training.datasets.views import view_of
from xraygpt_core.training.mixture import SetSpec

NAMES = (
    "image",
    "text",
    "findings",
    "impression",
    "id",
    "patient",
    "split",
    "view",
    "indication",
    "question",
    "paraphrases",
)
_TEXTS = ("text", "findings", "impression")
_CSV = (".csv", ".csv.gz")


def rows(spec: SetSpec, files: Files, images: Files, problems: Problems) -> Iterator[Row]:  # noqa: ARG001  (a reader)
    """The table's rows in their order."""
    address = main_file(spec, "pairs.jsonl")
    unknown = sorted(spec.columns.keys() - set(NAMES))
    if unknown:
        what = f"columns has no {', '.join(unknown)}; known: {', '.join(NAMES)}"
        problems.add(f"the mixture, set {spec.name}", what, Kind.MISSING_COLUMN)
        return
    named = {name: spec.columns.get(name, name) for name in NAMES}
    needed = [named["image"], *(named[name] for name in NAMES if name in spec.columns and name != "image")]
    found: Iterator[tuple[str, Mapping[str, Any]]]
    if address.endswith(_CSV):
        found = csv_rows(files, address, needed, problems)
    else:
        found = json_rows(files, address, problems)
    for number, (where, cells) in enumerate(found, 1):
        if not any(named[name] in cells for name in _TEXTS):
            problems.add(where, f"there is no column {named['text']}", Kind.MISSING_COLUMN)
            if address.endswith(_CSV):
                return  # and so in every row
            continue
        row = _row(number, where, {name: cells.get(named[name]) for name in NAMES}, problems)
        if row is not None:
            yield row


def _row(number: int, where: str, cells: Mapping[str, Any], problems: Problems) -> Row | None:
    others = cells["paraphrases"]
    others = others.split("|") if isinstance(others, str) else others or []
    texts = {name: "" if value is None else value for name, value in cells.items() if name != "paraphrases"}
    for name in ("id", "patient"):
        if type(texts[name]) is int:
            texts[name] = str(texts[name])
    wrong = [name for name, value in texts.items() if not isinstance(value, str)]
    if wrong or not isinstance(others, list) or not all(isinstance(other, str) for other in others):
        problems.add(where, f"{' and '.join(wrong) or 'paraphrases'} must be text", Kind.WRONG_SHAPE)
        return None
    if not texts["image"]:
        problems.add(where, "it names no image", Kind.MISSING_IMAGE)
        problems.rows += 1
        return None
    return Row(
        row_id=texts["id"] or f"row-{number}",
        images=(texts["image"],),
        text=texts["text"] or joined(texts["findings"], texts["impression"]),
        where=where,
        patient=texts["patient"] or None,
        split=texts["split"] or None,
        view=view_of(texts["view"]),
        indication=texts["indication"] or None,
        question=texts["question"] or None,
        paraphrases=tuple(other for other in others if other.strip()),
    )
