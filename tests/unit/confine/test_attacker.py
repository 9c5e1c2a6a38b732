"""A stand-in attacker in the decoder's place: nothing of what it tries succeeds, whoever runs the worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# A world that may be broken: mounts, processes, host name and shared memory of the test alone.
WORLD = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--uts")
WORKER = (sys.executable, str(HERE / "worker.py"))
ALL = ["user", "network", "root", "privileges", "landlock", "seccomp"]
USERS = {  # and the layers that they can have
    "root": (WORKER, ALL),
    "a normal user": ((sys.executable, str(HERE / "as_nobody.py"), *WORKER), ALL),
    "a mapped user": (("unshare", "--user", "--map-user=1000", "--map-group=1000", *WORKER), ALL),
    "one who may make no namespace": (("unshare", "--user", *WORKER), ["privileges", "landlock", "seccomp"]),
}
NOT_BY_A_CALL = {"process: more descriptors", "kernel: more memory", "kernel: more files"}


def report(*command):
    environment = {"PYTHONPATH": str(HERE.parents[2]), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*WORLD, *command], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def _only_where_a_world_can_be_made():
    if os.getuid() or subprocess.run([*WORLD, "true"], capture_output=True).returncode:
        pytest.skip("only root may make the world in which the attacker is let loose")


@pytest.mark.parametrize(
    "user",
    [
        "root",
        "a normal user",
        pytest.param("a mapped user", marks=pytest.mark.long),
        pytest.param("one who may make no namespace", marks=pytest.mark.long),
    ],
)
def test_nothing_that_a_taken_over_decoder_tries_succeeds(user):
    command, layers = USERS[user]
    told = report(*command)
    assert [act for act, outcome in told["outcomes"].items() if outcome == "SUCCEEDED"] == []
    assert len(told["outcomes"]) > 90
    refused = {act for act, outcome in told["outcomes"].items() if outcome == "refused (1)"}
    assert told["outcomes"].keys() - refused == NOT_BY_A_CALL  # EPERM: it was refused, and not merely out of reach
    assert told["cell"] == layers
    status = told["status"]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert user != "root" or int(status["CapBnd"], 16) == 0


def test_without_the_cell_most_of_it_succeeds():
    outcomes = report(*WORKER, "--free")["outcomes"]
    done = {act for act, outcome in outcomes.items() if outcome == "SUCCEEDED"}
    assert {
        "read hmac.key", "read the parent's environment", "read a sibling's environment", "file: unlink", "file: mkdir",
        "process: run id", "process: trace the parent", "process: write the parent's memory", "net: TCP",
        "net: unix socket", "net: abstract socket", "process: signal the parent",
    } <= done  # fmt: skip
    assert len(done) > 50
