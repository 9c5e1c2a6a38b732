"""Turn a film to the position in which it is read, as Patient Orientation (0020,0020) asks.

Its two values name the anatomical directions in which the rows and the columns run (PS3.3 C.7.6.1.1.1): a frontal film
is read with rows that run to the patient's Left and columns that run to the Feet, whether it was taken PA or AP. A
lateral one is read upright; its rows may run to either of Anterior and Posterior.

Field of View Rotation and Horizontal Flip (0018,7032 and 7034) say what the detector did before it wrote the pixels.
Patient Orientation describes the pixels that are written, so these are not applied once more.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.header import text, values

_AXES = {"L": "side", "R": "side", "A": "depth", "P": "depth", "F": "height", "H": "height"}
_ALSO = {"S": "H", "I": "F"}  # superior and inferior, as some writers call them
FRONTAL = ("PA", "AP", "FRONTAL")  # the views that are summarised, best first
_AWAY = frozenset("RH")  # against the reading position

_Depth = TypeVar("_Depth", bound=np.generic)  # of a pixel


def shows_a_side(dataset: Any) -> bool:
    """Do the image's axes run from front to back and from head to feet?"""
    return {_AXES.get(direction) for direction in _directions(dataset)} == {"depth", "height"}


def turned(grey: npt.NDArray[_Depth], dataset: Any, view: str | None) -> tuple[npt.NDArray[_Depth], bool]:
    """The film as it is read.

    Args:
        grey: (rows, columns).
        view: what the header calls it, or None.

    Returns:
        The same pixels, mirrored or turned by quarters; and whether its position is uncertain, because the header
        states one that makes no sense for a film, or for this view. Such a film is left as it is. One that states none
        is not uncertain: nearly every film that does not is stored as it is read.
    """
    stated, uncertain = _stated(dataset, view)
    return (grey if stated is None else _upright(grey, stated)), uncertain


def exchanges_axes(dataset: Any, view: str | None) -> bool:
    """Does :func:`turned` make rows of the columns?"""
    stated, _ = _stated(dataset, view)
    return stated is not None and _AXES[stated[0]] == "height"


def _stated(dataset: Any, view: str | None) -> tuple[tuple[str, ...] | None, bool]:
    """The directions to turn by, None to leave the film as it is; and whether its position is uncertain."""
    stated = _directions(dataset)
    if stated in ((), ("L",)):
        return None, False
    axes = {_AXES.get(direction) for direction in stated}
    if len(stated) < 2 or "height" not in axes or axes not in ({"side", "height"}, {"depth", "height"}):
        return None, True
    sideways = "depth" in axes
    if sideways and view in (None, *FRONTAL):
        return None, True
    if view == "LATERAL" and not sideways:  # many a console writes L\\F for everything, and no lateral is summarised
        return None, False
    return stated, False


def _upright(grey: npt.NDArray[_Depth], stated: tuple[str, ...]) -> npt.NDArray[_Depth]:
    rows, columns = stated
    sideways = "depth" in (_AXES[rows], _AXES[columns])
    swapped = _AXES[rows] == "height"
    if swapped:
        grey, rows, columns = grey.T, columns, rows
    upside_down = columns in _AWAY
    # Either side may face left in a lateral film: it is turned, never mirrored, so that its markers can be read.
    mirrored = swapped != upside_down if sideways else rows in _AWAY
    if upside_down:
        grey = grey[::-1]
    return np.ascontiguousarray(grey[:, ::-1] if mirrored else grey)


def _directions(dataset: Any) -> tuple[str, ...]:
    """The main direction of the rows and of the columns: of an oblique one, the first of its letters."""
    stated = [(text(value) or "").upper() for value in values(dataset, "PatientOrientation")]
    if len(stated) == 1 and "/" in stated[0]:
        stated = stated[0].split("/")
    return tuple(_main(letters) for letters in stated if letters)


def _main(letters: str) -> str:
    axes = [_AXES.get(_ALSO.get(letter, letter)) for letter in letters]
    sound = None not in axes and len(set(axes)) == len(axes)
    return _ALSO.get(letters[0], letters[0]) if sound else "?"
