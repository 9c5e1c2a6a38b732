"""Decode in a child process, so that no file can take a worker down: a codec may crash, loop or eat memory there."""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from xraygpt_core.confine import is_complete
from xraygpt_core.dicom import frames
from xraygpt_core.dicom.types import Identifiers, Limits, NormalisedImage, StatedFacts
from xraygpt_core.errors import Rejected, Unavailable
from xraygpt_core.metrics import DECODER_ENDED
from xraygpt_core.states import ReasonCode

log = logging.getLogger(__name__)

T = TypeVar("T")

IMAGES_PER_CHILD = 500  # then a fresh one: codecs leak, and starting one costs half a second
_START_SECONDS = 300.0  # a child that cannot start fails at once; a busy machine may take its time
_STARVED = 10  # how many times longer it may take where other processes keep the processor
_GRACE_SECONDS = 10.0  # between closing the socket and being gone: a killed one has its memory to give back first
_CHILD = (sys.executable, "-P", "-m", "xraygpt_core.dicom.decoder_child")
_DEEP_CHILD = (sys.executable, "-P", "-m", "xraygpt_core.dicom.deep_child")
_HEADER_CHILD = (sys.executable, "-P", "-m", "xraygpt_core.dicom.identify")
_FACTS_CHILD = (sys.executable, "-P", "-m", "xraygpt_core.dicom.facts_child")
# All that a child gets of our environment. Everything else may be a secret or a switch.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TZ")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Sandbox:
    """One child process that decodes one image after the other; threads that share it wait for each other.

    The child starts with the first image, is killed when an image costs more than its limits, and is replaced then and
    after every ``IMAGES_PER_CHILD`` images.
    """

    def __init__(self, limits: Limits, *, child: Sequence[str] = _CHILD, cell_required: bool = False) -> None:
        """
        Args:
            limits: for every image.
            child: the command of the decoding process.
            cell_required: do not read anything outside a cell that holds (:func:`xraygpt_core.confine.is_complete`).
        """
        self._limits = limits
        self._command = child
        self._cell_required = cell_required
        self._child: _Child | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is one."""
        return self._child.pid if self._child else None

    def normalise(self, data: bytes) -> NormalisedImage:
        """Read one DICOM, PNG or JPEG file, like :func:`xraygpt_core.dicom.normalise.normalise`.

        Raises:
            Rejected: its reason; UNDECODABLE for a crash, or more time or memory than the limits allow.
            Unavailable: the child process cannot be started, or its cell does not hold although it must.
        """
        return self._ask(data, frames.unpack)

    def identify(self, data: bytes) -> Identifiers:
        """The identifiers in a file, of a sandbox made by :func:`header_sandbox`.

        Raises:
            Rejected, Unavailable: as :meth:`normalise`.
        """
        return self._ask(data, frames.unpack_identifiers)

    def facts(self, data: bytes) -> StatedFacts:
        """What a file's header says of its film, of a sandbox made by :func:`facts_sandbox`.

        Raises:
            Rejected, Unavailable: as :meth:`normalise`.
        """
        return self._ask(data, frames.unpack_facts)

    def close(self) -> None:
        """End the child. A later image starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _ask(self, data: bytes, unpack: Callable[[bytes], T]) -> T:
        # The kernel kills when memory ends, and when the thread that started the child ends: not the image's fault.
        with self._turn:
            for _ in range(2):
                with suppress(_KilledError):
                    return self._ask_child(data, unpack)
            raise Rejected(ReasonCode.UNDECODABLE, "the decoding process was killed twice")

    def _ask_child(self, data: bytes, unpack: Callable[[bytes], T]) -> T:
        child = self._ready_child()
        try:
            return unpack(child.ask(data, self._limits.decode_seconds))
        except TimeoutError:
            seconds = self._limits.decode_seconds
            _count_end("time")
            raise Rejected(ReasonCode.UNDECODABLE, f"decoding takes longer than {seconds} s") from None
        except (OSError, frames.ProtocolError):
            raise _cause(child.exit_status()) from None
        finally:
            # However this ends, an answer that was not read must never become the next image's.
            if not child.answered:
                self.close()

    def _ready_child(self) -> "_Child":
        child = self._child
        if child is not None and not child.ours:
            self._child = None  # this process was forked from the one that talks to it
        elif child is not None and (child.asked >= IMAGES_PER_CHILD or not child.alive):
            self.close()
        if self._child is None:
            self._child = _Child(self._command, self._limits)
            if self._cell_required and not is_complete(self._child.cell):
                self.close()
                raise Unavailable("the decoder's cell does not hold on this machine, and XRAYGPT_DECODER_CELL=required")
        return self._child


def deep_sandbox(limits: Limits, *, cell_required: bool = False) -> Sandbox:
    """A sandbox that also makes the 16-bit copy, as :mod:`xraygpt_core.dicom.deep_child`."""
    return Sandbox(limits, child=_DEEP_CHILD, cell_required=cell_required)


def header_sandbox(limits: Limits, *, cell_required: bool = False) -> Sandbox:
    """A sandbox that only reads a file's identifiers, as :mod:`xraygpt_core.dicom.identify`."""
    return Sandbox(limits, child=_HEADER_CHILD, cell_required=cell_required)


def facts_sandbox(limits: Limits, *, cell_required: bool = False) -> Sandbox:
    """A sandbox that only reads what headers say of their films, as :mod:`xraygpt_core.dicom.facts_child`."""
    return Sandbox(limits, child=_FACTS_CHILD, cell_required=cell_required)


class _KilledError(Exception):
    """Another process sent SIGKILL to the child."""


def _cause(status: int | None) -> Exception:
    """The error of a child that is gone, by its exit status; None: it did not answer and had to be killed."""
    if status is None:
        _count_end("silence")
        return Rejected(ReasonCode.UNDECODABLE, "the decoder stopped talking")
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    _count_end(name if status < 0 else "exit")
    if status == -signal.SIGKILL:
        return _KilledError()
    return Rejected(ReasonCode.UNDECODABLE, f"the decoder crashed ({name})")


def _count_end(how: str) -> None:
    """A decoder that ends is a broken file, a hole in a codec or an attack: each is logged.

    Args:
        how: a signal's name, or ``exit``, ``time`` (longer than its limit) or ``silence`` (an answer without sense).
    """
    DECODER_ENDED.labels(how).inc()
    log.warning("a decoding process ended on a file", extra={"reason": how})


class _Child:
    """A started child and our end of the socket pair."""

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self.asked = 0
        self.answered = False
        self.cell: list[str] = []
        self._owner = os.getpid()
        self._channel, theirs = socket.socketpair()
        arguments = (os.getpid(), limits.max_pixels, limits.decode_seconds, limits.decode_memory_bytes)
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _ONE_THREAD
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [*command, *map(str, arguments)], stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment
            )
        except OSError as error:
            self._channel.close()
            raise Unavailable(f"the decoding process does not start: {error}") from None
        finally:
            theirs.close()
        self._wait_until_ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def ours(self) -> bool:
        """False in a process that was forked since."""
        return self._owner == os.getpid()

    def ask(self, data: bytes, seconds: float) -> bytes:
        """One file in, one reply out. Raises TimeoutError, OSError or ProtocolError."""
        self.asked, self.answered = self.asked + 1, False
        patience = seconds * _STARVED
        frames.send(self._channel, data, time.monotonic() + patience)
        self._wait_for_answer(seconds)
        reply = frames.receive_reply(self._channel, time.monotonic() + patience)
        if reply is None:
            raise frames.ProtocolError("closed without an answer")
        self.answered = True
        return reply

    def _wait_for_answer(self, seconds: float) -> None:
        """Wait for ``seconds``, and longer while the child wants to run and others use the processor.

        A busy machine must not make a film undecodable. An endless loop uses its seconds up; a child that sleeps has
        nothing to wait for.
        """
        last, before, left = time.monotonic() + seconds * _STARVED, self._used()[1], seconds
        while not self._answers_within(left):
            state, used = self._used()
            left = min(seconds - (used - before), last - time.monotonic())
            if state not in "RD" or left < 0.05 * seconds:
                if self._answers_within(0):  # and then went to sleep, or had used up its time
                    return
                raise TimeoutError

    def _answers_within(self, seconds: float) -> bool:
        return bool(select.select([self._channel], [], [], seconds)[0])

    def _used(self) -> tuple[str, float]:
        """The child's state and CPU seconds (proc(5), stat); it is gone: a state that is never waited for."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return "X", 0.0
        return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Kill it; it has nothing to lose."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def exit_status(self) -> int | None:
        """How it ended, if it did so by itself; else None. It is gone afterwards."""
        try:
            return self._process.wait(0 if self.answered else _GRACE_SECONDS)  # one that answers has no wish to end
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.end()

    def _wait_until_ready(self) -> None:
        try:
            self.cell = frames.unpack_ready(frames.receive_reply(self._channel, time.monotonic() + _START_SECONDS))
        except (OSError, frames.ProtocolError):
            status = self.exit_status()
            raise Unavailable(
                f"the decoding process does not start (exit status {status}); its error output says why"
            ) from None
