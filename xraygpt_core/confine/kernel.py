"""Calls of the kernel that Python has no function for; each raises OSError, with the kernel's errno."""

import ctypes
import os
import platform
import sys
from pathlib import Path

LINUX = sys.platform == "linux"
# <asm/unistd.h>; of the calls we make ourselves only those that no libc wraps.
_NUMBERS = {
    "x86_64": {"seccomp": 317, "keyctl": 250, "capget": 125, "capset": 126},
    "aarch64": {"seccomp": 277, "keyctl": 219, "capget": 90, "capset": 91},
}
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # the same everywhere

PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 3, 4  # prctl(2)
PR_SET_CHILD_SUBREAPER = 36
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """The result of a call, which is -1 when it failed."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def prctl(option: int, value: int = 0) -> int:
    """prctl(2), with the three unused arguments zero."""
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    return checked(libc().prctl(ctypes.c_int(option), *words))


def number_of(name: str) -> int:
    """The number of a call on this machine.

    Raises:
        OSError: a kind of processor that is not known here.
    """
    try:
        return _NUMBERS[platform.machine()][name]
    except KeyError:
        raise OSError(f"no number of {name} is known for {platform.machine()}") from None


def syscall(number: int, *arguments: object) -> int:
    """syscall(2). Integers go as machine words."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return checked(libc().syscall(ctypes.c_long(number), *words))


def threads() -> int:
    """How many threads this process has: most protections hold for the one that asks only."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())
