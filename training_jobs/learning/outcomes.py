"""How a job ends, beside well: stopped, failed for good, or failed with its machine; each has its exit code."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from xraygpt_core.errors import TrainingError
from xraygpt_core.model.faults import device_is_gone, out_of_memory

STOPPED = 75  # exit code (EX_TEMPFAIL): a checkpoint was written; start the job with --resume
MACHINE_FAILED = 74  # exit code (EX_IOERR): disk full, device lost, a process of the run died; go on elsewhere
FAILED = 1  # exit code: it would fail again

_OF_THE_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than this system allows",
    errno.EIO: "the disk cannot be read or written",
    errno.EROFS: "the disk has become read-only",
}
_OF_PEERS = (
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "broken pipe",
    "nccl",
    "gloo",
)


class Stopped(Exception):
    """SIGTERM came; the checkpoint is written. Not an error: the job was asked to end."""


class MachineFailed(TrainingError):
    """This machine cannot go on with the run (disk full, device lost, a process died); another one may."""


@contextmanager
def machine_failures() -> Iterator[None]:
    """Faults of the machine leave the block as :class:`MachineFailed`, everything else as it is."""
    try:
        yield
    except (OSError, RuntimeError, MemoryError, SafetensorError) as error:
        if (reason := machine_fault(error)) is None:
            raise
        raise MachineFailed(f"{reason}; the run can go on elsewhere, from its last checkpoint") from error


def machine_fault(error: BaseException | None) -> str | None:
    """What is wrong with the machine, in words without paths; None where the machine is not at fault.

    Writers wrap what the system says (torch's fails once more while it closes the file): the reason may lie beneath.
    """
    if error is None:
        return None
    return _own_fault(error) or machine_fault(error.__cause__) or machine_fault(error.__context__)


def _own_fault(error: BaseException) -> str | None:
    number = getattr(error, "errno", None)
    if number in _OF_THE_DISK:
        return _OF_THE_DISK[number]
    message = str(error).lower()
    for number, reason in _OF_THE_DISK.items():
        if f"os error {number})" in message:
            return reason
    if out_of_memory(error):
        return "there is not enough memory for this batch (a smaller micro_batch needs less)"
    if device_is_gone(error):
        return "the device was lost"
    if isinstance(error, ConnectionError) or any(words in message for words in _OF_PEERS):
        return "another process of the run ended"
    return None
