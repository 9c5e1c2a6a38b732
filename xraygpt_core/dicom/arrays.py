"""The type of decoded pixels, apart from :mod:`xraygpt_core.dicom.types`, which processes without numpy import."""

from typing import Any

import numpy.typing as npt

Values = npt.NDArray[Any]  # (rows, columns) stored values, or (rows, columns, 3) red, green, blue
