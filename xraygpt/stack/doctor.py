"""What this machine needs to run the stack, checked one thing at a time, each with what to do about it."""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xraygpt.stack.servers import broker, postgres, s3
from xraygpt.stack.servers.ports import choose
from xraygpt.stack.settings.home import Home
from xraygpt_core import confine
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.model.bundle import bundles, check, verify
from xraygpt_core.model.server.bundle import load_any_bundle
from xraygpt_core.paths import models_dir

LEAST_DISK = 2 * 2**30
LEAST_MEMORY = 4 * 2**30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


class DoctorProblem(XrayGPTError):
    """Something this machine lacks."""


def examine(home: Home, *, deep: bool = False) -> list[Check]:
    """Look at everything; nothing is changed.

    Args:
        deep: hash every file of the bundles, also where neither size nor time changed since that was last done.
    """
    looks: dict[str, Callable[[], str]] = {
        "python": lambda: f"{platform.python_version()} on {sys.platform} {platform.machine()}",
        "data directory": lambda: _writable(home.root),
        "disk": lambda: _disk(home.root),
        "memory": _memory,
        "postgres": _postgres,
        "broker": lambda: str(broker.program()),
        "s3": lambda: str(s3.program()),
        "decoder's cell": _cell,
        "ports": lambda: f"for example {choose()} is free",
        "model packages": _model_packages,
        "demo bundle": lambda: _bundle("demo", deep=deep),
    }
    for name in bundles(models_dir()):
        if name != "demo":
            looks[f"bundle {name}"] = lambda name=name: _bundle(name, deep=deep)  # type: ignore[misc]
    return [_check(name, look) for name, look in looks.items()]


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except (XrayGPTError, OSError) as error:
        return Check(name, False, str(error))


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _writable(root: Path) -> str:
    with tempfile.TemporaryFile(dir=_existing(root)):
        return str(root)


def _disk(root: Path) -> str:
    free = shutil.disk_usage(_existing(root)).free
    if free < LEAST_DISK:
        raise DoctorProblem(
            f"{free / 2**30:.1f} GiB free, {LEAST_DISK / 2**30:.0f} are needed; set XRAYGPT_HOME to another disk"
        )
    return f"{free / 2**30:.0f} GiB free"


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total < LEAST_MEMORY:
        raise DoctorProblem(f"{total / 2**30:.1f} GiB; the model needs {LEAST_MEMORY / 2**30:.0f}")
    return f"{total / 2**30:.0f} GiB"


def _postgres() -> str:
    program = postgres.program("postgres")
    prefix, user = postgres.identity()
    how = "in a user namespace" if prefix else f"as user {user}" if user is not None else "as you"
    return f"{program}, {how}"


def _cell() -> str:
    """Whether a decoder that a file has taken over is locked up here (docs/dicom.md)."""
    stand = confine.look()
    missing = ", ".join(layer for layer in confine.LAYERS if layer not in stand)
    if not confine.is_complete(stand):
        raise DoctorProblem(
            f"missing: {missing}; a hostile file that takes a decoder over reaches what its worker reaches"
        )
    return ", ".join(stand) + (f" (missing: {missing})" if missing else "")


def _model_packages() -> str:
    missing = [
        name for name in ("torch", "transformers", "safetensors", "peft") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise DoctorProblem(f"{', '.join(missing)} missing; run: pip install 'xraygpt[model]'")
    return "torch, transformers, safetensors, peft"


def _bundle(name: str, *, deep: bool) -> str:
    bundle = load_any_bundle(models_dir(), name)
    (verify if deep else check)(bundle)
    return str(bundle.path)
