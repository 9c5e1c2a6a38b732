"""Open-i's reports (Demner-Fushman et al. 2016): one XML file each, uId, labelled abstract texts, parentImage ids."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from training_jobs.curation.archives import files_in
from training_jobs.curation.records import Record, broken

_DECLARES = (b"<!DOCTYPE", b"<!ENTITY")


def read_open_i(source: Path) -> Iterator[Record]:
    """The reports of a folder or an archive, at any depth.

    Raises:
        TrainingError: the archive cannot be read.
    """
    for name, content in files_in(source, lambda name: name.lower().endswith(".xml")):
        yield parse_open_i(content, name) if content is not None else broken(name, "the file is too large for a report")


def parse_open_i(xml: bytes, where: str = "") -> Record:
    """One file. What cannot be read, or declares entities, which a report never needs, is broken."""
    # In another encoding a declaration would look otherwise: only what is UTF-8 or says a one-byte encoding is read.
    if xml[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in xml[:200]:
        return broken(where, "the file is neither UTF-8 nor Latin-1")
    if any(word in xml for word in _DECLARES):
        return broken(where, "a report with a document type declaration is not read")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314  (no entities, checked above)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        return broken(where, f"the file is no XML: {error}"[:200])
    texts: dict[str, str] = {}
    for item in root.iter("AbstractText"):
        label = item.get("Label", "").upper()
        texts[label] = " ".join([texts.get(label, ""), *"".join(item.itertext()).split()]).strip()
    identifier = root.find("uId")
    uid = identifier.get("id", "") if identifier is not None else ""
    images = tuple(f"{image.get('id')}.png" for image in root.iter("parentImage") if image.get("id"))
    return Record(
        uid=uid or where,
        findings=texts.get("FINDINGS", ""),
        impression=texts.get("IMPRESSION", ""),
        indication=texts.get("INDICATION", ""),
        images=images,
        where=where,
    )
