"""The life of the sandbox's child: who shares it, when another takes its place, and how it ends."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.sandbox_tools import LIMITS
from xraygpt_core.dicom import sandbox as sandbox_module
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.errors import Unavailable


def wait_for_end(pid):
    """Until the process has ended; its parent need not have noticed."""
    descriptor = os.pidfd_open(pid)
    try:
        assert select.select([descriptor], [], [], 120)[0], f"process {pid} is still alive"
    finally:
        os.close(descriptor)


def test_signals_meant_for_the_worker_do_not_end_the_child(sandbox, make_dicom):
    sandbox.normalise(make_dicom())
    pid = sandbox.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    assert sandbox.normalise(make_dicom()).view == "PA"
    assert sandbox.pid == pid


def test_a_child_that_died_while_idle_is_replaced(sandbox, make_dicom):
    sandbox.normalise(make_dicom())
    pid = sandbox.pid
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert sandbox.normalise(make_dicom()).view == "PA"
    assert sandbox.pid != pid


def test_the_child_is_replaced_after_its_number_of_images(monkeypatch, make_dicom):
    monkeypatch.setattr(sandbox_module, "IMAGES_PER_CHILD", 2)
    data, pids = make_dicom(), []
    with Sandbox(LIMITS) as fresh:
        for _ in range(4):
            fresh.normalise(data)
            pids.append(fresh.pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_another_thread_may_go_on_where_one_ended(make_dicom):
    """The kernel ends the child with the thread that started it (prctl(2)), not with the process."""
    with Sandbox(LIMITS) as fresh:
        first = threading.Thread(target=fresh.normalise, args=(make_dicom(),))
        first.start()
        first.join()
        wait_for_end(fresh.pid)
        assert fresh.normalise(make_dicom()).view == "PA"


def test_an_answer_nobody_waited_for_is_never_the_next_image_s(sandbox, make_dicom, monkeypatch):
    other = make_dicom(ViewPosition="AP", PatientID="OTHER")
    sandbox.normalise(other)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sandbox_module.frames, "receive_reply", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sandbox.normalise(other)
    assert sandbox.normalise(make_dicom()).identifiers.patient_id == "CANARY-PATIENT"


def test_threads_that_share_a_sandbox_get_their_own_images(sandbox, make_dicom):
    sandbox.normalise(make_dicom())
    names, found = [f"PATIENT-{number}" for number in range(12)], {}

    def read(name):
        found[name] = sandbox.normalise(make_dicom(PatientID=name)).identifiers.patient_id

    threads = [threading.Thread(target=read, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: name for name in names}


def test_a_forked_process_does_not_share_its_parent_s_child(sandbox, make_dicom):
    sandbox.normalise(make_dicom())
    pid = sandbox.pid
    forked = os.fork()
    if forked == 0:
        try:
            own = sandbox.normalise(make_dicom(PatientID="FORKED")).identifiers.patient_id == "FORKED"
            os._exit(0 if own and sandbox.pid != pid else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert sandbox.normalise(make_dicom()).view == "PA"
    assert sandbox.pid == pid


def test_the_child_ends_with_its_parent():
    script = (
        "import os, signal\n"
        "from xraygpt_core.dicom.sandbox import Sandbox\n"
        "from xraygpt_core.dicom.types import Limits\n"
        "from xraygpt_core.errors import Rejected\n"
        "sandbox = Sandbox(Limits(10**6, 60.0, 2**28))\n"
        "try: sandbox.normalise(b'')\n"
        "except Rejected: print(sandbox.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        descriptor = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([descriptor], [], [], 120)[0]
    finally:
        os.close(descriptor)


def test_closing_ends_the_child_and_a_later_image_starts_another(make_dicom):
    fresh = Sandbox(LIMITS)
    fresh.normalise(make_dicom())
    pid = fresh.pid
    fresh.close()
    assert not Path(f"/proc/{pid}").exists()
    assert fresh.normalise(make_dicom()).view == "PA"
    fresh.close()
    fresh.close()


@pytest.mark.parametrize("command", [(sys.executable, "-c", "raise SystemExit(3)"), ("/no/such/python",)])
def test_a_child_that_does_not_start_is_nobody_s_fault_but_the_machine_s(command):
    with Sandbox(LIMITS, child=command) as broken, pytest.raises(Unavailable):
        broken.normalise(b"anything")


def test_a_decoder_without_its_cell_is_refused_where_one_is_required(make_dicom):
    open_child = (
        "from xraygpt_core.dicom import decoder_child; decoder_child.confine = lambda keep: []; decoder_child.main()"
    )
    with Sandbox(LIMITS, child=(sys.executable, "-c", open_child)) as best:
        assert best.normalise(make_dicom()).view == "PA"
    with Sandbox(LIMITS, child=(sys.executable, "-c", open_child), cell_required=True) as strict:
        with pytest.raises(Unavailable, match="XRAYGPT_DECODER_CELL"):
            strict.normalise(make_dicom())
        assert strict.pid is None
    with Sandbox(LIMITS, cell_required=True) as locked_up:
        assert locked_up.normalise(make_dicom()).view == "PA"


def test_the_child_is_confined(sandbox, make_dicom):
    sandbox.normalise(make_dicom())
    lines = Path(f"/proc/{sandbox.pid}/limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[0] for line in lines[1:]}
    assert limits["Max core file size"] == limits["Max file size"] == limits["Max processes"] == "0"
    assert LIMITS.decode_memory_bytes < int(limits["Max address space"]) < LIMITS.decode_memory_bytes + 2**30
    assert int(limits["Max cpu time"]) < 120
