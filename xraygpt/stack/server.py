"""What the launchers of PostgreSQL, broker and S3 server share: a directory, a log, a memory, one child process."""

from pathlib import Path
from typing import Any

from xraygpt.stack.memory import recall
from xraygpt.stack.process import Child


class Server:
    """A service of the one-machine stack that keeps its data and its log in ``directory``."""

    def __init__(self, name: str, directory: Path) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / f"{name}.log"
        self._memory = self.directory / "service.json"
        self._known: dict[str, Any] = recall(self._memory)
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """0 before the first start."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running
