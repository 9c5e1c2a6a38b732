"""Names every wheel that our images install, with its hash: ``python deploy/lock.py`` writes deploy/requirements-*.txt.

The versions are those of constraints.txt, which the tests run on; the hashes are what the package index states for
the wheel that pip would choose on each kind of machine an image is built for. One index is asked, pip's own or that of
``PIP_INDEX_URL``: files that lie on this machine, other indexes and the caps of other projects count for nothing.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"  # of deploy/Dockerfile
MACHINES = ("x86_64", "aarch64")
GLIBC = range(36, 4, -1)  # bookworm has 2.36; what is nearest to it goes first, as pip does (PEP 600)
HEADER = "# Made by `python deploy/lock.py`, for CPython {python} on Linux ({machines}). Do not edit.\n"
Pins = dict[str, dict[str, Any]]  # pip's report of each distribution, by its normalised name


def wanted() -> dict[str, list[str]]:
    """The requirements of each list: what builds our wheel, the image without torch, the image with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    cpu = [*project["project"]["dependencies"], "flower"]
    return {
        "build": project["build-system"]["requires"],
        "cpu": cpu,
        "gpu": cpu + project["project"]["optional-dependencies"]["model"],
    }


def report(requirements: Iterable[str], machine: str, *options: str) -> Pins:
    """What pip would install on this kind of machine.

    Raises:
        subprocess.CalledProcessError: pip refuses, for one that no wheel is there; it has said why on stderr.
    """
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC]
    platforms += [f"manylinux{old}_{machine}" for old in ("2014", "2010", "1")]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PIP_FIND_LINKS", "PIP_CONSTRAINT")
    }
    with tempfile.TemporaryDirectory() as folder:
        answer, target = Path(folder) / "report.json", Path(folder) / "target"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
        command += [f"--report={answer}", f"--target={target}", "--only-binary=:all:", f"--python-version={PYTHON}"]
        command += [f"--platform={platform}" for platform in platforms]
        subprocess.run(
            [*command, *options, *requirements],
            check=True,
            env=environment | {"PIP_CONFIG_FILE": os.devnull, "PIP_EXTRA_INDEX_URL": ""},
        )
        installed = json.loads(answer.read_text())["install"]
    return {canonicalize_name(one["metadata"]["name"]): one for one in installed}


def closure(requirements: Iterable[str], pins: Pins, machine: str) -> set[str]:
    """The distributions these requirements lead to on this kind of machine: pip evaluates markers for its own only."""
    environment = {"platform_machine": machine, "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    environment |= {"python_version": PYTHON, "python_full_version": f"{PYTHON}.14", "implementation_name": "cpython"}
    waiting, seen = [Requirement(one) for one in requirements], set()
    while waiting:
        one = waiting.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in seen:
            continue
        seen.add(key)
        for line in pins[key[0]]["metadata"].get("requires_dist", ()):
            needed = Requirement(line)
            extras = ("", *one.extras)
            if not needed.marker or any(needed.marker.evaluate({**environment, "extra": extra}) for extra in extras):
                waiting.append(needed)
    return {name for name, _ in seen}


def lock(requirements: list[str]) -> str:
    """The text of one list."""
    pins = report(requirements, MACHINES[0], f"--constraint={ROOT / 'constraints.txt'}")
    versions = {name: one["metadata"]["version"] for name, one in pins.items()}
    on = {machine: closure(requirements, pins, machine) for machine in MACHINES}
    found = {MACHINES[0]: pins}
    for machine in MACHINES[1:]:
        found[machine] = report((f"{name}=={versions[name]}" for name in sorted(on[machine])), machine, "--no-deps")
    lines = [HEADER.format(python=PYTHON, machines=", ".join(MACHINES))]
    for name in sorted(versions):
        machines = [machine for machine in MACHINES if name in on[machine]]
        marker = "" if len(machines) == len(MACHINES) else f' ; platform_machine == "{machines[0]}"'
        hashes = {found[machine][name]["download_info"]["archive_info"]["hashes"]["sha256"] for machine in machines}
        words = [f"{name}=={versions[name]}{marker}", *(f"--hash=sha256:{one}" for one in sorted(hashes))]
        lines.append(" \\\n    ".join(words) + "\n")
    return "".join(lines)


def locked(text: str) -> dict[str, tuple[str, set[str]]]:
    """Version and hashes of each distribution of a list."""
    entries = re.findall(r"^(\S+)==(\S+)((?:.*\\\n)+.*)$", text, re.MULTILINE)
    return {name: (version, set(re.findall(r"sha256:([0-9a-f]{64})", rest))) for name, version, rest in entries}


def main() -> None:
    for name, requirements in wanted().items():
        path = ROOT / "deploy" / f"requirements-{name}.txt"
        path.write_text(lock(requirements))
        sys.stderr.write(f"{path.relative_to(ROOT)}: {len(locked(path.read_text()))} distributions\n")


if __name__ == "__main__":
    main()
