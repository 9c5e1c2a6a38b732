"""The LLM of a bundle as a vLLM server takes it."""

from pathlib import Path

import torch

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_merged, pick_dtype


def export_llm(bundle: Bundle, folder: Path, dtype: str = "bfloat16") -> None:
    """Write the bundle's LLM, its adapter merged in, as the folder a vLLM server is started with.

    Raises:
        BundleError: the LLM or its adapter cannot be loaded; the folder holds something already; no such precision.
    """
    wanted = pick_dtype(torch.device("cpu"), dtype)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder} is not an empty folder: name one that is, or a new one")
    model, tokenizer = load_merged(bundle.llm, bundle.adapter, wanted)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
