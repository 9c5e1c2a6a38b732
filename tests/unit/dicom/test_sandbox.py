"""A real child process, and everything a hostile file can do to it."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support.sandbox_tools import LIMITS, refused
from xraygpt_core.dicom import sandbox as sandbox_module
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.sandbox import Sandbox, deep_sandbox, header_sandbox
from xraygpt_core.dicom.types import Identifiers, Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_child.py")))


@pytest.fixture(scope="module")
def hostile():
    """A child that obeys the orders of hostile_child.py; one second each."""
    with Sandbox(Limits(64_000_000, 1.0, 2**28), child=HOSTILE) as started:
        yield started


def test_the_parent_loads_no_codec():
    code = "import sys, xraygpt_core.dicom.sandbox; print({'pydicom', 'numpy', 'PIL', 'gdcm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"


def test_the_child_gives_what_the_process_gives(sandbox, make_dicom):
    for data in (make_dicom(), make_dicom(ViewPosition=None, PatientID="Żółć", SpecificCharacterSet="ISO_IR 192")):
        assert sandbox.normalise(data) == normalise(data, LIMITS)


def test_a_sandbox_for_16_bits_gives_the_copy_and_another_one_does_not(sandbox, make_dicom):
    data = make_dicom()
    with deep_sandbox(LIMITS) as deep:
        assert deep.normalise(data) == normalise(data, LIMITS, deep=True)
    assert sandbox.normalise(data).deep is None


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
