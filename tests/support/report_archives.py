"""Small sources of reports in the layouts that curation reads, made in code."""

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

LONG = "The heart is normal in size and the lungs are clear without effusion."


def open_i_xml(findings: str | None, impression: str | None, uid: str = "CXR1", images: Sequence[str] = ()) -> bytes:
    """One Open-i report."""
    texts = [("COMPARISON", "None."), ("INDICATION", "Cough"), ("FINDINGS", findings), ("IMPRESSION", impression)]
    abstract = "".join(f'<AbstractText Label="{label}">{escape(text or "")}</AbstractText>' for label, text in texts)
    films = "".join(f"<parentImage id={quoteattr(image)}/>" for image in images)
    report = f"<eCitation><uId id={quoteattr(uid)}/><Abstract>{abstract}</Abstract>{films}</eCitation>"
    return f'<?xml version="1.0" encoding="utf-8"?>{report}'.encode()


def tar_of(path: Path, files: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    """An archive of files."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def zip_of(path: Path, files: Mapping[str, bytes]) -> Path:
    """The same as a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def folder_of(path: Path, files: Mapping[str, bytes]) -> Path:
    """The same as a folder."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def numbered(*reports: bytes) -> dict[str, bytes]:
    """Reports as files of a folder."""
    return {f"reports/{number}.xml": report for number, report in enumerate(reports)}


PLACES = ("right upper lobe", "left upper lobe", "right lower lobe", "left lower lobe", "right middle lobe", "lingula")
FINDINGS = ("calcified granuloma", "nodule", "airspace opacity", "scar", "atelectasis", "consolidation")


def small_collection(count: int) -> dict[str, bytes]:
    """So many different reports of Open-i that the rules keep."""
    files = {}
    for number in range(count):
        finding = FINDINGS[number % len(FINDINGS)]
        place = PLACES[number // len(FINDINGS) % len(PLACES)]
        size = number // (len(FINDINGS) * len(PLACES)) + 3
        text = f"There is a {size} mm {finding} in the {place}. Heart size is normal. No pleural effusion."
        film = f"CXR{number}_IM-{number:04d}-1001"
        files[f"reports/{number}.xml"] = open_i_xml(text, "No acute disease.", f"CXR{number}", [film])
    return files
