"""Ctrl-C in a terminal: the job puts down its work, and the command waits for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

JOB = """
import signal, sys, time
stopped = []
signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
open("ready", "w").close()
while not stopped:
    time.sleep(0.01)
time.sleep(0.6)  # longer than subprocess waits before it kills
open("put down", "w").close()
print("{}")
"""
PROGRAM = """
from xraygpt.commands.training import leaving_ctrl_c_to_the_job, run_job
with leaving_ctrl_c_to_the_job():
    print(run_job(["curate"]))
"""


def test_ctrl_c_is_the_jobs_and_the_command_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "training_jobs.py").write_text(JOB)
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, start_new_session=True, stdout=subprocess.PIPE
    ) as command:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ready").exists():
            assert command.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(command.pid, signal.SIGINT)
        said, _ = command.communicate(timeout=60)
    assert (tmp_path / "put down").exists()
    assert (command.returncode, said.strip()) == (0, b"{}")
