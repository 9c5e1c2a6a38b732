"""Locks of devices: one run each, free again when everything that held them is gone, and nobody else's to make."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.devices import HeldDevices, cuda_devices, parse_listing, take_devices
from workers.training_child import TrainingChild
from xraygpt_core.errors import ConfigurationError, TrainingError

TWO = {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
NONE = {"CUDA_VISIBLE_DEVICES": ""}


def took(held: HeldDevices | None) -> HeldDevices:
    assert held is not None
    return held


def test_two_runs_take_two_devices_and_the_third_waits(tmp_path: Path) -> None:
    with took(take_devices(1, tmp_path, 1, TWO)) as first, took(take_devices(1, tmp_path, 1, TWO)) as second:
        assert (first.names, second.names) == (("GPU-a",), ("GPU-b",))
        assert second.environment == {"CUDA_VISIBLE_DEVICES": "GPU-b"}
        assert take_devices(1, tmp_path, 1, TWO) is None
    with took(take_devices(1, tmp_path, 1, TWO)) as again:
        assert again.names == ("GPU-a",)


def test_a_run_that_wants_two_takes_both_or_none(tmp_path: Path) -> None:
    with took(take_devices(1, tmp_path, 1, TWO)):
        assert take_devices(2, tmp_path, 1, TWO) is None
        with took(take_devices(1, tmp_path, 1, TWO)) as left:
            assert left.names == ("GPU-b",), "what the refused run tried is free again"
    with took(take_devices(2, tmp_path, 1, TWO)) as both:
        assert both.environment == {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}


def test_without_a_device_runs_share_the_processor_as_a_setting_says(tmp_path: Path) -> None:
    with took(take_devices(4, tmp_path, 2, NONE)) as first, took(take_devices(1, tmp_path, 2, NONE)):
        assert (first.names, first.environment) == (("cpu-0",), {})
        assert take_devices(1, tmp_path, 2, NONE) is None


def test_more_processes_than_devices_are_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="wants 3 devices"):
        take_devices(3, tmp_path, 1, TWO)


def test_another_process_holds_a_device_until_it_is_gone_however_it_ends(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from workers.devices import take_devices; "
        f"held = take_devices(1, Path({str(tmp_path)!r}), 1, {NONE}); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert take_devices(1, tmp_path, 1, NONE) is None
        other.kill()
    with took(take_devices(1, tmp_path, 1, NONE)):
        pass


def test_a_device_is_held_as_long_as_anything_of_its_run_lives(tmp_path: Path) -> None:
    held = took(take_devices(1, tmp_path, 1, NONE))
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with TrainingChild(command, tmp_path, {}, held.descriptors) as child:
        with held:
            pass  # the worker lets go of it
        assert take_devices(1, tmp_path, 1, NONE) is None
        child.kill()
    with took(take_devices(1, tmp_path, 1, NONE)):
        pass


def test_a_folder_of_locks_that_is_a_link_or_a_file_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    place = tmp_path / f"xraygpt-devices-{os.getuid()}"
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="XRAYGPT_TRAIN_DEVICE_LOCKS"):
        take_devices(1, None, 1, NONE)
    place.unlink()
    place.write_text("")
    with pytest.raises(ConfigurationError, match="XRAYGPT_TRAIN_DEVICE_LOCKS"):
        take_devices(1, None, 1, NONE)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cpu-0.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        take_devices(1, tmp_path, 1, NONE)


LISTING = """\
GPU 0: NVIDIA H200 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: NVIDIA H200 (UUID: GPU-aaaaaaaa-2222-3333-4444-555555555555)
  MIG 1g.18gb     Device  0: (UUID: MIG-0f0f0f0f-1111-5555-8888-000000000000)
  MIG 1g.18gb     Device  1: (UUID: MIG-0f0f0f0f-1111-5555-8888-000000000001)
"""


def test_a_divided_device_stands_for_its_parts() -> None:
    assert parse_listing(LISTING.splitlines()) == [
        "GPU-11111111-2222-3333-4444-555555555555",
        "MIG-0f0f0f0f-1111-5555-8888-000000000000",
        "MIG-0f0f0f0f-1111-5555-8888-000000000001",
    ]


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program in the place of nvidia-smi."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_numbers_are_looked_up_and_a_machine_without_a_driver_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, f"cat <<'E'\n{LISTING}E")
    assert cuda_devices({"CUDA_VISIBLE_DEVICES": "1, 0,9,x"}) == parse_listing(LISTING.splitlines())[1::-1]
    assert len(cuda_devices({})) == 3
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert cuda_devices({}) == []


def test_a_driver_that_cannot_list_its_devices_has_lost_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, "exit 15")
    monkeypatch.setattr("pathlib.Path.exists", lambda _: True)
    with pytest.raises(TrainingError, match="may be lost"):
        cuda_devices({})
