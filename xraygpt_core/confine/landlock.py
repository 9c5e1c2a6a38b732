"""Landlock (Linux 5.13 and later): no file, no TCP port, no abstract socket, no signal to anybody outside.

A domain without a rule allows nothing of what it handles. What is open stays open. It also keeps this process from
tracing any other, and from /proc/<pid>/mem and environ of any other (landlock(7)).
"""

import ctypes
import os

from xraygpt_core.confine.kernel import LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF, syscall

_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
# From which version of the interface on which bits of LANDLOCK_ACCESS_FS_* are known: <linux/landlock.h>.
_FILES = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_TCP_SINCE, _TCP = 4, 0b11  # bind, connect
_SCOPES_SINCE, _SCOPES = 6, 0b11  # abstract sockets, signals


class _Attributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def version() -> int:
    """Of the kernel's interface; 0 where there is none, or it is switched off."""
    try:
        return syscall(LANDLOCK_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def handled(known: int) -> tuple[int, int, int]:
    """All that this version can forbid: bits for files, for the network, for what reaches other processes."""
    files = sum(bits for since, bits in _FILES if known >= since)
    return files, _TCP if known >= _TCP_SINCE else 0, _SCOPES if known >= _SCOPES_SINCE else 0


def restrict() -> int:
    """Give up everything that can be given up, for this thread. Needs no_new_privs; there is no way back.

    Returns:
        The version of the interface.

    Raises:
        OSError: there is no Landlock.
    """
    known = version()
    if not known:
        raise OSError("the kernel has no Landlock")
    attributes = _Attributes(*handled(known))
    size = ctypes.sizeof(attributes) if known >= _SCOPES_SINCE else 16 if known >= _TCP_SINCE else 8
    ruleset = syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return known
