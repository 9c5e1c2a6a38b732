"""Small sets of every layout that training reads, made of phantoms: seeded, whole, and to be broken by tests."""

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image

from xraygpt_core.phantoms.draw import draw_phantom, plan_phantom

SIDE = 256
SETS = ("filter-cap", "mimic-cxr", "open-i", "table", "manifest")


@cache
def film(seed: int, kind: str = "PNG", side: int = SIDE) -> bytes:
    """A phantom as a file."""
    buffer = io.BytesIO()
    Image.fromarray(draw_phantom(seed, side=side).grey8()).save(buffer, kind)
    return buffer.getvalue()


def text(seed: int) -> str:
    """Its report."""
    return plan_phantom(seed).report.text


def write(path: Path, data: bytes | str) -> Path:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def make_set(reader: str, root: Path, seeds: Sequence[int] = range(6)) -> Path:
    """A set of the given layout, one film a patient; its ``path``."""
    return {
        "filter-cap": filter_cap_set,
        "mimic-cxr": mimic_cxr_set,
        "open-i": open_i_set,
        "table": table_set,
        "manifest": manifest_set,
    }[reader](root, seeds)


def filter_cap_set(root: Path, seeds: Sequence[int] = range(6)) -> Path:
    """XrayGPT's layout: MIMIC's ids as ``.jpg``, Open-i's short ids as ``.png`` at every other place."""
    rows = []
    for seed in seeds:
        image_id = f"{seed:08x}-{seed:08x}-00000000-00000000-00000000" if seed % 2 == 0 else f"{1000 + seed}_1"
        kind, ending = ("JPEG", "jpg") if seed % 2 == 0 else ("PNG", "png")
        write(root / f"image/{image_id}.{ending}", film(seed, kind))
        rows.append({"image_id": image_id, "caption": text(seed)})
    write(root / "filter_cap.json", json.dumps({"annotations": rows}, indent=1))
    return root


def mimic_cxr_set(root: Path, seeds: Sequence[int] = range(6)) -> Path:
    """MIMIC-CXR-JPG: each study with a frontal and a lateral film, the official tables, one of them packed."""
    splits, metadata = ["dicom_id,study_id,subject_id,split"], ["dicom_id,subject_id,study_id,ViewPosition"]
    for number, seed in enumerate(seeds):
        report = plan_phantom(seed).report
        subject, study = f"{10_000_000 + seed}", f"{50_000_000 + seed}"
        folder = root / f"files/p10/p{subject}/s{study}"
        for view in ("PA", "LATERAL"):
            name = f"{seed:08x}-{view.lower()}"
            write(folder / f"{name}.jpg", film(seed + 1000 * (view == "LATERAL"), "JPEG"))
            splits.append(f"{name},{study},{subject},{['train', 'train', 'train', 'validate', 'test'][number % 5]}")
            metadata.append(f"{name},{subject},{study},{view}")
        body = f" INDICATION:  Cough.\n\n FINDINGS:\n \n {report.findings}\n\n IMPRESSION:  {report.impression}\n"
        write(folder.with_suffix(".txt"), f"                      FINAL REPORT\n EXAMINATION:  CHEST\n\n{body}")
    write(root / "mimic-cxr-2.0.0-split.csv", "\n".join(splits) + "\n")
    write(root / "mimic-cxr-2.0.0-metadata.csv.gz", gzip.compress("\n".join(metadata).encode()))
    return root


def open_i_xml(seed: int, films: Sequence[str]) -> str:
    """One Open-i report."""
    report = plan_phantom(seed).report
    images = "".join(f'<parentImage id="{name}"><figureId>F1</figureId></parentImage>' for name in films)
    sections = f'<AbstractText Label="INDICATION">Cough</AbstractText><AbstractText Label="FINDINGS">{report.findings}'
    sections += f'</AbstractText><AbstractText Label="IMPRESSION">{report.impression}</AbstractText>'
    head = f'<?xml version="1.0"?>\n<eCitation><uId id="CXR{seed}"/>'
    return f"{head}\n<Abstract>{sections}</Abstract>\n{images}</eCitation>"


def open_i_films(seed: int) -> list[str]:
    """The published names of a report's two films."""
    return [f"CXR{seed}_IM-{2000 + seed}-{number}001" for number in (1, 2)]


def open_i_set(root: Path, seeds: Sequence[int] = range(6), archive: bool = False) -> Path:
    """Open-i: a folder of XML files, or an archive of them, and the films beside, the second by its short name."""
    for seed in seeds:
        names = open_i_films(seed)
        write(root / f"ecgen-radiology/{seed}.xml", open_i_xml(seed, names))
        write(root / f"images/{names[0]}.png", film(seed))
        write(root / f"images/{2000 + seed}_2.png", film(seed + 1000))
    if not archive:
        return root
    with tarfile.open(root / "reports.tgz", "w:gz") as packed:
        for seed in seeds:
            packed.add(root / f"ecgen-radiology/{seed}.xml", f"ecgen-radiology/{seed}.xml")
    return root / "reports.tgz"


def table_set(root: Path, seeds: Sequence[int] = range(6), name: str = "pairs.jsonl") -> Path:
    """A table with our column names, JSONL or CSV."""
    rows = [
        {
            "id": f"study-{seed}",
            "patient": f"patient-{seed}",
            "split": ("train", "train", "train", "val", "test")[number % 5],
            "image": f"films/{seed}.png",
            "text": text(seed),
            "view": "PA",
        }
        for number, seed in enumerate(seeds)
    ]
    for seed in seeds:
        write(root / f"films/{seed}.png", film(seed))
    if name.endswith(".csv"):
        lines = [",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
        return write(root / name, "\n".join(lines) + "\n")
    return write(root / name, "".join(json.dumps(row) + "\n" for row in rows))


def manifest_set(root: Path, seeds: Sequence[int] = range(6)) -> Path:
    """Our own manifest; half of its films are NIH's."""
    lines = []
    for number, seed in enumerate(seeds):
        image = f"images/{'nih' if seed % 2 == 0 else 'hannover'}/{seed}.png"
        write(root / image, film(seed))
        row = {"id": f"film-{seed}", "split": ("train", "train", "train", "val", "test")[number % 5], "image": image}
        row |= {"view": "PA", "labels": ["Nodule"], "text": text(seed), "patient": f"patient-{seed}"}
        lines.append(json.dumps(row) + "\n")
    write(root / "manifest.jsonl", "".join(lines))
    return root
