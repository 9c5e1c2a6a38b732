"""GPUs as NVML sees them: figures where there are some, and no fault where there are none."""

from types import SimpleNamespace
from typing import Any

import pytest

from workers import gpu_devices
from workers.gpu_devices import Devices


class Refused(Exception):
    """As NVML's own errors."""


class Missing(Refused):
    """A figure that a device does not give."""


class Nvml:
    """The part of NVML that is asked, on a machine with two GPUs, one of which says little."""

    NVMLError, NVMLError_NotSupported, NVML_TEMPERATURE_GPU = Refused, Missing, 0

    def __init__(self) -> None:
        self.lost = False

    def nvmlDeviceGetCount(self) -> int:
        if self.lost:
            raise Refused
        return 2

    def nvmlDeviceGetHandleByIndex(self, place: int) -> int:
        return place

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"GPU number {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=3 << 30, total=16 << 30)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return self._if_first(handle, SimpleNamespace(gpu=42))

    def nvmlDeviceGetPowerUsage(self, handle: int) -> Any:
        return self._if_first(handle, 151_000)

    def nvmlDeviceGetTemperature(self, handle: int, which: int) -> Any:
        return self._if_first(handle, 61)

    def _if_first(self, handle: int, value: Any) -> Any:
        if handle:
            raise Missing
        return value


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    made = Nvml()
    monkeypatch.setattr(gpu_devices, "_nvml", lambda: made)
    return made


def test_each_device_says_what_it_can(nvml: Nvml) -> None:
    one, other = Devices().look() or ()
    assert one == {
        "device": 0,
        "name": "GPU number 0",
        "utilisation": 0.42,
        "memory_used": 3 << 30,
        "memory_total": 16 << 30,
        "celsius": 61,
        "watts": 151.0,
    }
    assert (other["utilisation"], other["celsius"], other["watts"]) == (None, None, None)


def test_a_device_that_is_lost_ends_the_looks_and_nothing_else(nvml: Nvml) -> None:
    devices = Devices()
    nvml.lost = True
    assert devices.look() is None
    nvml.lost = False
    assert devices.look() is None


def test_a_machine_without_a_driver_has_nothing_to_say() -> None:
    found = Devices().look()
    assert found is None or all(one["name"] for one in found)
