"""A folder of Vicuna-7B's shape: imported by links, loaded in little more memory than its weights, one summary."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.published_parts import REFERENCE, TOKENIZER_CONFIG, llama_config, write_checkpoint
from tests.unit.model.test_encoders_parity import REFERENCE as MEDCLIP
from tests.unit.model.test_encoders_parity import medclip_file
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle

_BYTES = 6_738_415_616 * 2  # Vicuna-7B in bfloat16
_BLOCK = torch.randn(2**22, generator=torch.Generator().manual_seed(0)).mul_(0.02).bfloat16()
_CHILD = """
import json, sys, threading
from pathlib import Path
from tests.unit.model.reference.seeded import picture_png
from xraygpt_core.model.bundle import read_bundle
from xraygpt_core.model.engine.engine import Engine

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

import transformers.models.llama.modeling_llama, transformers.models.swin.modeling_swin
before, peak, done = anonymous(), [0], threading.Event()

def watch():
    while not done.wait(0.02):
        peak[0] = max(peak[0], anonymous())

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
engine = Engine(read_bundle(Path(sys.argv[1])), device="cpu", batch_size=1, memory=2**29)
loaded = peak[0] - before
made = engine.submit(GenerationRequest(picture_png())).result()
engine.close()
done.set()
watcher.join()
print(json.dumps({"loaded": loaded, "peak": peak[0] - before, "tokens": made.tokens,
                  "dtype": made.software["dtype"], "seconds": made.generate_seconds}))
"""


def random_tensor(shape: tuple[int, ...]) -> Tensor:
    count = int(torch.tensor(shape).prod())
    return _BLOCK.repeat(-(-count // len(_BLOCK)))[:count].view(shape)


def write_seven_billion(folder: Path, shards: int = 8) -> Path:
    """A Hugging Face folder of random bfloat16 numbers, one shard in memory at a time."""
    from xraygpt_core.model.importing.llms import _expected

    folder.mkdir()
    config = llama_config(4096, 32, 11008) | {"num_attention_heads": 32, "vocab_size": 32000}
    config["max_position_embeddings"] = 512  # room for keys and values is not what is measured here
    shapes = _expected(config)
    assert sum(int(torch.tensor(shape).prod()) for shape in shapes.values()) * 2 == _BYTES
    weight_map: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        names = sorted(shapes)[number::shards]
        save_file({name: random_tensor(shapes[name]) for name in names}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG))
    shutil.copy(REFERENCE / "tokenizer.model", folder)
    return folder


def memory_available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_seven_billion_weights_are_linked_loaded_and_say_something(tmp_path: Path) -> None:
    if memory_available() < _BYTES * 1.25 or shutil.disk_usage(tmp_path).free < _BYTES * 1.2:
        pytest.skip("needs 16 GiB of memory and of disk that nobody else uses")
    llm = write_seven_billion(tmp_path / "vicuna-7b")
    wanted = ImportRequest(
        medclip_file(tmp_path / "pytorch_model.bin", MEDCLIP["swin"]["shapes"]),
        write_checkpoint(tmp_path / "checkpoint_3.pth", takes=512, gives=4096),
        llm,
        dtype="bfloat16",
        max_new_tokens=4,
    )
    bundle, (_, _, part) = import_bundle(tmp_path / "models", "seven", wanted, lambda *_: None)
    assert part.shapes == "hidden 4096, 32000 tokens, 12.6 GiB"
    assert all(path.samefile(llm / path.name) for path in bundle.llm.glob("*.safetensors"))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(bundle.path)], capture_output=True, text=True, check=False, timeout=3000
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["dtype"] == "bfloat16"
    assert found["tokens"] >= 1
    assert found["loaded"] <= _BYTES * 1.1
    shutil.rmtree(tmp_path / "models")
