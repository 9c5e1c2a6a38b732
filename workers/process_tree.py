"""Holds a training job's whole process tree: nothing of it outlives the worker that started it.

``python -m workers.process_tree PARENT COMMAND…`` starts the command and waits for it. If the parent dies (however),
the kernel sends us SIGHUP (prctl(2), PR_SET_PDEATHSIG) and we kill every descendant, also those that moved to sessions
of their own as torchrun's ranks do: as a subreaper we inherit each of them. If we die, the command is killed that way.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from xraygpt_core.confine.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, prctl


def main(arguments: list[str]) -> int:
    """Run the command and hold its process tree; its exit code, or 128 + the signal that ended it."""
    parent, command = int(arguments[0]), arguments[1:]
    signal.signal(signal.SIGHUP, _parent_died)
    prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:  # it died before the kernel knew that it is to tell us
        return 1
    # Safe to run code between fork and exec here: this process has one thread.
    job = subprocess.Popen(command, preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    signal.signal(signal.SIGTERM, lambda *_: job.send_signal(signal.SIGTERM))
    code = job.wait()
    kill_descendants(os.getpid())
    return code if code >= 0 else 128 - code


def descendants(ancestor: int) -> list[int]:
    """Every living process below one, by /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()  # the name may hold spaces and parentheses
        except OSError:
            continue
        if after_name[0] != "Z":
            children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def kill_descendants(ancestor: int) -> None:
    """Kill until none is left; a process may fork while we look."""
    while below := descendants(ancestor):
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _parent_died(*_: object) -> None:
    kill_descendants(os.getpid())
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
