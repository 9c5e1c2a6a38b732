"""The GPUs of a machine as NVML sees them. Where there is no NVML there is nothing to say, which is no fault."""

import logging
from typing import Any

from xraygpt_core.metrics import DEVICE_MEMORY_BYTES, DEVICE_UTILISATION

log = logging.getLogger(__name__)


class Devices:
    """Looks at the devices, for as long as NVML answers."""

    def __init__(self) -> None:
        self._nvml = _nvml()

    def look(self) -> list[dict[str, Any]] | None:
        """Each device with its name, how busy it is (0 to 1) and its memory in bytes; None: there is no NVML.

        Figures that a device does not give are None.
        """
        if self._nvml is None:
            return None
        try:
            found = [self._device(place) for place in range(self._nvml.nvmlDeviceGetCount())]
        except self._nvml.NVMLError as error:
            log.warning("NVML does not answer any more", extra={"error": type(error).__name__})
            self._nvml = None
            return None
        for one in found:
            if one["utilisation"] is not None:
                DEVICE_UTILISATION.labels(str(one["device"])).set(one["utilisation"])
            if one["memory_used"] is not None:
                DEVICE_MEMORY_BYTES.labels(str(one["device"]), "used").set(one["memory_used"])
                DEVICE_MEMORY_BYTES.labels(str(one["device"]), "total").set(one["memory_total"])
        return found

    def _device(self, place: int) -> dict[str, Any]:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(place)
        memory = self._figure(nvml.nvmlDeviceGetMemoryInfo, handle)
        rates = self._figure(nvml.nvmlDeviceGetUtilizationRates, handle)
        watts = self._figure(nvml.nvmlDeviceGetPowerUsage, handle)
        return {
            "device": place,
            "name": str(self._figure(nvml.nvmlDeviceGetName, handle) or "GPU"),
            "utilisation": None if rates is None else rates.gpu / 100,
            "memory_used": None if memory is None else int(memory.used),
            "memory_total": None if memory is None else int(memory.total),
            "celsius": self._figure(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            "watts": None if watts is None else watts / 1000,
        }

    def _figure(self, ask: Any, *of: Any) -> Any:
        try:
            return ask(*of)
        except self._nvml.NVMLError_NotSupported:
            return None


def _nvml() -> Any:
    """NVIDIA's own library; None where the package, the driver or a device is missing."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
