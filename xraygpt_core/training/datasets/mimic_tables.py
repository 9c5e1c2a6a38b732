"""MIMIC-CXR-JPG's official tables, where they lie beside a set: whose film it is, its split and its view.

``mimic-cxr-2.0.0-split.csv`` (dicom_id, study_id, subject_id, split) and ``mimic-cxr-2.0.0-metadata.csv`` (dicom_id,
subject_id, ViewPosition, …), plain or ``.gz`` (PhysioNet, mimic-cxr-jpg 2.0.0).
"""

from dataclasses import dataclass

from xraygpt_core.training.datasets.csv_rows import csv_rows
from xraygpt_core.training.datasets.files import Files
from xraygpt_core.training.datasets.problems import Problems
from xraygpt_core.training.datasets.splits import key_of
from xraygpt_core.training.datasets.views import view_of

_SPLIT, _METADATA = "mimic-cxr-2.0.0-split.csv", "mimic-cxr-2.0.0-metadata.csv"


@dataclass(frozen=True)
class MimicRow:
    """What the tables say of one film; None for what they do not say."""

    subject: str | None = None
    split: str | None = None
    view: str | None = None


_UNKNOWN = MimicRow()


class MimicTables:
    """The rows of both tables by film; one object for the films of which they say the same."""

    def __init__(self) -> None:
        self._rows: dict[int, MimicRow] = {}
        self._equal: dict[MimicRow, MimicRow] = {}

    def row(self, dicom_id: str) -> MimicRow:
        """What they say of a film."""
        return self._rows.get(key_of(dicom_id), _UNKNOWN) if self._rows else _UNKNOWN

    def add(self, dicom_id: str, subject: str | None, split: str | None, view: str | None) -> None:
        """Take what is not None."""
        known = self.row(dicom_id)
        row = MimicRow(subject or known.subject, split or known.split, view or known.view)
        self._rows[key_of(dicom_id)] = self._equal.setdefault(row, row)


def read_tables(files: Files, images: Files, problems: Problems) -> MimicTables:
    """The tables at the top of a set or of its images, as far as they are there."""
    tables = MimicTables()
    for name in (_SPLIT, _METADATA):
        places = ((where, address) for where in (files, images) for address in (name, f"{name}.gz"))
        place = next((place for place in places if place[0].exists(place[1])), None)
        if place is not None:
            for _, row in csv_rows(*place, ("dicom_id", "subject_id"), problems):
                split, view = row.get("split") or None, view_of(row.get("ViewPosition"))
                tables.add(row["dicom_id"], row["subject_id"] or None, split, view)
    return tables
