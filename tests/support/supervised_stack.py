"""A supervisor in a process of its own, with small programs in place of the gateway and the workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xraygpt.stack.settings.home import Home

STANDIN = Path(__file__).with_name("stack_standin.py")
PIDS = {"postgres", "broker", "s3", "gateway", "ingest", "gpu", "training", "control", "flower", "supervisor"}


class Stack:
    """A supervisor in a process of its own, as ``xraygpt up`` would be."""

    def __init__(self, root: Path, replaced: dict[str, str] | None = None, **settings: str) -> None:
        self.home = Home(root)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("XRAYGPT_")}
        environment = clean | {"XRAYGPT_HOME": str(root), "XRAYGPT_STANDINS": json.dumps(replaced or {})} | settings
        self.process = subprocess.Popen(
            [sys.executable, str(STANDIN), "supervisor"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def wait_until_ready(self) -> "Stack":
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line.strip() == "ready":
                return self
        raise AssertionError(f"it did not start: {self.said} {self.process.communicate()}")

    @property
    def file(self) -> dict[str, Any]:
        content = json.loads(self.home.stack_file.read_text())
        assert isinstance(content, dict)
        return content

    @property
    def pids(self) -> dict[str, int]:
        pids = self.file["pids"]
        assert isinstance(pids, dict)
        return pids

    def end(self) -> str:
        """SIGTERM; returns what it wrote to stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=200)[1]


def wait_for(condition: Callable[[], bool], seconds: float = 200.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def still_using(home: Path) -> list[str]:
    """Processes that mention the data directory in their command line or work in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(home) in (entry / "cmdline").read_text() or os.readlink(entry / "cwd").startswith(str(home)):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found
