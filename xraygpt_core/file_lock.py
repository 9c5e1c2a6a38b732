"""Locks that the kernel keeps for a process and takes back when it ends, however it ends (flock(2))."""

import fcntl
from typing import IO, Any


def lock_if_free(file: int | IO[Any], *, shared: bool = False) -> bool:
    """Lock an open file for as long as it stays open; False if another process holds it.

    Args:
        shared: with others that share it as well.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
