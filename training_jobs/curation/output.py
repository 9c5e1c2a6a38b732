"""The files of a finished curation: our JSON lines, XrayGPT's ``filter_cap.json``, and what was dropped."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from xraygpt_core.durable import complete_text
from xraygpt_core.training.datasets.open_i_ids import short_id

KEPT, DROPPED, FILTER_CAP = "kept.jsonl", "dropped.jsonl", "filter_cap.json"
Rows = Callable[[], Iterable[dict[str, Any]]]


def write_folder(folder: Path, rows: Rows) -> dict[str, int]:
    """All three files, each there whole or not at all.

    Returns:
        ``{"pairs": n, "annotations": n}``: lines of ``kept.jsonl``, and annotations: a report without films has none.
    """
    ids = _image_ids(rows)
    written = {"pairs": 0, "annotations": 0}
    with (
        complete_text(folder / KEPT) as kept,
        complete_text(folder / DROPPED) as dropped,
        complete_text(folder / FILTER_CAP) as captions,
    ):
        captions.write('{"annotations": [')
        for row in rows():
            if "dropped" in row:
                dropped.write(json.dumps(row) + "\n")
                continue
            for pair in pairs_of(row):
                kept.write(json.dumps(pair) + "\n")
                written["pairs"] += 1
                if "image" in pair:
                    annotation = {"image_id": ids(pair["image"]), "caption": pair["text"]}
                    captions.write((",\n" if written["annotations"] else "\n") + json.dumps(annotation))
                    written["annotations"] += 1
        captions.write("\n]}\n")
    return written


def write_file(file: Path, rows: Rows) -> None:
    """The kept reports, one JSON object a line: uid, findings, impression and the text made of both."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with complete_text(file) as out:
        for row in rows():
            if "dropped" not in row:
                out.write(json.dumps({key: row[key] for key in ("uid", "findings", "impression", "text")}) + "\n")


def pairs_of(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A pair for each film of a kept report; one without an image where the source names no film."""
    images = row.get("images") or [None]
    for image in images:
        pair = {"id": row["uid"] if len(images) == 1 else f"{row['uid']}/{_stem(image)}"}
        pair |= {"patient": row.get("patient") or row["uid"]} | ({"image": image} if image else {})
        indication = {"indication": row["indication"]} if row.get("indication") else {}
        yield pair | {"text": row["text"]} | indication | {"provenance": row["provenance"]}


def _image_ids(rows: Rows) -> Callable[[str], str]:
    """XrayGPT's id of a film: Open-i's short one where no other film of the source has it, else the name it has."""
    short = Counter(
        name
        for row in rows()
        if "dropped" not in row
        for image in row.get("images", ())
        if (name := short_id(_stem(image)))
    )

    def image_id(image: str) -> str:
        name = short_id(_stem(image))
        return name if name is not None and short[name] == 1 else _stem(image)

    return image_id


def _stem(image: str) -> str:
    """A film's name without its folder and ending; ids of MIMIC-CXR and Open-i are unique without."""
    return image.rpartition("/")[2].rpartition(".")[0] or image
