"""The data directory of a one-machine stack: where everything is, who holds it, and ``stack.json``."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.remembered import replace_file
from xraygpt_core.file_lock import lock_if_free


class Home:
    """Paths below one data directory (``XRAYGPT_HOME``).

    Attributes:
        stack_file: URLs, keys and process ids of the running stack; gone when it is down.
        lock_file: locked by the supervisor for as long as it lives; holds its process id.
        secrets_file: ports and keys that outlive a restart.
        prometheus_file: what a Prometheus of this machine can be started with.
        certificates: of the servers, and of the authority that signs them.
        old_hmac_key_file: the key before, while it is replaced.
        next_hmac_key_file: the key that is about to take its place; there for a moment only.
        sealing_key_file: the key that seals numbers, where they are kept; beside it the key before, and the next one.
        clinical_key_file: the key that opens clinical text, where models are shown it; beside it those before.
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
        self.sealing_key_file = root / "sealing.key"
        self.old_sealing_key_file = root / "sealing.old.key"
        self.next_sealing_key_file = root / "sealing.next.key"
        self.clinical_key_file = root / "clinical.key"
        self.old_clinical_key_file = root / "clinical.old.key"
        self.prometheus_file = root / "prometheus.yml"
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
        if not lock_if_free(file):
            raise StackError(f"a stack already runs in {home.root} (process {holder(home)})")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(home: Home) -> int | None:
    """Process id of the supervisor that holds the data directory; None if there is none."""
    try:
        with home.lock_file.open() as file:
            if not lock_if_free(file, shared=True):
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
    """A new pseudonymisation key takes the place of the old one (:func:`_replace`)."""
    _replace(home.hmac_key_file, home.old_hmac_key_file, home.next_hmac_key_file)


def replace_sealing_key(home: Home) -> None:
    """The same for the key that seals numbers."""
    _replace(home.sealing_key_file, home.old_sealing_key_file, home.next_sealing_key_file)


def retire_clinical_key(home: Home) -> None:
    """The key of clinical text goes to those before it, which still open; the next start makes a new one.

    Cut off between the two steps it is in both places, and still the key.
    """
    key = home.clinical_key_file.read_text("ascii").split()
    old = home.old_clinical_key_file.read_text("ascii").split() if home.old_clinical_key_file.exists() else []
    kept = "".join(f"{one}\n" for one in dict.fromkeys([*key, *old]))
    replace_file(home.old_clinical_key_file, kept.encode(), 0o600)
    home.clinical_key_file.unlink()


def finish_replacing(home: Home) -> None:
    """What a call before was cut off from."""
    _finish(home.hmac_key_file, home.old_hmac_key_file, home.next_hmac_key_file)
    _finish(home.sealing_key_file, home.old_sealing_key_file, home.next_sealing_key_file)


def _replace(key: Path, old: Path, coming: Path) -> None:
    """A new key takes the place of the old one, which stays beside it; cut off at any line, the next call goes on."""
    if not old.exists():
        make_key(coming)
        key.rename(old)
    _finish(key, old, coming)


def _finish(key: Path, old: Path, coming: Path) -> None:
    if old.exists() and coming.exists():
        coming.replace(key)


def make_key(path: Path) -> bool:
    """Create a key (64 hex digits, mode 0600); False if there is one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True
