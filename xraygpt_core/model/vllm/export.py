"""The LLM of a bundle as a vLLM server takes it."""

from pathlib import Path

import torch

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import attach_adapter, load_base, pick_dtype, quiet_peft


def export_llm(bundle: Bundle, folder: Path, dtype: str = "bfloat16") -> None:
    """Write the bundle's LLM, its adapter merged in, as the folder a vLLM server is started with.

    Raises:
        BundleError: the LLM or its adapter cannot be loaded; the folder holds something already; no such precision.
    """
    wanted = pick_dtype(torch.device("cpu"), dtype)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder} is not an empty folder: name one that is, or a new one")
    model, tokenizer = load_base(bundle.llm, wanted if bundle.adapter is None else torch.float32)
    if bundle.adapter is not None:
        with quiet_peft():
            model = attach_adapter(model, bundle.adapter).merge_and_unload().to(wanted)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
