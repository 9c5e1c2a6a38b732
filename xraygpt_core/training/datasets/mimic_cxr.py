"""MIMIC-CXR-JPG as PhysioNet publishes it: ``files/p10/p10000032/s50414267/DICOM.jpg``, and its report
``s50414267.txt`` in the study's folder or beside it, in this tree or in the one of MIMIC-CXR's reports.

The official tables give split and view where they lie at the top. One report is the text of each of its frontal films.
"""

import re
from collections.abc import Iterator

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.files import Files, LeadsOut, Unlisted
from xraygpt_core.training.datasets.lines import NO_UTF8, READ_ERRORS
from xraygpt_core.training.datasets.mimic_tables import MimicTables, read_tables
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.report_text import indication_text, summary_text
from xraygpt_core.training.datasets.rows import Row
from xraygpt_core.training.mixture import SetSpec

_FOLDER = "files"
_FILM = re.compile(r"files/p(\d\d)/p(\d{8})/s(\d{8})/([0-9A-Za-z._-]+)\.(jpg|jpeg|png|dcm)")
_FILM_ENDINGS = (".jpg", ".jpeg", ".png", ".dcm")
_MOST_BYTES = 2**20  # of a report


def rows(spec: SetSpec, files: Files, images: Files, problems: Problems) -> Iterator[Row]:  # noqa: ARG001  (a reader)
    """The films in the order of their paths."""
    tables = read_tables(files, images, problems)
    study, report = "", None
    try:
        for address in images.list(_FOLDER):
            if not address.endswith(_FILM_ENDINGS):
                continue
            found = _FILM.fullmatch(address)
            if found is None or not found[2].startswith(found[1]):
                problems.rows += 1
                problems.add(address, "it does not lie in files/pNN/pSUBJECT/sSTUDY", Kind.WRONG_ID)
                continue
            folder = address.rpartition("/")[0]
            if folder != study:
                study, report = folder, _report(files, folder, problems)
            if report is not None:
                yield _row(address, found, report, tables)
    except Unlisted as error:
        problems.add(error.address, str(error), Kind.UNREADABLE_FILE)
    except LeadsOut as error:
        problems.add(_FOLDER, str(error), Kind.LEADS_OUT)


def _row(address: str, found: re.Match[str], report: str, tables: MimicTables) -> Row:
    known = tables.row(found[4])
    return Row(
        row_id=found[4],
        images=(address,),
        text=summary_text(report),
        where=address,
        patient=found[2],
        split=known.split,
        view=known.view,
        indication=indication_text(report),
    )


def _report(files: Files, folder: str, problems: Problems) -> str | None:
    """The text of a study; None, and a problem, where there is none that can be read."""
    name = folder.rpartition("/")[2]
    for address in (f"{folder}.txt", f"{folder}/{name}.txt", f"mimic-cxr-reports/{folder}.txt"):
        try:
            if files.exists(address):
                with files.open(address) as stream:
                    return stream.read(_MOST_BYTES).decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            problems.add(f"{address}, line {line}", NO_UTF8, Kind.ENCODING)
            return None
        except (TrainingError, *READ_ERRORS) as error:
            kind = Kind.LEADS_OUT if isinstance(error, LeadsOut) else Kind.UNREADABLE_FILE
            problems.add(address, str(error), kind)
            return None
    problems.rows += 1
    problems.add(folder, "there is no report of this study", Kind.EMPTY_TEXT)
    return None
