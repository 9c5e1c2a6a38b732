"""A decoding process like the real one, whose decoder does what hostile files make codecs do."""

import os
import signal
import sys
import time
from pathlib import Path

from xraygpt_core.dicom import decoder_child
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

_real = decoder_child.normalise
# A child in its cell sees no file: what it must know of the world it is told by its command, or by a signal.
_marker = Path(sys.argv.pop(1)) if sys.argv[1].startswith("/") else None
_FIRST = _marker is not None and not _marker.exists()
if _marker is not None:
    _marker.touch()
_told = []
signal.signal(signal.SIGUSR1, lambda *_: _told.append(True))


def _crash(argument):
    os.kill(os.getpid(), getattr(signal, argument))


def _kill_first(_):
    if _FIRST:
        _crash("SIGKILL")


def _leave(seconds):
    os.closerange(3, 64)
    time.sleep(float(seconds))
    os._exit(9)


def _wait(_):
    while not _told:
        time.sleep(0.01)


def _loop(_):
    while True:
        pass


def _eat(_):
    hoard = []
    while True:
        hoard.append(bytearray(2**20))


def _lie(_):
    decoder_child.frames.pack_rejection = lambda _: b"\xff" * 64


def _print(argument):
    for stream in (sys.stdout, sys.stderr):
        stream.write(argument)
        stream.flush()
    os.write(1, argument.encode())
    os.write(2, argument.encode())


def _environment(_):
    raise Rejected(ReasonCode.BLANK, " ".join(sorted(os.environ)))


def _write_file(path):
    try:
        Path(path).write_text("patient")
    except OSError:
        raise Rejected(ReasonCode.BLANK, "no file") from None


_ORDERS = {
    b"crash": _crash,
    b"kill-first": _kill_first,
    b"loop": _loop,
    b"eat": _eat,
    b"lie": _lie,
    b"print": _print,
    b"environment": _environment,
    b"write": _write_file,
    b"exit": lambda status: os._exit(int(status)),
    b"sleep": lambda seconds: time.sleep(float(seconds)),
    b"wait": _wait,
    b"leave": _leave,
    b"close": lambda _: os.closerange(3, 64),
}


def _hostile(data, limits):
    order, _, argument = data[:200].partition(b" ")
    if order in _ORDERS:
        _ORDERS[order](argument.decode())
        return _real(b"", limits)
    return _real(data, limits)


decoder_child.normalise = _hostile

if __name__ == "__main__":
    decoder_child.main()
