"""Phantom DICOM files on disk, for tests that submit folders."""

from pathlib import Path

from xraygpt_core.dicom.write import phantom_dicom
from xraygpt_core.phantoms.draw import draw_phantom


def write_phantoms(folder: Path, first_seed: int, count: int, *, side: int = 256) -> list[Path]:
    """``count`` studies of one phantom each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(first_seed, first_seed + count):
        phantom = draw_phantom(seed, "held_out", side=side)
        path = folder / f"{seed}.dcm"
        path.write_bytes(
            phantom_dicom(
                phantom.pixels,
                view=phantom.view,
                patient_id=f"PHANTOM-{seed}",
                study_uid=f"2.25.{10**20 + seed}",
                sop_uid=f"2.25.{10**21 + seed}",
                accession=f"A{seed}",
                bits_stored=phantom.bits_stored,
            )
        )
        paths.append(path)
    return paths
