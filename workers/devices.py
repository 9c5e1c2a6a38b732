"""Devices that training runs hold: one lock each, on this machine, so that two runs never share one by accident.

A lock is a file that the kernel locks (flock(2)) for as long as a process has it open: the worker, and the process that
holds its run's tree. It is free again once all of that is gone, however it ended.
"""

import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from xraygpt_core.errors import ConfigurationError, TrainingError
from xraygpt_core.file_lock import lock_if_free

_LIST_SECONDS = 30.0
_GPU = re.compile(r"^GPU \d+: .*\(UUID: (GPU-[0-9a-f-]+)\)\s*$")
_MIG = re.compile(r"^\s+MIG .*\(UUID: (MIG-[0-9A-Za-z/-]+)\)\s*$")


@dataclass
class HeldDevices:
    """Devices that are ours, as a context manager.

    Attributes:
        names: UUIDs of CUDA devices, or places of the processor.
        descriptors: the locks; a child process that inherits them holds the devices, too.
    """

    names: tuple[str, ...]
    descriptors: tuple[int, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What shows a child these devices alone; nothing where they are places of the processor."""
        cuda = [name for name in self.names if not name.startswith("cpu-")]
        return {"CUDA_VISIBLE_DEVICES": ",".join(cuda)} if cuda else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def take_devices(wanted: int, folder: Path | None, cpu_runs: int, shell: Mapping[str, str]) -> HeldDevices | None:
    """Lock so many of the devices that this process may use; None if too few of them are free.

    Args:
        folder: where the locks of all workers of this machine lie; None: a folder of this user's own below the
            temporary directory.
        cpu_runs: without a CUDA device: how many runs may share the processor.
        shell: the environment, whose ``CUDA_VISIBLE_DEVICES`` says which devices this process may use.

    Raises:
        ConfigurationError: the folder cannot hold locks, or there are fewer devices than wanted.
        TrainingError: the driver does not say which devices there are.
    """
    devices = cuda_devices(shell)
    if not devices:
        devices, wanted = [f"cpu-{place}" for place in range(cpu_runs)], 1  # processes share the processor
    if len(devices) < wanted:
        raise ConfigurationError(f"a run wants {wanted} devices (XRAYGPT_TRAIN_PROCESSES); there are {len(devices)}")
    place = _folder(folder)
    held: dict[str, int] = {}
    for device in devices:
        if (descriptor := _lock(place / f"{device.replace('/', '_')}.lock")) is not None:
            held[device] = descriptor
        if len(held) == wanted:
            return HeldDevices(tuple(held), tuple(held.values()))
    for descriptor in held.values():
        os.close(descriptor)
    return None


def cuda_devices(shell: Mapping[str, str]) -> list[str]:
    """The UUIDs of the CUDA devices that this process may use, in the driver's order; none on a machine without.

    Raises:
        TrainingError: there is a driver, but it does not answer: a device may be lost.
    """
    chosen = shell.get("CUDA_VISIBLE_DEVICES")
    entries = None if chosen is None else [entry.strip() for entry in chosen.split(",") if entry.strip()]
    if entries is not None and all(entry.startswith(("GPU-", "MIG-")) for entry in entries):
        return entries
    there = _listed()
    if entries is None:
        return there
    return [there[int(entry)] for entry in entries if entry.isdigit() and int(entry) < len(there)]


def _listed() -> list[str]:
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_LIST_SECONDS, check=False, errors="replace"
        )
    except FileNotFoundError:
        return []
    except subprocess.TimeoutExpired as error:
        raise TrainingError("the driver of the CUDA devices does not answer") from error
    if done.returncode:
        if not Path("/dev/nvidiactl").exists():
            return []
        raise TrainingError("the driver of the CUDA devices cannot list them: one may be lost")
    return parse_listing(done.stdout.splitlines())


def parse_listing(lines: Sequence[str]) -> list[str]:
    """The devices in the output of ``nvidia-smi -L``: a GPU that is divided (MIG) stands for its parts."""
    found: list[list[str]] = []
    for line in lines:
        if gpu := _GPU.match(line):
            found.append([gpu[1]])
        elif (part := _MIG.match(line)) and found:
            found[-1].append(part[1])
    return [device for gpu in found for device in (gpu[1:] or gpu)]


def _folder(folder: Path | None) -> Path:
    """The folder of the locks, made if it is not there.

    Raises:
        ConfigurationError: it is none, or another user's: who owns it could hold or free every device.
    """
    path = folder or Path(tempfile.gettempdir()) / f"xraygpt-devices-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigurationError(f"the locks of devices need a folder (XRAYGPT_TRAIN_DEVICE_LOCKS): {error}") from error
    if folder is None and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid()):
        raise ConfigurationError("the folder of device locks is another user's: set XRAYGPT_TRAIN_DEVICE_LOCKS")
    return path


def _lock(path: Path) -> int | None:
    """The locked file's descriptor, or None if another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)
    if lock_if_free(descriptor):
        return descriptor
    os.close(descriptor)
    return None
