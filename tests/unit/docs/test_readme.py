"""README.md names code that is there: the path of one study function by function, and a tree of every package."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
PACKAGES = ("xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations", "xraygpt", "benchmarks")
FUNCTION = re.compile(r"`([\w/]+\.py): ([\w.]+)`")
PATH = FUNCTION.findall(README.partition("| # | function |")[2].partition("\n\n")[0])
MOST_FILES, MOST_LINES = 8, 1500


def section(heading: str) -> str:
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def tree() -> list[str]:
    """Every path of the drawn tree, folders with a slash at their end: two blanks more are one level deeper."""
    above: list[str] = []
    paths = []
    for line in section("The tree").partition("```\n")[2].partition("```")[0].splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()  # type: ignore[union-attr]
        above = [*above[: len(indent) // 2], name]
        paths.append("".join(above))
    return paths


def packages() -> set[str]:
    """Every folder of the packages that holds Python files."""
    return {
        f"{file.parent.relative_to(ROOT)}/"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if file.read_text()
    }


def defined(file: Path) -> set[str]:
    """The functions and classes of a module, and the methods as ``Class.method``."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return names


def test_the_path_of_a_study_is_at_most_eight_files() -> None:
    files = [file for file, _ in PATH]
    assert 0 < len(files) == len(set(files)) <= MOST_FILES


def test_the_files_of_the_path_are_read_in_one_sitting() -> None:
    lines = {file: len((ROOT / file).read_text().splitlines()) for file, _ in PATH}
    assert sum(lines.values()) <= MOST_LINES, lines


def test_the_readme_names_the_code_that_calls_the_workers() -> None:
    named = {file for file, _ in FUNCTION.findall(README)}
    assert {"workers/process.py", "workers/consumer.py", "workers/executor.py"} <= named


@pytest.mark.parametrize(("file", "function"), FUNCTION.findall(README))
def test_a_function_that_the_readme_names_is_there(file: str, function: str) -> None:
    assert function in defined(ROOT / file)


def test_every_file_that_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    files = re.findall(r"`((?:\w+/)+\w+\.py)`", README)
    assert links
    assert [name for name in (*links, *files) if not (ROOT / name).exists()] == []


def test_the_tree_shows_nothing_that_is_not_there() -> None:
    assert [path for path in tree() if not (ROOT / path).exists()] == []


def test_the_tree_shows_nothing_twice() -> None:
    assert len(tree()) == len(set(tree()))


def test_the_tree_shows_every_package() -> None:
    assert packages() - set(tree()) == set()


def test_the_tree_shows_every_module_of_the_core() -> None:
    modules = {f"xraygpt_core/{file.name}" for file in (ROOT / "xraygpt_core").glob("[!_]*.py")}
    assert modules - set(tree()) == set()


def test_the_tree_shows_every_folder_of_the_tests() -> None:
    folders = {f"tests/{folder.name}/" for folder in (ROOT / "tests").iterdir() if any(folder.glob("**/*.py"))}
    assert folders - set(tree()) == set()
