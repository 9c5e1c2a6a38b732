"""Free TCP ports on the loopback interface, remembered from one start to the next."""

import secrets
import socket
from collections.abc import Sequence

from xraygpt.stack.processes.child import StackError

LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral ports (32768 and up) even with SeaweedFS's +10000, above what distributions hand out.
LOWEST, HIGHEST = 12000, 21999


def is_free(port: int) -> bool:
    """True if nothing listens on the port now. SO_REUSEADDR, as servers set it, ignores connections in TIME_WAIT."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def occupy(port: int) -> socket.socket:
    """Listen on a port until its server is about to start, so that no other program takes it. Close it then.

    Raises:
        StackError: another program has it.
    """
    held = socket.socket()
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT are no obstacle
        held.bind((LOOPBACK, port))
        held.listen(0)  # a socket that is only bound could be shared
    except OSError as error:
        held.close()
        raise StackError(f"port {port} of {LOOPBACK}: {error.strerror}") from error
    return held


def choose(remembered: int | None = None, offsets: Sequence[int] = (0,)) -> int:
    """The remembered port if it and its companions (``port + offset``) are free, else a random one of which that holds.

    Random and not the lowest, so that two stacks that start together do not choose the same.

    Raises:
        StackError: no such port was found.
    """
    if remembered is not None and all(is_free(remembered + offset) for offset in offsets):
        return remembered
    for _ in range(1000):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST + 1)
        if all(is_free(port + offset) for offset in offsets):
            return port
    raise StackError(f"no free TCP port between {LOWEST} and {HIGHEST} on {LOOPBACK}")
