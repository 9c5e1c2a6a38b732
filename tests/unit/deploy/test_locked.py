"""What the images install: each wheel by its hash, in the versions the tests run on, and nothing besides."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.deploy.test_images import INSTALLED, closure

ROOT = Path(__file__).parents[3]
LISTS = ("build", "cpu", "gpu")
# What torch needs to speak to a GPU: no machine that runs the tests has it, so constraints.txt does not name it.
OF_CUDA = re.compile(r"nvidia-.*|cuda-.*|triton")


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    """deploy/lock.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("deploy_lock", ROOT / "deploy/lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def text(name: str) -> str:
    return (ROOT / f"deploy/requirements-{name}.txt").read_text()


@pytest.mark.parametrize("name", LISTS)
def test_every_line_of_a_list_is_a_version_and_its_hashes(lock: ModuleType, name: str) -> None:
    assert text(name).splitlines()[0].startswith("# Made by `python deploy/lock.py`")
    entries = [line for line in text(name).splitlines()[1:] if not line.startswith("    --hash=sha256:")]
    found = lock.locked(text(name))
    assert len(entries) == len(found) > 0
    assert all(hashes for _, hashes in found.values())


@pytest.mark.parametrize("name", LISTS)
def test_the_versions_are_those_the_tests_run_on(lock: ModuleType, constraints: dict[str, str], name: str) -> None:
    for one, (version, _) in lock.locked(text(name)).items():
        if not OF_CUDA.fullmatch(one):
            assert version == constraints[one], one


@pytest.mark.parametrize("name", LISTS)
def test_the_versions_are_what_the_project_asks_for(lock: ModuleType, name: str) -> None:
    found = lock.locked(text(name))
    for line in lock.wanted()[name]:
        wanted = Requirement(line)
        assert found[canonicalize_name(wanted.name)][0] in wanted.specifier, line


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_nothing_is_missing_from_a_list(lock: ModuleType, name: str) -> None:
    assert closure(INSTALLED[name]) - set(lock.locked(text(name))) == set()


def test_the_image_with_torch_holds_the_other_one_unchanged(lock: ModuleType) -> None:
    assert lock.locked(text("cpu")).items() <= lock.locked(text("gpu")).items()


def test_an_image_is_built_for_two_kinds_of_machines(lock: ModuleType) -> None:
    assert len(lock.locked(text("cpu"))["numpy"][1]) == len(lock.locked(text("gpu"))["torch"][1]) == 2


def test_no_list_says_where_to_look(lock: ModuleType) -> None:
    for name in LISTS:
        assert "://" not in text(name)
        assert not re.search(r"^\s*-(?!-hash)", text(name), re.MULTILINE)


def test_the_dockerfile_installs_the_lists_with_their_hashes_and_our_own_wheel(root: Path) -> None:
    dockerfile = (root / "deploy/Dockerfile").read_text()
    installs = re.findall(r"pip (?:--python \S+ )?install ([^&\n]*)", dockerfile)
    locked = [one for one in installs if "--requirement" in one]
    assert [re.findall(r"requirements-(\w+)\.txt", one) for one in locked] == [[name] for name in LISTS]
    assert all("--require-hashes" in one and "--only-binary :all:" in one for one in locked)
    (ours,) = set(installs) - set(locked)
    assert "--no-index" in ours
    assert "/wheels/" in ours


def test_the_images_are_given_the_lists_they_install(root: Path) -> None:
    assert "!deploy/requirements-*.txt" in (root / ".dockerignore").read_text().split()


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_the_bill_of_materials_names_all_that_is_installed_and_all_images(lock: ModuleType, target: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy/sbom.py"), target], capture_output=True, text=True, check=True
    )
    components = json.loads(done.stdout)["components"]
    by_kind = {
        kind: {one["name"]: one for one in components if one["type"] == kind} for kind in ("library", "container")
    }
    locked = lock.locked(text(target))
    assert {name: one["version"] for name, one in by_kind["library"].items()} == {n: v for n, (v, _) in locked.items()}
    assert set(by_kind["container"]) == {
        *("python", "postgres", "valkey/valkey", "chrislusf/seaweedfs", "prom/prometheus", "grafana/grafana")
    }
    assert all(one["hashes"] for one in components)
