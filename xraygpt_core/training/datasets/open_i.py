"""Open-i (Indiana University, Demner-Fushman et al. 2016): a folder or ``.tgz`` of XML reports, and PNG films.

A report names its films by ``parentImage[@id]``; each lies as ``{id}.png``, or by XrayGPT's short name, and has the
report's findings and impression as its text. The set has no split and no patient of its own: reports that share the
middle number of their films' names stay together.
"""

import lzma
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from xraygpt_core.errors import TrainingError
from xraygpt_core.report.open_i_xml import NoReport, OpenIReport, open_i_report
from xraygpt_core.training.datasets.files import Files, Unlisted, main_file
from xraygpt_core.training.datasets.lines import READ_ERRORS
from xraygpt_core.training.datasets.open_i_ids import short_id, study_of
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.report_text import joined
from xraygpt_core.training.datasets.rows import Row
from xraygpt_core.training.mixture import SetSpec

_MOST_BYTES = 2**20  # of a report
_ARCHIVES = (".tgz", ".tar.gz", ".tar")


def rows(spec: SetSpec, files: Files, images: Files, problems: Problems) -> Iterator[Row]:  # noqa: ARG001  (a reader)
    """The films, report by report."""
    address = main_file(spec, "")
    reports = _archived(files, address, problems) if address.endswith(_ARCHIVES) else _unpacked(files, problems)
    folders = [""] if spec.images else ["", "images/", "image/", "NLMCXR_png/"]
    for where, xml in reports:
        yield from _films(xml, where, folders, problems)


def _archived(files: Files, address: str, problems: Problems) -> Iterator[tuple[str, bytes]]:
    """Read as a stream: nothing is unpacked to a disk."""
    try:
        with files.open(address) as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() and member.name.endswith(".xml") else None
                if file is not None:
                    yield f"{address}, {PurePosixPath(member.name).name}", file.read(_MOST_BYTES + 1)
    except TrainingError as error:
        problems.add(address, str(error), Kind.UNREADABLE_FILE)
    except (tarfile.TarError, lzma.LZMAError, ValueError, TypeError, *READ_ERRORS) as error:  # tarfile's own, too
        problems.add(address, f"the archive cannot be read to its end ({type(error).__name__})", Kind.UNREADABLE_FILE)


def _unpacked(files: Files, problems: Problems) -> Iterator[tuple[str, bytes]]:
    try:
        for address in files.list(""):
            if address.endswith(".xml"):
                yield address, _read(files, address, problems)
    except Unlisted as error:
        problems.add(error.address, str(error), Kind.UNREADABLE_FILE)


def _read(files: Files, address: str, problems: Problems) -> bytes:
    try:
        with files.open(address) as stream:
            return stream.read(_MOST_BYTES + 1)
    except TrainingError as error:
        problems.add(address, str(error), Kind.UNREADABLE_FILE)
        return b""


def _films(xml: bytes, where: str, folders: list[str], problems: Problems) -> Iterator[Row]:
    report = _parsed(xml, where, problems) if xml else None
    if report is None:
        return
    text = joined(report.findings, report.impression)
    for name in report.films:
        study = study_of(name)
        if study is None:
            problems.rows += 1
            problems.add(where, "a film's id is not like CXR3_IM-1384-1001", Kind.WRONG_ID)
            continue
        names = [one for one in (name, short_id(name)) if one is not None]
        addresses = tuple(f"{folder}{one}.png" for one in names for folder in folders)
        yield Row(name, addresses, text, where, study or report.uid, indication=report.indication or None)


def _parsed(xml: bytes, where: str, problems: Problems) -> OpenIReport | None:
    """The report; None, and a problem, for what is cut, too long or declares entities."""
    if len(xml) > _MOST_BYTES:
        problems.add(where, f"a report of more than {_MOST_BYTES} bytes", Kind.BROKEN_XML)
        return None
    try:
        return open_i_report(xml)
    except NoReport as error:
        line = "" if error.line is None else f", line {error.line}"
        problems.add(f"{where}{line}", str(error), Kind.XML_ENTITIES if error.declares else Kind.BROKEN_XML)
        return None
