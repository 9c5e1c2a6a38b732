"""Training: a run is a child process whose files are followed, whose checkpoints are kept, and which can be continued.

The child knows nothing of the ledger. It writes ``progress.jsonl``, ``checkpoints/step-*`` and ``result``, each whole
when it appears; this worker carries them to the ledger and the derived bucket.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.bundles import composed
from workers.context import Context
from workers.corpora import corpus_arguments, local_corpus
from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from workers.run_inputs import local_inputs
from workers.training_child import TrainingChild
from workers.transfer import pull, push
from xraygpt_core.errors import TrainingError
from xraygpt_core.ledger.jobs.fence import Claim, lease_lost
from xraygpt_core.ledger.training.runs import RunInput, complete_run, move_checkpoint, note_progress, run_input
from xraygpt_core.model.bundle import Bundle, load_bundle
from xraygpt_core.paths import is_below

_POLL_SECONDS = 0.5
_NOTE_SECONDS = 1.0


class Training:
    """The train jobs of one process.

    Args:
        program: what is run; the module ``training_jobs`` unless a test says otherwise.
    """

    def __init__(self, context: Context, program: Sequence[str] = ("-m", "training_jobs")) -> None:
        self._context = context
        self._program = program

    def __call__(self, claim: Claim, progress: JobProgress) -> None:
        """Run or continue one training run to its end, or to a checkpoint if the worker is to stop."""
        run = run_input(self._context.ledger, claim)
        with tempfile.TemporaryDirectory(prefix="xraygpt-run-") as temporary:
            home = Path(temporary)
            command = self._command(run, home, progress)
            with TrainingChild(command, home) as child:
                self._follow(child, Carrier(self._context, claim, progress, run, home / "out"), progress)

    def _command(self, run: RunInput, home: Path, progress: JobProgress) -> list[str]:
        config, out = home / "config.json", home / "out"
        given = confined(run.config, self._context.settings.training_data)
        config.write_text(json.dumps(local_inputs(self._context, given, home / "inputs", progress.check)))
        out.mkdir()
        base = self._base(run, home)
        progress.check()
        command = [sys.executable]
        if (processes := self._context.settings.train_processes) > 1:
            command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command += [*self._program, run.stage]
        command += ["--base", str(base.path), "--out", str(out), "--config", str(config)]
        command += corpus_arguments(local_corpus(self._context, progress, run, base, home, self._program))
        if run.checkpoint_prefix is not None:
            pull(self._context.store, run.checkpoint_prefix, home / "resume", progress.check)
            command += ["--resume", str(home / "resume")]
        return command

    def _base(self, run: RunInput, home: Path) -> Bundle:
        base = load_bundle(self._context.settings.models, run.base_bundle)
        if not run.parent_prefixes:
            return base
        return composed(self._context.store, base, run.parent_prefixes, home / "models", "parent")

    def _follow(self, child: TrainingChild, carrier: "Carrier", progress: JobProgress) -> None:
        stopping = False
        while True:
            code = child.wait(_POLL_SECONDS)
            if progress.lost.is_set():
                raise lease_lost(progress.claim)
            carrier.carry(last=code is not None)
            if code is not None:
                break
            if self._context.draining.is_set() and not stopping:
                child.ask_to_stop()
                stopping = True
        if code == 0:
            carrier.finish()
        elif stopping:
            raise HandedBack("the worker is stopping; the run goes on from its checkpoint")
        else:
            raise TrainingError(f"training_jobs ended with exit code {code}; its log says why")


@dataclass
class Carrier:
    """Carries what a run writes to the ledger and the derived bucket."""

    context: Context
    claim: Claim
    progress: JobProgress
    run: RunInput
    out: Path
    offset: int = 0
    noted_at: float = 0.0
    point: dict[str, Any] | None = None
    carried: int = 0
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        self.checkpoint = self.run.checkpoint_prefix

    def carry(self, *, last: bool) -> None:
        """Bring over what is new since the last time."""
        self._note(last)
        newest = max(self.out.glob("checkpoints/step-*"), key=_step, default=None)
        if newest is not None and _step(newest) > self.carried:
            self._keep(newest)

    def finish(self) -> None:
        """Bring over the result and end the run."""
        result = self.out / "result"
        if not result.is_dir():
            raise TrainingError("training_jobs ended well but left no result")
        prefix = push(self.context.store, result, f"{self._prefix}/result", self.progress.check)
        complete_run(self.context.ledger, self.claim, prefix)
        self._sweep(prefix)

    @property
    def _prefix(self) -> str:
        return f"runs/{self.run.run_id}/{self.claim.epoch}"

    def _note(self, last: bool) -> None:
        points = self._points()
        if points:
            self.progress.check()
            self.point = points[-1]
        if self.point is None or not (last or time.monotonic() - self.noted_at > _NOTE_SECONDS):
            return
        point, self.point, self.noted_at = self.point, None, time.monotonic()
        note_progress(
            self.context.ledger,
            self.claim,
            point["step"],
            point["steps"],
            point.get("loss"),
            point.get("samples_per_s"),
        )

    def _points(self) -> list[dict[str, Any]]:
        """Lines written since the last call; a line still being written waits for its end."""
        path = self.out / "progress.jsonl"
        if not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(self.offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def _keep(self, checkpoint: Path) -> None:
        step = _step(checkpoint)
        prefix = push(self.context.store, checkpoint, f"{self._prefix}/{step}", self.progress.check)
        move_checkpoint(self.context.ledger, self.claim, prefix, step)
        former, self.checkpoint, self.carried = self.checkpoint, prefix, step
        if former is not None and former != prefix:
            self.context.store.delete_prefix(f"{former}/")

    def _sweep(self, result_prefix: str) -> None:
        """The run is done: its checkpoints, and what lost workers of it left behind, are of no more use."""
        store = self.context.store
        for listed in store.list(store.derived_bucket, f"runs/{self.run.run_id}/"):
            if not listed.key.startswith(f"{result_prefix}/"):
                store.delete(listed.key)


def confined(config: dict[str, Any], root: Path | None) -> dict[str, Any]:
    """A run's configuration with the real path of its films; a run of the queue may name no other folder to read.

    Args:
        root: XRAYGPT_TRAINING_DATA; the run names its films as a folder below it, or by their whole path.

    Raises:
        TrainingError: the films lie elsewhere, or no such folder is set.
    """
    if (films := config.get("films")) is None:
        return config
    if root is None:
        raise TrainingError("this worker reads no films: name their folder in its setting XRAYGPT_TRAINING_DATA")
    path = root / str(films)
    if not is_below(path, root) or not os.path.isdir(path):
        raise TrainingError("the run's films are no folder below the worker's XRAYGPT_TRAINING_DATA")
    return config | {"films": str(path.resolve())}


def _step(checkpoint: Path) -> int:
    """123 of ``step-000123``."""
    return int(checkpoint.name.rpartition("-")[2])
