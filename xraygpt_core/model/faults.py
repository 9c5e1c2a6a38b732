"""What kind of fault an error of torch is: the request's, a want of memory, or the end of the device."""

import torch

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.model.backend import DeviceLost, RequestFailed


def out_of_memory(error: BaseException) -> bool:
    """Is it for want of memory, on a GPU or in the host?"""
    message = str(error)
    typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return typed or any(words in message for words in ("out of memory", "can't allocate memory", "ALLOC_FAILED"))


def device_is_gone(error: BaseException) -> bool:
    """After this no call to the device succeeds in this process (CUDA calls such errors sticky)."""
    if isinstance(error, DeviceLost):
        return True
    message = str(error)
    broken = isinstance(error, torch.AcceleratorError) or "CUDA error" in message or "device-side assert" in message
    return broken and not out_of_memory(error)


def request_error(error: Exception) -> XrayGPTError:
    """The error that the request's caller gets."""
    return error if isinstance(error, XrayGPTError) else RequestFailed(describe(error))


def describe(error: BaseException, where: str = "the model step") -> str:
    """Kind of an error only: a library's message may hold anything."""
    return f"{type(error).__name__} in {where}"
