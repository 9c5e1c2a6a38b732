"""Lines of ``progress.jsonl``: a point, or nothing; whatever is in them."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import training_carrier
from workers.training_carrier import Carrier, point_of
from xraygpt_core.ledger.training.curves import Point


def test_a_line_is_a_point() -> None:
    line = {"step": 3, "steps": 9, "loss": 1.5, "samples_per_s": 2, "held_out": 1.25, "swapped": 3.0, "lr": 0.1}
    assert point_of(json.dumps(line).encode()) == Point(3, 9, 1.5, 2.0, 1.25, 3.0)
    assert point_of(b'{"step": 0, "held_out": 2.5}') == Point(0, None, None, None, 2.5)


@pytest.mark.parametrize("value", ["9" * 400, "NaN", "Infinity", "-Infinity", "true", '"1"', "null", "[]"])
def test_a_loss_that_is_no_number_is_none(value: str) -> None:
    assert point_of(b'{"step": 1, "steps": 2, "loss": %s}' % value.encode()) == Point(1, 2, None, None)


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"1", b"null", b'{"steps": 3}', b'{"step": -1}', b'{"step": 1.5}', b'{"step": true}',
             b'{"step": 99999999999}', b'{"step": 1, "steps": "2"}',
             b'{"step": 1, "steps": 99999999999}', b'{"step": 1, "steps": -1}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_no_point_is_passed_over(line: bytes) -> None:
    assert point_of(line) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)))
def test_a_point_holds_only_what_a_database_and_a_browser_can_hold(value: Any) -> None:
    names = ("loss", "samples_per_s", "held_out", "swapped")
    point = point_of(json.dumps({"step": 1} | dict.fromkeys(names, value)).encode())
    assert point is not None
    assert all(one is None or math.isfinite(one) for one in (point.loss, point.held_out, point.swapped))


class Removing:
    """A bucket; while the first file is on its way, the trainer removes its old checkpoints."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints, self.kept = checkpoints, dict[str, bytes]()

    def put_file(self, key: str, path: Path) -> None:
        self.kept[key.rpartition("/")[2]] = path.read_bytes()
        shutil.rmtree(self.checkpoints, ignore_errors=True)


@pytest.fixture
def carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Carrier:
    """It carries checkpoints of two files; ``carried`` says which step the ledger knows of."""
    out = tmp_path / "out"
    (out / "checkpoints/step-000004").mkdir(parents=True)
    for name in ("meta.json", "state.pt"):
        (out / "checkpoints/step-000004" / name).write_text(name)
    monkeypatch.setattr(training_carrier, "move_checkpoint", lambda *_: None)
    context: Any = SimpleNamespace(store=Removing(out / "checkpoints"), ledger=None)
    progress: Any = SimpleNamespace(check=lambda: None)
    run: Any = SimpleNamespace(run_id=UUID(int=1), checkpoint_prefix=None)
    return Carrier(context, SimpleNamespace(epoch=1), progress, run, out)  # type: ignore[arg-type]


def test_a_checkpoint_that_the_trainer_removes_meanwhile_arrives_whole(carrier: Carrier) -> None:
    carrier.carry(last=False)
    assert carrier.context.store.kept == {"meta.json": b"meta.json", "state.pt": b"state.pt"}  # type: ignore[attr-defined]
    assert carrier.carried == 4


def test_a_checkpoint_that_was_removed_before_it_could_be_held_waits_for_the_next(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.glob

    def glob(path: Path, pattern: str) -> Any:
        found = list(real(path, pattern))
        shutil.rmtree(carrier.out / "checkpoints", ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "glob", glob)
    carrier.carry(last=False)
    assert (carrier.carried, carrier.context.store.kept) == (0, {})  # type: ignore[attr-defined]
