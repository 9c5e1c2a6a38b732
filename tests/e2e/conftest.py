"""One whole stack for all end-to-end tests of a run, used as a person uses it: by the ``xraygpt`` command."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from xraygpt.stack.launch import is_alive
from xraygpt_core.paths import models_dir

XRAYGPT = [sys.executable, "-m", "xraygpt"]


@dataclass(frozen=True)
class Answer:
    """What a command did: its exit code, the JSON document on stdout, and stderr."""

    code: int
    document: Any
    stderr: str


class Stack:
    """A running stack in a data directory of its own."""

    def __init__(self, home: Path, models: Path) -> None:
        self.home = home
        self.models = models
        self._connection: psycopg.Connection[Any] | None = None
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("XRAYGPT_")}
        self.environment |= {
            "XRAYGPT_HOME": str(home),
            "XRAYGPT_MODELS": str(models),
            "XRAYGPT_TRAIN_DEVICE_LOCKS": str(home / "device locks"),  # other tests of this machine train, too
            "XRAYGPT_SETTLE_SECONDS": "1",
            "XRAYGPT_LEASE_SECONDS": "6",
            "XRAYGPT_MAX_ATTEMPTS": "20",  # a lease so short runs out while the machine stands still, too
            "OMP_NUM_THREADS": "1",  # two spinning threads beside another test process are slower than one
        }
        self.environment |= dict(pair.split("=", 1) for pair in os.environ.get("XRAYGPT_TEST_STACK", "").split())

    def call(self, *words: str, timeout: float = 500) -> Answer:
        """Run ``xraygpt WORDS --json``."""
        done = subprocess.run(
            [*XRAYGPT, *words, "--json"], env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        document = json.loads(done.stdout) if done.stdout.strip() else None
        return Answer(done.returncode, document, done.stderr)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start ``xraygpt WORDS --json`` and do not wait."""
        return subprocess.Popen(
            [*XRAYGPT, *words, "--json"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def down(self) -> None:
        """Stop it, if it is up."""
        self._hang_up()
        if (self.home / "stack.json").exists():
            down = self.call("down")
            assert down.code == 0, down.stderr

    @property
    def facts(self) -> dict[str, Any]:
        """The content of stack.json."""
        facts: dict[str, Any] = json.loads((self.home / "stack.json").read_text())
        return facts

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query says, asked of the database; on a connection that is kept, as most ask ten times a second."""
        if self._connection is not None:
            try:
                return self._connection.execute(sql).fetchall()  # type: ignore[arg-type]  # our own constants
            except psycopg.OperationalError:  # the server was killed, or stopped
                self._hang_up()
        self._connection = psycopg.connect(self.facts["database_url"], connect_timeout=60, autocommit=True)
        return self._connection.execute(sql).fetchall()  # type: ignore[arg-type]

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def wait_until(self, true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
        """Wait for a state; fail saying which one never came."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        """SIGKILL one of its processes. While one is started again, stack.json has no process id of it, or its last."""

        def killed() -> bool:
            pid = self.facts["pids"][name]
            if pid is None or not is_alive(pid):
                return False
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
            return True

        self.wait_until(killed, f"{name} runs", seconds=120)

    def logs(self) -> str:
        """The last lines of every log, for a failing test."""
        return "\n".join(
            f"== {path.name}\n{path.read_text()[-1500:]}" for path in sorted((self.home / "logs").iterdir())
        )


def link(source: str, target: str) -> None:
    """A hard link where the file system allows it: the weights are hundreds of megabytes."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


_STACK = pytest.StashKey[Stack]()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The whole stack, up and ready."""
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(models_dir() / "demo", models / "demo", copy_function=link)  # what a test promotes stays here
    running = Stack(tmp_path_factory.mktemp("home"), models)
    up = running.call("up", "--detach")
    assert up.code == 0, up.stderr
    request.session.stash[_STACK] = running
    try:
        yield running
    finally:
        running.down()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The stack ends with the last of these tests: idle, its processes would cost all tests after them time."""
    here = Path(__file__).parent
    if _STACK in item.session.stash and (nextitem is None or not nextitem.path.is_relative_to(here)):
        item.session.stash[_STACK].down()
