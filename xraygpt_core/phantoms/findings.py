"""What a phantom can show, and what a phantom is."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Population = Literal["train", "held_out"]
View = Literal["AP", "PA"]
Side = Literal["left", "right"]  # the patient's: the patient's right is on the left of the image

LABELS: tuple[str, ...] = (
    "cardiomegaly",
    "effusion_left",
    "effusion_right",
    "pneumothorax_left",
    "pneumothorax_right",
    "consolidation_right_upper",
    "consolidation_right_lower",
    "consolidation_left_upper",
    "consolidation_left_lower",
    "nodule",
    "device",
)
SIDES: tuple[Side, ...] = ("left", "right")
PREVALENCE = 0.3
NORMAL_SHARE = 0.06  # studies without any finding; independent labels alone would give 2 %


@dataclass(frozen=True)
class PhantomReport:
    """The two sections of a report in plain English."""

    findings: str
    impression: str

    @property
    def text(self) -> str:
        """Both sections with their headings, as the model learns to write them."""
        return f"Findings: {self.findings} Impression: {self.impression}"


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic study.

    ``pixels`` is uint16, shape (side, side), bone white (MONOCHROME2), values below ``2 ** bits_stored``.
    """

    seed: int
    population: Population
    view: View
    labels: frozenset[str]
    pixels: npt.NDArray[np.uint16]
    bits_stored: int
    report: PhantomReport

    def grey8(self) -> npt.NDArray[np.uint8]:
        """The pixels as 8-bit grey, shape (side, side): the stored range, no window applied."""
        return (self.pixels >> (self.bits_stored - 8)).astype(np.uint8)


def draw_labels(rng: np.random.Generator) -> frozenset[str]:
    """Independent findings with probability ``PREVALENCE`` each, and a share of normal studies on top."""
    if rng.random() < NORMAL_SHARE:
        return frozenset()
    present = rng.random(len(LABELS)) < PREVALENCE
    return frozenset(label for label, is_present in zip(LABELS, present, strict=True) if is_present)
