"""``make quick`` (``pytest -p tests.support.quick``): the tests that load no model library and start no process.

There is no list of them. A file is left out when importing it would import a model library, a test is skipped at the
moment it would start a process or import such a library: services, sandboxes, commands and browsers are processes.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODEL_LIBRARIES = frozenset({"torch", "transformers", "peft", "safetensors"})
PROCESS_STARTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec"})
_running = False
_refused = ""  # why, in the test that runs


def needs_model(file: Path) -> bool:
    """Whether importing this file imports a model library, directly or through other files of the project."""
    waiting, seen = [file], {file}
    while waiting:
        for name in _imported(waiting.pop()):
            if name.partition(".")[0] in MODEL_LIBRARIES:
                return True
            new = set(_files(name)) - seen
            seen |= new
            waiting += new
    return False


@cache
def _imported(file: Path) -> frozenset[str]:
    """Names that are imported when the file is; for ``from a import b`` both a and a.b."""
    names = set()
    for node in _statements(ast.parse(file.read_text()).body):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement that runs on import: not what is in functions, nor what only a type checker reads."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            checked = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for block in ("orelse",) if checked else ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, block, []))


@cache
def _files(name: str) -> tuple[Path, ...]:
    """The project's files that run when a module is imported: its own, and those of the packages above it."""
    parts = name.split(".")
    packages = [ROOT.joinpath(*parts[:count], "__init__.py") for count in range(1, len(parts) + 1)]
    return tuple(path for path in (ROOT.joinpath(*parts).with_suffix(".py"), *packages) if path.is_file())


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """A file that needs a model library, or a folder whose conftest does."""
    file = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    return True if file.suffix == ".py" and file.is_file() and needs_model(file) else None


def pytest_collection_finish() -> None:
    """The rule is checked by what was imported."""
    if loaded := MODEL_LIBRARIES & set(sys.modules):
        raise pytest.UsageError(f"tests.support.quick let a file in that imports {', '.join(sorted(loaded))}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[Any]:
    """While a test runs with its fixtures, :func:`refuse` counts."""
    global _running, _refused
    _running, _refused = True, ""
    try:
        return (yield)
    finally:
        _running = False


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook that skips the test which would start a process or import a model library."""
    global _refused
    if not _running:
        return
    if event in PROCESS_STARTS:
        _refused = "starts a process"
        pytest.skip(_refused)
    if event == "import" and str(arguments[0]).partition(".")[0] in MODEL_LIBRARIES:
        _refused = "imports a model library"
        pytest.skip(_refused)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    """A refusal in another thread reaches the test as a failure; the test is skipped all the same."""
    report = yield
    if report.failed and _refused:
        report.outcome, report.longrepr = "skipped", (__file__, 1, f"Skipped: {_refused}")
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Audit hooks stay for the life of a process, so this one comes with the plugin, not with an import."""
    sys.addaudithook(refuse)
    # What a refused start had opened is closed when it is collected: that is a warning, in whichever test runs then.
    for warning in ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{warning}")
