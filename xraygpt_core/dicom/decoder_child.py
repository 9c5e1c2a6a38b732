"""The process that decodes: ``python -m xraygpt_core.dicom.decoder_child``, started by :mod:`.sandbox`.

Standard input is one end of a socket pair; a frame in is a file, a frame out is the answer. The process gives up what a
decoder does not need before it reads the first byte: more memory and CPU time by limits, and all else by the cell of
:mod:`xraygpt_core.confine`. So all that it may ever need is loaded by then.
"""

import codecs
import gc
import importlib
import logging
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.charset import python_encoding

from xraygpt_core.confine import confine, die_with
from xraygpt_core.dicom import frames
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits
from xraygpt_core.dicom.write import phantom_dicom
from xraygpt_core.errors import Rejected

_MOST_REQUEST_BYTES = 4 * 2**30
_OPEN_FILES = 64


Answer = Callable[[bytes, Limits], bytes]


def main(answer: Answer | None = None) -> None:
    """Serve until the other end closes. Arguments: the parent's process id, then the three fields of Limits.

    Args:
        answer: the reply to a file, or Rejected; None sends the image.
    """
    parent, max_pixels, seconds, memory = sys.argv[1:5]
    limits = Limits(int(max_pixels), float(seconds), int(memory))
    ignore_signals()
    die_with(int(parent))
    channel = socket.socket(fileno=os.dup(0))
    silence()
    warm_up(limits)
    set_limits(limits)
    frames.send(channel, frames.pack_ready(confine(keep=[channel.fileno()])))
    serve(channel, limits, answer or _image)


def _image(data: bytes, limits: Limits) -> bytes:
    return frames.pack_image(normalise(data, limits))


def serve(channel: socket.socket, limits: Limits, answer: Answer) -> None:
    """Answer frame after frame."""
    while (data := frames.receive(channel, most=_MOST_REQUEST_BYTES)) is not None:
        allow_cpu(limits.decode_seconds)
        try:
            reply = answer(data, limits)
        except Rejected as rejection:
            reply = frames.pack_rejection(rejection)
        frames.send(channel, reply)
        del data, reply
        gc.collect()  # a parsed dataset is full of cycles, and holds the file


def ignore_signals() -> None:
    """Ctrl-C and a service manager's SIGTERM reach the child too, but its parent may still want the answer."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def silence() -> None:
    """Nothing may print or log from here on: codecs and pydicom quote what they read."""
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)


def warm_up(limits: Limits) -> None:
    """Load every module and read one film, so that no image pays for it, no limit meets it, and no file is missed."""
    for codec in ("gdcm", "openjpeg"):  # pydicom loads them when it meets their transfer syntax
        importlib.import_module(codec)
    for encoding in {*python_encoding.values()}:  # as it does with the character sets of (0008,0005)
        codecs.lookup(encoding)
    Image.init()
    ramp = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)
    film = phantom_dicom(ramp, view="PA", patient_id="0", study_uid="2.25.1", sop_uid="2.25.2", accession="0")
    normalise(film, limits)
    gc.collect()
    gc.freeze()  # what lives now lives for ever; collecting after each image looks at that image only


def set_limits(limits: Limits) -> None:
    """Set the limits of getrlimit(2). They are the process's own, so neither its user nor its parent is limited."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + limits.decode_memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump holds the patient's film
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # for root the kernel does not count
    os.dup2(1, 2)  # open until here: a start that fails may say why


def allow_cpu(seconds: float) -> None:
    """Let the kernel end an endless loop even if the parent is stopped; the parent's clock is the first to ring."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))


if __name__ == "__main__":
    main()
