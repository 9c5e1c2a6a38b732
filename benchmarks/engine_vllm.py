"""vLLM's CPU build on the same studies: its own server, fed with ``prompt_embeds`` over HTTP."""

import concurrent.futures
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import torch

from benchmarks.engine_work import (
    AFTER,
    BEFORE,
    IMAGE,
    LONGEST,
    SHAPES,
    EngineResult,
    embedded,
    jobs,
    model,
    useful,
)
from xraygpt.stack.servers.ports import occupy
from xraygpt_core.model.vllm.requests import encode_embeddings

SOURCE = Path(__file__).parents[1]
PYTHON = SOURCE / ".venv-vllm" / "bin" / "python"  # made by `make test-vllm`
_START_SECONDS = 600  # alone it takes about one minute


def run_vllm(
    studies: int, rows: int, dtype: str = "float32", shape: str = "smollm2-135m", image: int = IMAGE, images: int = 1
) -> EngineResult | str:
    """What its server did, or why it was not asked."""
    if not PYTHON.is_file():
        return "vLLM is not set up (make test-vllm)"
    with tempfile.TemporaryDirectory() as folder:
        llm = model(shape, getattr(torch, dtype), "cpu")
        llm.generation_config.eos_token_id = None
        llm.save_pretrained(folder)
        work = jobs(studies, SHAPES[shape]["hidden_size"], image, images)
        longest = max(len(job.image) for job in work) + BEFORE + AFTER + LONGEST
        prompts = [encode_embeddings(embedded(llm, job)) for job in work]
        del llm
        with server(Path(folder), rows, "--skip-tokenizer-init", dtype=dtype, longest=max(1024, longest)) as url:
            _ask_all(url, prompts[:rows], [2] * rows, rows)
            began = time.perf_counter()
            latencies = _ask_all(url, prompts, [job.tokens for job in work], rows)
            seconds = time.perf_counter() - began
    return EngineResult(studies, useful(work), seconds, float("nan"), latencies=latencies)


@contextlib.contextmanager
def server(folder: Path, rows: int, *options: str, dtype: str = "float32", longest: int = 1024) -> Iterator[str]:
    """vLLM's server on a loopback port, up and answering."""
    with occupy(0) as held:
        port = str(held.getsockname()[1])
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--host", "127.0.0.1"]
    command += ["--port", port, "--enable-prompt-embeds", "--dtype", dtype, "--max-num-seqs", str(rows)]
    command += ["--max-model-len", str(longest), "--served-model-name", "xraygpt", *options]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "2"}
    with tempfile.NamedTemporaryFile() as log:
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(child, f"http://127.0.0.1:{port}", Path(log.name))
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(30)


def _wait(child: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and child.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        time.sleep(0.5)
    lines = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise RuntimeError(f"vLLM's server did not start; its last line: {lines}")


def _ask_all(url: str, prompts: Sequence[str], tokens: Sequence[int], rows: int) -> list[float]:
    began = time.perf_counter()

    def ask(prompt: str, longest: int) -> float:
        body = {
            "prompt_embeds": prompt,
            "max_tokens": longest,
            "temperature": 0,
            "ignore_eos": True,
            "detokenize": False,
        }
        httpx.post(f"{url}/v1/completions", json=body, timeout=600).raise_for_status()
        return time.perf_counter() - began

    with concurrent.futures.ThreadPoolExecutor(2 * rows) as pool:
        return list(pool.map(ask, prompts, tokens))
