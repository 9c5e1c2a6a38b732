"""What another user of this machine can try: commands as `nobody`, and what a process listens on."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

NOBODY = 65534
needs_another_user = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("curl"), reason="only root can become another user, who needs curl"
)


def as_nobody(
    command: Sequence[str], *, said: str = "", seconds: float = 60, environment: Mapping[str, str] | None = None
) -> str:
    """What the command says, stdout and stderr, as the user `nobody` with no group, environment or secret of ours.

    It is killed after so many seconds, which is no error: who gets no answer waits.
    """
    with subprocess.Popen(
        command,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    ) as process:
        try:
            output, _ = process.communicate(said.encode(), seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
    return output.decode(errors="replace")


@contextmanager
def readable_by_all(*files: Path) -> Iterator[Path]:
    """A directory that everybody can read, with these files in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own is closed to others
        directory = Path(name)
        directory.chmod(0o755)
        for file in files:
            try:
                os.link(file, directory / file.name)
            except OSError:  # another file system
                shutil.copy2(file, directory / file.name)
            (directory / file.name).chmod(0o755)
        yield directory


def listening(pid: int) -> set[tuple[str, int]]:
    """TCP sockets a process listens on, from /proc (proc(5)); an address that is not 127.0.0.1 stays in hex."""
    inodes = _sockets(pid)
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.add(("127.0.0.1" if address == "0100007F" else address, int(port, 16)))
    return found


def unix_sockets(pid: int) -> set[Path]:
    """Named unix sockets a process listens on; none once it has ended."""
    try:
        directory = Path(os.readlink(f"/proc/{pid}/cwd"))
    except FileNotFoundError:
        return set()
    inodes = _sockets(pid)
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    # The flag 00010000 is __SO_ACCEPTCON: it listens.
    return {directory / one[7] for one in lines if len(one) > 7 and one[3] == "00010000" and one[6] in inodes}


def _sockets(pid: int) -> set[str]:
    inodes: set[str] = set()
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile: the database's sessions come and go
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                kind, _, name = os.readlink(link).partition(":")
                inodes |= {name[1:-1]} if kind == "socket" else set()
    return inodes


def descendants(pid: int) -> list[int]:
    """Its children, theirs, and so on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it ended meanwhile
            for child in task.read_text().split():
                found += [int(child), *descendants(int(child))]
    return found
