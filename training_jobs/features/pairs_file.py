"""A file of pairs whose lines are read by offset."""

import os
from pathlib import Path

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.pairs import Pair, parse_pair


class PairsFile:
    """An open file of pairs.

    Raises:
        TrainingError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._handle = -1
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise TrainingError(f"{path.name} cannot be read: {error.strerror}") from error

    def pair(self, offset: int, size: int, row: int) -> Pair:
        """The pair whose line begins there.

        Raises:
            TrainingError: it is none any more: the file was changed.
        """
        return parse_pair(os.pread(self._handle, size, offset), f"{self._name}, line {row + 1}")

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
