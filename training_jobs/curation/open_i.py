"""Open-i's reports, one XML file each."""

from collections.abc import Iterator
from pathlib import Path

from training_jobs.curation.archives import files_in
from training_jobs.curation.records import Record, broken
from xraygpt_core.report.open_i_xml import NoReport, open_i_report


def read_open_i(source: Path) -> Iterator[Record]:
    """The reports of a folder or an archive, at any depth.

    Raises:
        TrainingError: the archive cannot be read.
    """
    for name, content in files_in(source, lambda name: name.lower().endswith(".xml")):
        yield parse_open_i(content, name) if content is not None else broken(name, "the file is too large for a report")


def parse_open_i(xml: bytes, where: str = "") -> Record:
    """One file; what cannot be read is broken."""
    try:
        report = open_i_report(xml)
    except NoReport as error:
        return broken(where, str(error) if error.line is None else f"{error} (line {error.line})")
    return Record(
        uid=report.uid or where,
        findings=report.findings,
        impression=report.impression,
        indication=report.indication,
        images=tuple(f"{film}.png" for film in report.films if film),
        where=where,
    )
