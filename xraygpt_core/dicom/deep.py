"""The film's own values as 16-bit codes, for the windows that a reader chooses; the 8-bit picture has one window.

The values are those after the Modality LUT or rescale and before any window (PS3.4 annex N.2), and their sense is that
of the 8-bit picture: a greater code is brighter, whichever way the film was stored.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.tables import Counts, Inputs
from xraygpt_core.dicom.transforms import Mapped
from xraygpt_core.dicom.types import Pair

Codes = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Deep:
    """Codes, and what they mean in the film's own values.

    Attributes:
        codes: of a table, one for each stored value; of a film, (rows, columns). 0 is the darkest, and padding.
        scale: the film's value at code 0, and what each further code adds: below 0 where low values are bright.
        window: centre and width in the film's values (LINEAR_EXACT, PS3.3 C.11.2.1.3.2), as the 8-bit picture has it.
    """

    codes: Codes
    scale: Pair
    window: Pair


def deep_values(meant: Mapped, shown: Inputs, counts: Counts) -> Deep | None:
    """The code of each stored value.

    Where a film's way to grey is no straight line (a VOI LUT, a SIGMOID, a Presentation LUT), the window is that of the
    line which comes nearest over the film's pixels.

    Args:
        meant: (n,) what the modality transform makes of the stored values, which follow each other by 1.
        shown: (n,) the grey of each in the 8-bit picture, 0 to 1.
        counts: (n,) how many pixels have each; padding has none.

    Returns:
        None where the 8-bit picture keeps all values apart already, or where the header's scale makes no sense.
    """
    occurs = counts > 0
    units = meant.values if meant.tabled else np.arange(len(counts), dtype=np.float64)
    greys = np.rint(255.0 * np.clip(shown, 0.0, 1.0))
    if len(np.unique(greys[occurs])) >= len(np.unique(units[occurs])):
        return None
    line = _line(units[occurs], shown[occurs], counts[occurs])
    if line is None:
        return None
    slope, offset = line
    first, step = (0.0, 1.0) if meant.tabled else _scale(meant.values)
    darkest = float(units[occurs].min() if slope > 0 else units[occurs].max())
    scale = first + step * darkest, step if slope > 0 else -step
    window = first + step * (0.5 - offset) / slope, abs(step / slope)
    if not all(map(isfinite, (*scale, *window))) or not scale[1] or not window[1]:
        return None
    return Deep(np.where(occurs, np.abs(units - darkest), 0.0).astype(np.uint16), scale, window)


def _scale(meant: Inputs) -> Pair:
    """Value of the first stored value, and what one more adds."""
    first, last = float(meant[0]), float(meant[-1])
    return first, (last - first) / max(1, len(meant) - 1)


def _line(units: Inputs, shown: Inputs, counts: Counts) -> Pair | None:
    """Slope and offset of the line nearest to the greys, by least squares over all pixels that are neither black nor
    white; over all pixels where those have no slope; None where these have none either."""
    between = (shown > 0.0) & (shown < 1.0)
    for chosen in (between, np.ones_like(between)):
        x, y, weights = units[chosen], shown[chosen], counts[chosen].astype(np.float64)
        if len(x) < 2:
            continue
        centre, level = np.average(x, weights=weights), np.average(y, weights=weights)
        spread = float((weights * (x - centre) ** 2).sum())
        slope = float((weights * (x - centre) * (y - level)).sum()) / spread if spread else 0.0
        if slope:
            return slope, float(level) - slope * float(centre)
    return None
