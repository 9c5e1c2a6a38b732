"""How a training process ended, in our own words: what it said itself may name files and quote texts."""

import errno
import re
from dataclasses import dataclass

from xraygpt_core.errors import InvalidRequest, TrainingError
from xraygpt_core.states import Failure

STOPPED = 75  # a checkpoint is written; start it again
MACHINE = 74  # the machine failed, not the run: another one may go on
_WRONG_USAGE = 2
_FULL = (errno.ENOSPC, errno.EDQUOT)
_BY_TORCHRUN = re.compile(r"^\s*exitcode\s*:\s*(-?\d{1,3}) \(pid", re.MULTILINE)
_STEP = re.compile(r"\bstep (\d{1,7})\b")

# What its one sentence is about, the first that fits. Each word is looked for in lower case.
_REPEATS = (
    (Failure.NOT_FINITE, ("nan", "not finite", "infinite", "not a number")),
    (Failure.BAD_CHECKPOINT, ("checkpoint",)),
    (Failure.BAD_SETTINGS, ("setting", "configuration", "must be at", "preset", "bundle", "does not fit")),
    (Failure.BAD_DATA, ("pair", "set ", "image", "film", "line", "mixture", "corpus", "text", "file")),
)
_MACHINE = (
    (Failure.DISK_FULL, ("disk", "no space", "quota")),
    (Failure.OUT_OF_MEMORY, ("memory",)),
    (Failure.DEVICE_LOST, ("device", "cuda", "gpu", "nccl", "peer")),
)
_SAYS = {
    Failure.NOT_FINITE: "the loss or a gradient is not finite: lower the learning rate, or look at the pairs it names",
    Failure.BAD_DATA: "its data are not as they must be",
    Failure.BAD_SETTINGS: "its settings do not fit the bundle it starts from",
    Failure.BAD_CHECKPOINT: "its checkpoint is another run's, or broken",
    Failure.DISK_FULL: "the worker's disk is full",
    Failure.OUT_OF_MEMORY: "the device or the machine has too little memory: lower micro_batch",
    Failure.DEVICE_LOST: "the device was lost",
    Failure.MACHINE: "the machine failed",
    Failure.CRASHED: "its process ended without a word",
    Failure.UNKNOWN: "it failed in a way that would repeat",
}


class RunRepeats(InvalidRequest):
    """A training run failed in a way that would repeat: it is not tried again.

    Attributes:
        outcome: why.
        said: the last of what its process said itself, for trainers.
    """

    outcome: "Outcome"
    said: bytes = b""


class RunFailed(TrainingError):
    """A training run failed in a way that need not repeat. Its attributes are those of :class:`RunRepeats`."""

    outcome: "Outcome"
    said: bytes = b""


@dataclass(frozen=True)
class Outcome:
    """Why a training process failed.

    Attributes:
        says: one sentence of ours; what the process said itself is a file that trainers may read.
        repeats: trying again would end the same way.
    """

    failure: Failure
    says: str
    repeats: bool

    @property
    def error(self) -> RunRepeats | RunFailed:
        """For the worker's edge."""
        made = (RunRepeats if self.repeats else RunFailed)(f"{self.says} ({self.failure})")
        made.outcome = self
        return made


def exit_code(code: int, said: str) -> int:
    """The exit code of the process that trained; torchrun ends with 1 whatever its processes end with, and says it."""
    found = _BY_TORCHRUN.search(said)
    return int(found[1]) if code == 1 and found else code


def outcome_of(code: int, said: str) -> Outcome:
    """The outcome of a process that ended with this exit code.

    Args:
        said: the last of its output; none of it becomes part of the outcome but the number of a step.
    """
    sentence = (said.strip().splitlines() or [""])[-1].lower()
    if code == MACHINE:
        failure = _first(_MACHINE, sentence, Failure.MACHINE)
        return Outcome(failure, f"{_SAYS[failure]}: another worker may go on with it", repeats=False)
    if code == _WRONG_USAGE:
        return Outcome(Failure.BAD_SETTINGS, _SAYS[Failure.BAD_SETTINGS], repeats=True)
    if code != 1:
        return Outcome(Failure.CRASHED, f"{_SAYS[Failure.CRASHED]} (exit code {code})", repeats=False)
    failure = _first(_REPEATS, sentence, Failure.UNKNOWN)
    step = _STEP.search(sentence)
    where = f"at step {step[1]} " if step else ""
    return Outcome(failure, f"{where}{_SAYS[failure]}; its own sentence is in the run's log.txt", repeats=True)


def of_this_machine(error: OSError) -> Outcome:
    """The worker itself could not read or write a file of the run."""
    failure = Failure.DISK_FULL if error.errno in _FULL else Failure.MACHINE
    return Outcome(failure, _SAYS[failure], repeats=False)


def _first(words: tuple[tuple[Failure, tuple[str, ...]], ...], sentence: str, otherwise: Failure) -> Failure:
    return next((failure for failure, known in words if any(word in sentence for word in known)), otherwise)
