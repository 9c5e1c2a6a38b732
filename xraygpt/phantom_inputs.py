"""The demo's input if no file is given: drawn films, and some files that must be rejected."""

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from xraygpt_core.dicom.write import phantom_dicom
from xraygpt_core.phantoms.draw import draw_phantom

FIRST_SEED = 20_000
PHANTOMS = 20
NAMESPACE = uuid.UUID("5a1d2f60-6a5c-4be7-9d0f-6f1c1b0a6f7e")


def write_inputs(folder: Path) -> list[str]:
    """Write the files, the same at every call, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    contents: dict[str, Callable[[], bytes]] = {
        f"phantom-{number:02}.dcm": partial(film, FIRST_SEED + number) for number in range(PHANTOMS)
    }
    contents |= {
        "hand.dcm": partial(film, FIRST_SEED + PHANTOMS, BodyPartExamined="HAND", StudyDescription="HAND"),
        "scan.dcm": partial(film, FIRST_SEED + PHANTOMS + 1, Modality="CT"),
        "cut-off.dcm": lambda: (whole := film(FIRST_SEED + PHANTOMS + 2))[: len(whole) // 2],
        "letter.txt": lambda: b"This is a letter, not an image.\n",
    }
    for name, content in contents.items():
        if not (folder / name).exists():
            temporary = folder / f".{name}"
            temporary.write_bytes(content())
            temporary.replace(folder / name)
    return [str(folder / name) for name in contents]


def film(seed: int, **header: str) -> bytes:
    """A held-out phantom as a DICOM file whose identifiers follow from its seed."""
    phantom = draw_phantom(seed, "held_out")

    def uid(what: str) -> str:
        return f"2.25.{uuid.uuid5(NAMESPACE, f'{what}|{seed}').int}"  # PS3.5 annex B.2

    return phantom_dicom(
        np.asarray(phantom.pixels, dtype=np.uint16),
        view=phantom.view,
        patient_id=f"PHANTOM{seed}",
        study_uid=uid("study"),
        sop_uid=uid("image"),
        accession=f"PHANTOM{seed}",
        bits_stored=phantom.bits_stored,
        **header,
    )
