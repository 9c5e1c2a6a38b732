"""Who may import what, and that importing does nothing: checked in child processes, which have imported nothing yet."""

import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests.support.keys import HMAC_KEY

ROOT = Path(__file__).parents[2]
PACKAGES = ("xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations", "xraygpt")
MODEL_LIBRARIES = ("torch", "transformers", "peft", "safetensors")
LEFT_OUT = (*MODEL_LIBRARIES, "pydicom")  # the decoder's child reads DICOM
# Alembic runs it; it is no module to import.
NOT_MODULES = {"migrations.env"}

# A server that answers nobody: whoever gets as far as asking it has read settings and imported what it needs.
SETTINGS = {
    "XRAYGPT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "XRAYGPT_REDIS_URL": "redis://127.0.0.1:1/0",
    "XRAYGPT_S3_ENDPOINT_URL": "http://127.0.0.1:1",
    "XRAYGPT_BUCKET": "source",
    "XRAYGPT_DERIVED_BUCKET": "derived",
    "XRAYGPT_HMAC_KEY": HMAC_KEY,
    "XRAYGPT_FLOWER_PASSWORD": "sesame",
}

WITHOUT_MODEL_LIBRARIES = f"""
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LEFT_OUT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

WATCHED_IMPORT = """
import importlib, json, os, sys

done = []
ours = tuple(sys.argv[1].split(os.pathsep))

def note(what):
    # The module whose body runs is the one that imports; what a library does when it is imported is its own affair.
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if frame is not None and frame.f_code.co_filename.startswith(ours):
        done.append(what)

def watch(event, arguments):
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        note(f"opens {arguments[0]} for writing")
    elif event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.posix_spawn", "os.mkdir"):
        note(event)

def remembering(method):
    def look(environment, name):
        if isinstance(name, str) and name.startswith("XRAYGPT_"):
            note(f"reads {name}")
        return method(environment, name)
    return look

os._Environ.__getitem__ = remembering(os._Environ.__getitem__)
os._Environ.__contains__ = remembering(os._Environ.__contains__)
sys.addaudithook(watch)
found = {}
for name in sys.argv[2:]:
    importlib.import_module(name)
    if done:
        found[name] = list(done)
        done.clear()
print(json.dumps(found))
"""


def child(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh interpreter that writes no byte code."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("XRAYGPT_")}
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *arguments],
        env=inherited | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def modules(package: str) -> list[str]:
    """Every module of a package, by its files."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / package).rglob("*.py")))
    names = (".".join(path.parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if name not in NOT_MODULES]


@pytest.mark.parametrize(
    "command",
    [["api_gateway"], ["workers", "ingest"], ["workers", "control"], ["migrations"]],
    ids=["gateway", "ingest", "control", "migrations"],
)
def test_a_process_without_a_model_starts_where_torch_is_not_installed(command: list[str]) -> None:
    done = child(WITHOUT_MODEL_LIBRARIES, *command, **SETTINGS)
    assert done.returncode == 1
    assert "PostgreSQL does not answer" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["train"], ["models"]], ids=["xraygpt", "train", "models"])
def test_the_command_line_explains_itself_where_torch_is_not_installed(arguments: list[str]) -> None:
    done = child(WITHOUT_MODEL_LIBRARIES, "xraygpt", *arguments, "--help", **SETTINGS)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_block_blocks() -> None:
    done = child(WITHOUT_MODEL_LIBRARIES, "xraygpt_core.model.llm")
    assert done.returncode == 1
    assert "No module named" in done.stderr


def test_importing_a_module_reads_no_setting_and_opens_nothing() -> None:
    names = [name for package in PACKAGES for name in modules(package)]
    done = child(WATCHED_IMPORT, os.pathsep.join(str(ROOT / one) for one in PACKAGES), *names, **SETTINGS)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def test_the_watch_sees_settings_files_sockets_and_processes(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(
        "import os, socket, subprocess\n"
        "os.environ.get('XRAYGPT_HOME')\n"
        "open(__file__ + '.log', 'w').close()\n"
        "def listen():\n"
        "    with socket.socket() as server:\n        server.bind(('127.0.0.1', 0))\n"
        "listen()\n"
        "subprocess.run(['true'])\n"
    )
    done = child(WATCHED_IMPORT, str(tmp_path), "greedy", PYTHONPATH=str(tmp_path))
    read, opened, *rest = json.loads(done.stdout)["greedy"]
    assert read == "reads XRAYGPT_HOME"
    assert opened.endswith("greedy.py.log for writing")
    assert rest[:2] == ["socket.bind", "subprocess.Popen"]


def test_no_import_leads_back_to_its_module_not_even_one_for_types_alone() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert "xraygpt_core.ledger.transaction" in imports["xraygpt_core.ledger.jobs.fence"]
    TopologicalSorter(imports).prepare()  # raises an error that names the circle
