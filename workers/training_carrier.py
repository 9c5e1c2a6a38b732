"""Carries what a training process writes to the ledger and the derived bucket, while it writes.

``checkpoints`` and ``result`` lie below ``runs/``; what people look at (report, TensorBoard files, its log) below
``reports/``, each under a name of its content.
"""

import json
import logging
import math
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from workers.context import Context
from workers.heartbeat import JobProgress
from workers.transfer import push
from xraygpt_core.errors import NotFound, ObjectMissing, TrainingError, Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.training.curves import Point, note_progress, points
from xraygpt_core.ledger.training.files import BOARD, LOG, REPORT, keep_file, run_file
from xraygpt_core.ledger.training.runs import RunInput, complete_run, move_checkpoint
from xraygpt_core.model.bundle import file_sha256

_HELD = ".carried"  # a checkpoint on its way; the trainer removes all but its newest two
_NOTE_SECONDS = 1.0
_BOARD_SECONDS = 60.0
_AGAIN_SECONDS = 5.0  # between two tries to store what the bucket or the database did not take
_PATIENCE_SECONDS = 600.0  # so long what the process left at its end is tried to be stored
_SHOWN_BYTES = 128 * 2**20  # of a report
_BOARD_BYTES = 64 * 2**20  # the gateway sends them whole

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class Carrier:
    """Carries one run.

    Attributes:
        out: what the process writes: ``progress.jsonl``, ``checkpoints``, ``tensorboard``, ``result``.
    """

    context: Context
    claim: Claim
    progress: JobProgress
    run: RunInput
    out: Path
    offset: int = 0
    noted_at: float = 0.0
    boarded_at: float = field(default_factory=time.monotonic)
    board: tuple[int, int] = (0, 0)
    points: dict[int, Point] = field(default_factory=dict)
    carried: int = 0
    again_at: float = 0.0
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        self.checkpoint = self.run.checkpoint_prefix

    def restore(self) -> None:
        """What a worker before this one carried, as if it lay here: a report has the whole curve, and so the board."""
        step = _step_of(self.run.checkpoint_prefix)
        if step is None:
            return
        before = [one for one in points(self.context.ledger, self.run.run_id) if one.step <= step]
        lines = [json.dumps({name: value for name, value in vars(one).items() if value is not None}) for one in before]
        progress = self.out / "progress.jsonl"
        progress.write_text("".join(f"{line}\n" for line in lines))
        self.offset = progress.stat().st_size
        archive = self.out / BOARD
        try:
            kept = run_file(self.context.ledger, self.run.run_id, BOARD)
            self.context.store.get_file(kept.key, archive)
            if file_sha256(archive) == kept.sha256:
                with zipfile.ZipFile(archive) as zipped:
                    zipped.extractall(self.out / "tensorboard")
        except (NotFound, ObjectMissing, Unavailable, zipfile.BadZipFile):
            return  # a board that begins anew loses no run

    def carry(self, *, last: bool) -> None:
        """Bring over what is new since the last time."""
        self._note(last)
        newest = max(self.out.glob("checkpoints/step-*"), key=_step, default=None)
        if newest is not None and _step(newest) > self.carried:
            self._try_to_keep(newest, last)
        if last or time.monotonic() - self.boarded_at > _BOARD_SECONDS:
            self.boarded_at = time.monotonic()
            self._carry_board()

    def finish(self) -> None:
        """Bring over the result and end the run. A report that cannot be brought loses no run."""
        result = self.out / "result"
        if not result.is_dir():
            raise TrainingError("training_jobs ended well but left no result")
        report = result / REPORT
        if report.is_file() and not report.is_symlink():
            report = report.rename(self.out / REPORT)
            self.show(REPORT, report)
        prefix = self._patiently(
            lambda: push(self.context.store, result, f"{self._prefix}/result", self.progress.check)
        )
        complete_run(self.context.ledger, self.claim, prefix)
        self._sweep(prefix)

    def keep_log(self, said: bytes) -> None:
        """What the process said last, for trainers: it may name files and quote texts, and is in no log of ours."""
        if said:
            path = self.out / LOG
            path.write_bytes(said)
            self.show(LOG, path)

    def show(self, name: str, path: Path) -> None:
        """Put a file where trainers may see it; if the bucket or the database does not answer, it is left."""
        if path.stat().st_size > _SHOWN_BYTES:
            log.warning("a file of a run is too large to be shown", extra={"run_id": str(self.run.run_id)})
            return
        sha256 = file_sha256(path)
        key = f"reports/{self.run.run_id}/{self.claim.epoch}/{name}-{sha256}"
        try:
            self.context.store.put_file(key, path)
            obsolete = keep_file(self.context.ledger, self.claim, name, key, sha256, path.stat().st_size)
            if obsolete is not None:
                self.context.store.delete(obsolete)
        except Unavailable as error:
            log.warning("a file of a run was not kept", extra={"run_id": str(self.run.run_id), "error": str(error)})

    @property
    def _prefix(self) -> str:
        return f"runs/{self.run.run_id}/{self.claim.epoch}"

    def _note(self, last: bool) -> None:
        for point in (found := self._read()):
            former = self.points.get(point.step)
            self.points[point.step] = point if former is None else _merged(former, point)
        if found:
            self.progress.check()
        # Of the steps of one second the last one stands for all; no look at the held-out loss is left out.
        newest = max(self.points, default=0)
        self.points = {step: at for step, at in self.points.items() if step == newest or at.held_out is not None}
        if not self.points or not (last or time.monotonic() - self.noted_at > _NOTE_SECONDS):
            return
        try:
            for step in sorted(self.points):
                note_progress(self.context.ledger, self.claim, self.points[step])
                del self.points[step]
        except Unavailable:  # they wait for the next time; whether the lease lives is the heartbeat's to say
            return
        self.noted_at = time.monotonic()

    def _read(self) -> list[Point]:
        """Points written since the last call; a line still being written waits for its end."""
        path = self.out / "progress.jsonl"
        if not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(self.offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [point for line in whole.splitlines() if (point := point_of(line)) is not None]

    def _try_to_keep(self, checkpoint: Path, last: bool) -> None:
        """The process goes on without the bucket: this checkpoint, or the next one, is carried once it answers."""
        if last:
            self._patiently(lambda: self._keep(checkpoint))
        elif time.monotonic() >= self.again_at:
            try:
                self._keep(checkpoint)
            except Unavailable as error:
                self.again_at = time.monotonic() + _AGAIN_SECONDS
                log.warning("a checkpoint waits", extra={"run_id": str(self.run.run_id), "error": type(error).__name__})

    def _patiently(self, act: Callable[[], T]) -> T:
        """Do this, again and again while the bucket or the database is away: the process is over, its work is not."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return act()
            except Unavailable:
                if time.monotonic() > until or self.context.draining.wait(_AGAIN_SECONDS):
                    raise
                self.progress.check()

    def _keep(self, checkpoint: Path) -> None:
        step, held = _step(checkpoint), self.out / _HELD
        if not _hold(checkpoint, held):
            return
        prefix = push(self.context.store, held, f"{self._prefix}/{step}", self.progress.check)
        shutil.rmtree(held)
        move_checkpoint(self.context.ledger, self.claim, prefix, step)
        former, self.checkpoint, self.carried = self.checkpoint, prefix, step
        if former is not None and former != prefix:
            self.context.store.delete_prefix(f"{former}/")

    def _carry_board(self) -> None:
        """The TensorBoard files as one archive, if they grew."""
        folder = self.out / "tensorboard"
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        sizes = [path.stat().st_size for path in files]
        now = (len(sizes), sum(sizes))
        if not files or now == self.board or now[1] > _BOARD_BYTES:
            return
        archive = self.out / BOARD
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as zipped:
            for path in files:
                zipped.write(path, path.relative_to(folder))
        self.show(BOARD, archive)
        self.board = now

    def _sweep(self, result_prefix: str) -> None:
        """The run is done: its checkpoints, and what lost workers of it left behind, are of no more use."""
        store = self.context.store
        for listed in store.list(store.derived_bucket, f"runs/{self.run.run_id}/"):
            if not listed.key.startswith(f"{result_prefix}/"):
                store.delete(listed.key)


def point_of(line: bytes) -> Point | None:
    """A line of ``progress.jsonl``; None if it is no point. A loss that is not finite is none."""
    try:
        data = json.loads(line)
        step, steps = data["step"], data.get("steps")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not _countable(step) or not (steps is None or _countable(steps)):
        return None
    return Point(step, steps, *(_finite(data.get(name)) for name in ("loss", "samples_per_s", "held_out", "swapped")))


def _countable(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _finite(value: Any) -> float | None:
    try:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    except OverflowError:  # an integer of four hundred digits
        return None


def _merged(former: Point, later: Point) -> Point:
    """Two lines of one step: what the later one does not say, the former does."""
    values = {name: value for name, value in vars(later).items() if value is not None}
    return Point(**(vars(former) | values))


def _step_of(prefix: str | None) -> int | None:
    """4 of ``runs/RUN/EPOCH/4-HASH``."""
    name = (prefix or "").rpartition("/")[2].partition("-")[0]
    return int(name) if name.isdecimal() else None


def _hold(checkpoint: Path, held: Path) -> bool:
    """Link a checkpoint's files to where its trainer does not remove them; False if they are gone already."""
    shutil.rmtree(held, ignore_errors=True)
    try:
        shutil.copytree(checkpoint, held, copy_function=_link)
    except OSError:
        if checkpoint.is_dir():
            raise
        return False
    return True


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # gone, or a file system without links
        shutil.copyfile(source, target)


def _step(checkpoint: Path) -> int:
    """123 of ``step-000123``."""
    return int(checkpoint.name.rpartition("-")[2])
