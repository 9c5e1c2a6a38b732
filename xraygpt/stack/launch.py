"""Start, stop and look at a stack from outside its supervisor."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from xraygpt.moments import since_then
from xraygpt.stack.processes.child import StackError, die_with_parent, open_log
from xraygpt.stack.processes.restarts import STEADY_SECONDS
from xraygpt.stack.settings.home import Home, holder, running_stack
from xraygpt_core.shutdown import stack_patience

POLL_SECONDS = 0.05


def start(home: Home, say: Callable[[str], None], *, tied: bool = False) -> dict[str, Any]:
    """Start a supervisor in the background and return its stack.json when everything answers.

    Args:
        say: takes the lines of progress.
        tied: it ends when this process does, however that happens.

    Raises:
        StackError: it did not start, with the sentence that says why.
    """
    home.create()
    process = _spawn(home, tied=tied)
    assert process.stdout is not None
    stack = None
    try:
        with process.stdout:
            stack = _wait_until_ready(process.stdout, home, say)
    finally:
        if stack is None:  # it failed, or Ctrl-C was pressed: nothing half started stays behind
            process.terminate()
            process.wait()
    process.returncode = 0  # it outlives this object, which must not warn that it still runs
    return stack


def _wait_until_ready(lines: Iterable[bytes], home: Home, say: Callable[[str], None]) -> dict[str, Any]:
    error = f"the supervisor ended; see {home.log('supervisor')}"
    for line in lines:
        message = json.loads(line)
        if "say" in message:
            say(message["say"])
        elif "error" in message:
            error = message["error"]
        elif (stack := running_stack(home)) is not None:
            return stack
    raise StackError(error)


def _spawn(home: Home, *, tied: bool) -> subprocess.Popen[bytes]:
    with open_log(home.log("supervisor")) as log:
        return subprocess.Popen(
            [sys.executable, "-m", "xraygpt.stack"],
            cwd=home.root,  # a data directory below the current one is absolute by now
            env=os.environ | {"XRAYGPT_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM) if tied else None,
        )


def stop(home: Home) -> bool:
    """Stop the stack and wait until it has stopped; False if none runs.

    Raises:
        StackError: it does not end.
    """
    pid = holder(home)
    if pid is None:
        home.stack_file.unlink(missing_ok=True)
        return False
    stack = running_stack(home) or {}  # empty while it starts
    deadline = time.monotonic() + stack.get("stop_seconds", stack_patience({}))
    os.kill(pid, signal.SIGTERM)
    while holder(home) == pid or is_alive(pid):
        if time.monotonic() > deadline:
            raise StackError(f"the supervisor (process {pid}) does not end; see {home.log('supervisor')}")
        time.sleep(POLL_SECONDS)
    return True


def processes(stack: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """State of each process of the stack: ``running``, ``restarting`` or ``external`` (not started by us).

    ``ends``: how often it ended lately; ``said``: the error that it wrote before its last end.
    """
    states = {}
    for name, pid in stack["pids"].items():
        alive = pid is not None and is_alive(pid)
        state = "external" if name in stack["external"] else "running" if alive else "restarting"
        end = stack.get("ends", {}).get(name)
        if end is None or (alive and since_then(datetime.fromisoformat(end["at"])) > STEADY_SECONDS):
            end = {"count": 0, "said": None}
        states[name] = {"pid": pid, "state": state, "ends": end["count"], "said": end["said"]}
    return states


def is_alive(pid: int) -> bool:
    """True if there is a process with this id (another user's counts, one that only waits to be reaped does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read; or no Linux
        return not Path("/proc/self").exists()
