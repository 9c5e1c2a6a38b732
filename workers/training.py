"""Training: a run is a child process whose files are followed, whose checkpoints are kept, and which can be continued.

The child knows nothing of the ledger. It writes ``progress.jsonl``, ``checkpoints/step-*`` and ``result``, each whole
when it appears; :mod:`workers.training_carrier` carries them to the ledger and the derived bucket.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.bundles import composed
from workers.context import Context
from workers.corpora import corpus_arguments, local_corpus
from workers.devices import HeldDevices, take_devices
from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from workers.run_inputs import local_inputs
from workers.training_carrier import Carrier
from workers.training_child import TrainingChild
from workers.training_outcome import MACHINE, STOPPED, Outcome, exit_code, of_this_machine, outcome_of
from workers.transfer import pull
from xraygpt_core.errors import TrainingError
from xraygpt_core.ledger.jobs.fence import Claim, lease_lost
from xraygpt_core.ledger.training.runs import RunInput, run_input
from xraygpt_core.ledger.training.waiting import note_failure, note_waiting, paused_now
from xraygpt_core.model.bundle import Bundle, load_bundle
from xraygpt_core.paths import is_below

_POLL_SECONDS = 0.5
_LOOK_SECONDS = 2.0  # between two looks whether a person paused the run
_DEVICE_SECONDS = 10.0  # before a run without a device is tried again, here or on another worker


class Training:
    """The train jobs of one process.

    Args:
        program: what is run; the module ``training_jobs`` unless a test says otherwise.
    """

    def __init__(self, context: Context, program: Sequence[str] = ("-m", "training_jobs")) -> None:
        self._context = context
        self._program = program

    def __call__(self, claim: Claim, progress: JobProgress) -> None:
        """Run or continue one training run to its end, or to a checkpoint if it is paused or the worker is to stop."""
        run = run_input(self._context.ledger, claim)
        if run.paused:
            raise HandedBack("the run is paused")
        devices = self._devices(claim)
        if devices is None:
            note_waiting(self._context.ledger, claim, "device")
            raise HandedBack("every device is taken by another run", _DEVICE_SECONDS)
        try:
            with devices, tempfile.TemporaryDirectory(prefix="xraygpt-run-") as temporary:
                self._run(claim, progress, run, Path(temporary), devices)
        except OSError as error:
            raise self._failed(claim, of_this_machine(error)) from None  # it names files

    def _run(self, claim: Claim, progress: JobProgress, run: RunInput, home: Path, devices: HeldDevices) -> None:
        command = self._command(run, home, progress, devices)
        if self._paused(run):
            raise HandedBack("the run is paused")
        carrier = Carrier(self._context, claim, progress, run, home / "out")
        carrier.restore()
        with TrainingChild(command, home, devices.environment, devices.descriptors) as child:
            code, asked = self._follow(child, carrier, progress)
        said = child.said()
        if code == 0:
            carrier.keep_log(said)
            carrier.finish()
            return
        code = exit_code(code, said.decode(errors="replace"))
        if asked or code == STOPPED:
            raise HandedBack(asked or "the run was stopped; it goes on from its checkpoint")
        carrier.keep_log(said)
        raise self._failed(claim, outcome_of(code, said.decode(errors="replace")))

    def _devices(self, claim: Claim) -> HeldDevices | None:
        settings = self._context.settings
        try:
            return take_devices(
                settings.train_processes, settings.train_device_locks, settings.train_cpu_runs, os.environ
            )
        except TrainingError as error:
            raise self._failed(claim, outcome_of(MACHINE, "device")) from error

    def _failed(self, claim: Claim, outcome: Outcome) -> Exception:
        """Keep why the attempt failed; what is to be raised."""
        note_failure(self._context.ledger, claim, outcome.failure, outcome.says)
        return outcome.error

    def _command(self, run: RunInput, home: Path, progress: JobProgress, devices: HeldDevices) -> list[str]:
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
        command += corpus_arguments(local_corpus(self._context, progress, run, base, home, self._program, devices))
        if run.checkpoint_prefix is not None:
            pull(self._context.store, run.checkpoint_prefix, home / "resume", progress.check)
            command += ["--resume", str(home / "resume")]
        return command

    def _base(self, run: RunInput, home: Path) -> Bundle:
        base = load_bundle(self._context.settings.models, run.base_bundle)
        if not run.parent_prefixes:
            return base
        return composed(self._context.store, base, run.parent_prefixes, home / "models", "parent")

    def _follow(self, child: TrainingChild, carrier: Carrier, progress: JobProgress) -> tuple[int, str | None]:
        """Carry what the process writes until it ends. Its exit code, and why it was asked to stop, if it was."""
        asked: str | None = None
        lines, looked = 0, time.monotonic()
        while True:
            code = child.wait(_POLL_SECONDS)
            if progress.lost.is_set():
                raise lease_lost(progress.claim)
            if child.lines > lines:  # it says something: it is alive, though it may make no step yet
                lines = child.lines
                progress.report()
            carrier.carry(last=code is not None)
            if code is not None:
                return code, asked
            if asked is None and self._context.draining.is_set():
                asked = "the worker is stopping; the run goes on from its checkpoint"
            elif asked is None and time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                asked = "the run is paused; it goes on from its checkpoint" if self._paused(carrier.run) else None
            else:
                continue
            if asked is not None:
                child.ask_to_stop()

    def _paused(self, run: RunInput) -> bool:
        return paused_now(self._context.ledger, run.run_id)


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
