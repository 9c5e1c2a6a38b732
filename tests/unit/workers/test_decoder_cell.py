"""What a process that starts decoders says of their cell before it does anything else."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from workers import decoder_cell
from xraygpt_core.confine import LAYERS, is_complete, look
from xraygpt_core.errors import ConfigurationError


@pytest.fixture
def shielded(monkeypatch):
    """The test process itself stays open to its debugger."""
    done = []
    monkeypatch.setattr(decoder_cell, "shield", lambda: done.append(True))
    return done


def with_cell(value):
    return SimpleNamespace(decoder_cell=value)


def test_a_cell_that_holds_is_logged_layer_by_layer(shielded, monkeypatch, caplog):
    monkeypatch.setattr(decoder_cell, "look", lambda: [*LAYERS[:-3], "privileges", "landlock", "seccomp"])
    with caplog.at_level("INFO"):
        decoder_cell.check_cell(with_cell("required"))
    assert shielded
    assert caplog.records[-1].layers == "user network root privileges landlock seccomp"
    assert caplog.records[-1].missing == ""


@pytest.mark.parametrize(
    "stand", [[], ["user", "network", "root", "privileges", "landlock"], ["privileges", "seccomp"]]
)
def test_one_that_does_not_hold_stops_the_start_where_it_is_required(shielded, monkeypatch, caplog, stand):
    monkeypatch.setattr(decoder_cell, "look", lambda: stand)
    with pytest.raises(ConfigurationError, match="XRAYGPT_DECODER_CELL"):
        decoder_cell.check_cell(with_cell("required"))
    decoder_cell.check_cell(with_cell("best"))
    assert caplog.records[-1].levelname == "WARNING"
    assert set(caplog.records[-1].missing.split()) == set(LAYERS) - set(stand)


def test_a_cell_is_tried_out_in_a_process_of_its_own():
    assert is_complete(look())
    assert os.getuid() == os.geteuid()


def test_a_shielded_process_has_no_dump_and_its_child_may_have_one():
    code = (
        "import subprocess, sys; from xraygpt_core.confine import shield;"
        "from xraygpt_core.confine.kernel import prctl;"
        "shield(); print(prctl(3), flush=True);"
        "subprocess.run([sys.executable, '-c', 'from xraygpt_core.confine.kernel import prctl; print(prctl(3))'])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split() == [b"0", b"1"]
