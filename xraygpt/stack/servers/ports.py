"""Free TCP ports on the loopback interface, remembered from one start to the next."""

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence

from xraygpt.stack.processes.child import StackError

LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral ports (32768 and up) even with SeaweedFS's +10000, above what distributions hand out.
LOWEST, HIGHEST = 12000, 21999
HIGHEST_PORT = 65535
SETTINGS = {  # of each program's port; without it, a free one is chosen once and kept
    "gateway": "XRAYGPT_GATEWAY_PORT",
    "flower": "XRAYGPT_FLOWER_PORT",
    "postgres": "XRAYGPT_POSTGRES_PORT",
    "broker": "XRAYGPT_BROKER_PORT",
    "s3": "XRAYGPT_S3_PORT",
}


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


def given(program: str, environ: Mapping[str, str]) -> int | None:
    """The port that the program's setting names; None where it is not set.

    Raises:
        StackError: it names none.
    """
    name = SETTINGS[program]
    text = environ.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= HIGHEST_PORT):
        raise StackError(f"{name}: {text!r} is no port: give a number from 1 to {HIGHEST_PORT}")
    return int(text)


def taken(program: str, port: int) -> StackError:
    """For a port that was asked for and that another program has."""
    return StackError(
        f"another program listens on port {port} of {LOOPBACK}, where {program} was to be: stop that program, or set "
        f"{SETTINGS[program]} to another port"
    )


def keep(program: str, environ: Mapping[str, str], remembered: int | None, say: Callable[[str], None]) -> int:
    """The port of a program that people have bookmarks of: the one that is set, or that of last time, or a free one.

    ``say`` gets the sentence about a port that is another than last time.

    Raises:
        StackError: the one that is set is none, or taken.
    """
    if (port := given(program, environ)) is not None:
        if not is_free(port):
            raise taken(program, port)
        return port
    port = choose(remembered)
    if remembered not in (None, port):
        say(
            f"another program listens on port {remembered}, so {program} moves to port {port}: bookmarks must be made "
            f"anew. {SETTINGS[program]} keeps a port"
        )
    return port


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
