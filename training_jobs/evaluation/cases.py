"""What is scored: a picture, and what is known to be on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training_jobs.drawers.grey import png
from xraygpt_core.phantoms.findings import View

Writer = Callable[[Sequence[bytes]], list[str]]  # the text about each PNG
BLANK = png(np.full((512, 512), 128, dtype=np.uint8))  # a grey plate: what a model says that was shown nothing


@dataclass(frozen=True)
class Case:
    """One picture and its truth.

    Attributes:
        picture: an 8-bit grey PNG.
        truth: what is on it; classes of ``xraygpt_core.report.kinds`` for a film, labels for a drawing.
        report: the text that comes with it.
        view: None where nobody says.
        patient: whose films are drawn together when an interval is made.
        source: the collection it is from.
    """

    picture: bytes
    truth: frozenset[str]
    report: str
    view: View | None
    patient: str
    source: str


def write_all(cases: Sequence[Case], write: Writer) -> tuple[list[str], str]:
    """The text about each case, and the one about a grey plate."""
    *texts, blank = write([*(case.picture for case in cases), BLANK])
    return texts, blank
