"""Which tests `make quick` leaves out."""

from pathlib import Path

import pytest

from tests.support import quick

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("program", "left_out"),
    [
        ("import torch", True),
        ("try:\n    import torch\nexcept ImportError:\n    pass", True),
        ("from xraygpt_core.model.engine.engine import Engine", True),
        ("from tests.support.engine_tools import *", True),
        ("def test_one():\n    import torch", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import re\nelse:\n    import torch", True),
        ("from xraygpt_core.ledger.transaction import Ledger\nimport api_gateway.app, workers.control", False),
        ("import xraygpt.cli", False),
    ],
)
def test_a_file_is_left_out_where_importing_it_imports_a_model_library(
    tmp_path: Path, program: str, left_out: bool
) -> None:
    (tmp_path / "test_one.py").write_text(program)
    assert quick.pytest_ignore_collect(tmp_path / "test_one.py") is (True if left_out else None)


def test_a_folder_is_left_out_with_its_conftest() -> None:
    assert quick.pytest_ignore_collect(ROOT / "tests/unit/model")
    assert not quick.pytest_ignore_collect(ROOT / "tests/unit/dicom")


@pytest.mark.parametrize(
    ("event", "arguments"),
    [("subprocess.Popen", ("true",)), ("os.fork", ()), ("os.posix_spawn", ("true",)), ("import", ("torch.nn",))],
)
def test_a_test_is_skipped_where_it_would_start_a_process_or_import_a_model_library(
    monkeypatch: pytest.MonkeyPatch, event: str, arguments: tuple[str, ...]
) -> None:
    quick.refuse(event, arguments)  # between tests it may
    monkeypatch.setattr(quick, "_running", True)
    monkeypatch.setattr(quick, "_refused", "")
    quick.refuse("import", ("torchless",))
    quick.refuse("open", ("file",))
    with pytest.raises(pytest.skip.Exception):
        quick.refuse(event, arguments)
