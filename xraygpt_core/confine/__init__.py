"""A cell for a process that reads what strangers wrote: it keeps its memory, its channel and its clock, nothing else.

Layers that do not rest on each other, so that one that is missing, or has a hole, is not the end:

    user        a user id of its own, or a user namespace: /proc/<pid> of others, ptrace, signals, files are not its own
    network     a network namespace without an interface, IPC and host name of its own
    root        an empty, read-only root directory
    privileges  no_new_privs, no capability
    landlock    no file, TCP port, abstract socket or foreign process (landlock(7))
    seccomp     no system call but those a loaded decoder needs (seccomp(2))

:func:`confine` takes what the machine has and says what stands.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress

from xraygpt_core.confine import landlock, namespaces, seccomp
from xraygpt_core.confine.kernel import (
    LINUX,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    number_of,
    prctl,
    syscall,
    threads,
)

LAYERS = ("user", "network", "root", "privileges", "landlock", "seccomp")
_JOIN_SESSION_KEYRING = 1  # keyctl(2)


def confine(keep: Iterable[int] = ()) -> list[str]:
    """Give up whatever can be given up on this machine. For a process of one thread; there is no way back.

    Args:
        keep: open descriptors that stay open, beside the first three.

    Returns:
        The layers that stand, in the order of :data:`LAYERS`.
    """
    if not LINUX:
        return []
    parent, alone = os.getppid(), threads() == 1
    _leave_session(keep)
    stand = namespaces.enter()
    if namespaces.done(_drop_privileges):
        stand.add("privileges")
    die_with(parent)  # a change of the user or its capabilities has undone it (prctl(2))
    if alone and namespaces.done(landlock.restrict):  # which binds the thread that asks
        stand.add("landlock")
    if namespaces.done(seccomp.restrict):
        stand.add("seccomp")
    return [name for name in LAYERS if name in stand]


def is_complete(stand: Iterable[str]) -> bool:
    """Does the cell hold? The filter of calls alone refuses all that a taken-over decoder could try; one layer more
    must stand behind it."""
    here = set(stand)
    return {"seccomp", "privileges"} <= here and bool(here & {"landlock", "user"})


def look() -> list[str]:
    """The layers that stand for a process that this one starts, tried out by one.

    Raises:
        OSError: no process can be started.
    """
    command = (sys.executable, "-P", "-m", "xraygpt_core.confine")
    keep = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH") if name in os.environ
    }
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=keep, check=False)
    return [layer for layer in LAYERS if layer.encode() in done.stdout.split()]


def shield() -> bool:
    """Close this process's memory, environment and open files in /proc to other processes of the same user, and keep
    them out of core dumps (PR_SET_DUMPABLE of prctl(2)). For processes that hold secrets and start others.

    Returns:
        True if that is done; False where the system has no such thing.
    """
    if not LINUX:
        return False
    prctl(PR_SET_DUMPABLE, 0)
    return True


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent ends, and end now if it already has."""
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


def _drop_privileges() -> None:
    namespaces.drop_capabilities()
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def _leave_session(keep: Iterable[int]) -> None:
    """No terminal, no keyring, no descriptor but what was given."""
    with suppress(OSError):
        os.setsid()
    with suppress(OSError):
        syscall(number_of("keyctl"), _JOIN_SESSION_KEYRING, None)
    begin = 3
    for descriptor in sorted({*keep}):
        os.closerange(begin, descriptor)
        begin = max(begin, descriptor + 1)
    os.closerange(begin, 2**16)
