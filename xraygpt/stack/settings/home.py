"""The data directory of a one-machine stack: where everything is, who holds it, and ``stack.json``."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xraygpt.stack.processes.child import StackError


class Home:
    """Paths below one data directory (``XRAYGPT_HOME``).

    Attributes:
        stack_file: URLs, keys and process ids of the running stack; gone when it is down.
        lock_file: locked by the supervisor for as long as it lives; holds its process id.
        secrets_file: ports and keys that outlive a restart.
        certificates: of the servers, and of the authority that signs them.
        old_hmac_key_file: the key before, while it is replaced.
        next_hmac_key_file: the key that is about to take its place; there for a moment only.
        run: working directory of our own processes; by it and their program a killed run's leftovers are known.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stack_file = root / "stack.json"
        self.lock_file = root / "lock"
        self.secrets_file = root / "secrets.json"
        self.hmac_key_file = root / "hmac.key"
        self.old_hmac_key_file = root / "hmac.old.key"
        self.next_hmac_key_file = root / "hmac.next.key"
        self.certificates = root / "certificates"
        self.run = root / "run"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def create(self) -> None:
        """Make the directories, closed to other users."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (self.run, self.root / "logs"):
            directory.mkdir(exist_ok=True, mode=0o700)


@contextlib.contextmanager
def hold(home: Home) -> Iterator[None]:
    """Be the one supervisor of this data directory; the kernel lets go of the lock when the process ends.

    Raises:
        StackError: another one holds it.
    """
    home.create()
    with home.lock_file.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"a stack already runs in {home.root} (process {holder(home)})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(home: Home) -> int | None:
    """Process id of the supervisor that holds the data directory; None if there is none."""
    try:
        with home.lock_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
    except FileNotFoundError:
        return None
    return None


def running_stack(home: Home) -> dict[str, Any] | None:
    """``stack.json`` if the stack is up and ready, else None (a killed supervisor leaves a stale file)."""
    if holder(home) is None:
        return None
    try:
        stack = json.loads(home.stack_file.read_text())
    except FileNotFoundError:
        return None
    assert isinstance(stack, dict)
    return stack


def replace_hmac_key(home: Home) -> None:
    """A new key takes the place of the old one, which stays beside it; cut off at any line, the next call goes on."""
    if not home.old_hmac_key_file.exists():
        make_hmac_key(home.next_hmac_key_file)
        home.hmac_key_file.rename(home.old_hmac_key_file)
    finish_replacing(home)


def finish_replacing(home: Home) -> None:
    """What a call before was cut off from."""
    if home.old_hmac_key_file.exists() and home.next_hmac_key_file.exists():
        home.next_hmac_key_file.replace(home.hmac_key_file)


def make_hmac_key(path: Path) -> bool:
    """Create the pseudonymisation key (64 hex digits, mode 0600); False if there is one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True
