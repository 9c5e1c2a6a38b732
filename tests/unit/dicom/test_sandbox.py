"""A real child process, and everything a hostile file can do to it."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support.sandbox_tools import LIMITS, refused
from xraygpt_core.dicom import sandbox as sandbox_module
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.sandbox import Sandbox, header_sandbox
from xraygpt_core.dicom.types import Identifiers, Limits
from xraygpt_core.errors import Rejected, Unavailable
from xraygpt_core.states import ReasonCode

HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_child.py")))


@pytest.fixture(scope="module")
def hostile():
    """A child that obeys the orders of hostile_child.py; one second each."""
    with Sandbox(Limits(64_000_000, 1.0, 2**28), child=HOSTILE) as started:
        yield started


def wait_for_end(pid):
    """Until the process has ended; its parent need not have noticed."""
    descriptor = os.pidfd_open(pid)
    try:
        assert select.select([descriptor], [], [], 120)[0], f"process {pid} is still alive"
    finally:
        os.close(descriptor)


def test_the_parent_loads_no_codec():
    code = "import sys, xraygpt_core.dicom.sandbox; print({'pydicom', 'numpy', 'PIL', 'gdcm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"


def test_the_child_gives_what_the_process_gives(sandbox, make_dicom):
    for data in (make_dicom(), make_dicom(ViewPosition=None, PatientID="Żółć", SpecificCharacterSet="ISO_IR 192")):
        assert sandbox.normalise(data) == normalise(data, LIMITS)


def test_a_sandbox_for_headers_says_whom_a_film_names_that_would_be_rejected(make_dicom):
    with header_sandbox(LIMITS) as headers:
        named = headers.identify(
            make_dicom(BodyPartExamined="HIP", PatientID=" Żółć ", SpecificCharacterSet="ISO_IR 192")
        )
        assert (named.patient_id, named.patient_id_issuer) == ("Żółć", None)
        assert headers.identify(b"\x89PNG\r\n\x1a\n") == Identifiers()
        with pytest.raises(Rejected):
            headers.identify(make_dicom()[:200])


def test_rejections_cross_with_reason_and_detail(sandbox, make_dicom):
    data = make_dicom(BodyPartExamined="HIP")
    with pytest.raises(Rejected) as here:
        normalise(data, LIMITS)
    there = refused(sandbox, data)
    assert (there.reason, there.detail) == (here.value.reason, here.value.detail)
    assert refused(sandbox, b"").reason is ReasonCode.EMPTY


def test_one_child_reads_many_images(sandbox, make_dicom):
    data = make_dicom()
    sandbox.normalise(data)
    pid = sandbox.pid
    for _ in range(10):
        sandbox.normalise(data)
    assert sandbox.pid == pid


LONG = pytest.mark.long  # each starts a decoder twice; one of a kind is enough at every push


@pytest.mark.parametrize(
    "name", ["SIGSEGV", *(pytest.param(name, marks=LONG) for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGXCPU"))]
)
def test_a_crash_costs_one_image_and_is_told(hostile, make_dicom, caplog, name):
    told = REGISTRY.get_sample_value("xraygpt_decoder_ended_total", {"result": name}) or 0
    rejection = refused(hostile, f"crash {name}".encode())
    assert rejection.reason is ReasonCode.UNDECODABLE
    assert name in rejection.detail
    assert REGISTRY.get_sample_value("xraygpt_decoder_ended_total", {"result": name}) == told + 1
    assert [record.reason for record in caplog.records] == [name]
    assert hostile.normalise(make_dicom()).view == "PA"


@pytest.mark.parametrize("order", [b"loop", b"sleep 60"])
def test_an_endless_loop_costs_its_time_and_one_image(hostile, make_dicom, order):
    assert refused(hostile, order).reason is ReasonCode.UNDECODABLE
    assert hostile.pid is None
    assert hostile.normalise(make_dicom()).view == "PA"


def test_a_child_that_wants_to_run_is_given_more_time(hostile, make_dicom, monkeypatch):
    """As on a machine where others keep the processor: runnable, and no CPU time spent."""
    monkeypatch.setattr(sandbox_module._Child, "_used", lambda _: ("R", 0.0))
    assert refused(hostile, b"sleep 1.5").reason is ReasonCode.EMPTY


def test_an_answer_that_comes_while_the_clock_is_looked_at_counts(hostile, monkeypatch):
    looks = []

    def slowly(child):
        looks.append(child)
        if len(looks) > 1:  # the first look is before the waiting
            os.kill(child.pid, signal.SIGUSR1)
            assert select.select([child._channel], [], [], 60)[0]
        return "S", 0.0

    monkeypatch.setattr(sandbox_module._Child, "_used", slowly)
    assert refused(hostile, b"wait").reason is ReasonCode.EMPTY
    assert len(looks) == 2


def test_a_child_that_never_gets_to_run_is_given_up(monkeypatch):
    monkeypatch.setattr(sandbox_module._Child, "_used", lambda _: ("R", 0.0))
    monkeypatch.setattr(sandbox_module, "_STARVED", 2)
    with Sandbox(Limits(10**6, 0.5, 2**28), child=HOSTILE) as fresh:
        assert refused(fresh, b"sleep 60").reason is ReasonCode.UNDECODABLE


def test_eating_memory_costs_one_image(hostile, make_dicom):
    assert refused(hostile, b"eat").reason is ReasonCode.UNDECODABLE
    assert hostile.normalise(make_dicom()).view == "PA"


@pytest.mark.parametrize(
    "order", [b"exit 0", *(pytest.param(order, marks=LONG) for order in (b"lie", b"exit 9", b"close"))]
)
def test_an_answer_that_makes_no_sense_costs_one_image(hostile, make_dicom, order):
    assert refused(hostile, order).reason is ReasonCode.UNDECODABLE
    assert hostile.normalise(make_dicom()).view == "PA"


def test_a_child_that_takes_its_time_to_end_is_told_by_how_it_ended(hostile, monkeypatch):
    """As one that is killed while it has much memory to give back."""
    monkeypatch.setattr(sandbox_module, "_GRACE_SECONDS", 60)
    assert "exit status 9" in refused(hostile, b"leave 1.5").detail


def test_one_that_answered_nonsense_is_not_waited_for(hostile, monkeypatch):
    monkeypatch.setattr(sandbox_module, "_GRACE_SECONDS", 60)
    began = time.monotonic()
    assert refused(hostile, b"lie").detail == "the decoder stopped talking"
    assert time.monotonic() - began < 60


def test_a_child_that_somebody_else_killed_is_replaced_and_the_image_tried_again(tmp_path):
    with Sandbox(LIMITS, child=(*HOSTILE, str(tmp_path / "marker"))) as fresh:
        assert refused(fresh, b"kill-first").reason is ReasonCode.EMPTY


def test_an_image_during_which_the_child_is_killed_twice_is_undecodable(hostile, make_dicom):
    assert refused(hostile, b"crash SIGKILL").reason is ReasonCode.UNDECODABLE
    assert hostile.normalise(make_dicom()).view == "PA"


def test_prints_of_a_codec_reach_neither_the_protocol_nor_the_terminal(hostile, capfd):
    assert refused(hostile, b"print CANARY").reason is ReasonCode.EMPTY
    assert "CANARY" not in "".join(capfd.readouterr())


def test_no_file_can_be_written(hostile, tmp_path):
    assert refused(hostile, f"write {tmp_path}/leak".encode()).detail == "no file"


def test_no_secret_of_the_environment_is_inherited(monkeypatch):
    monkeypatch.setenv("XRAYGPT_HMAC_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Sandbox(LIMITS, child=HOSTILE) as fresh:
        names = refused(fresh, b"environment").detail.split()
    assert not [name for name in names if name.startswith(("XRAYGPT", "AWS"))]


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
