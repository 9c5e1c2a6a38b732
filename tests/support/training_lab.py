"""A researcher's sets in the bucket and in a folder, and the jobs of a run done one after the other in this process."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.support import training_standin
from tests.support.worker_bench import Bench, make_film, run_one
from workers.context import Context
from workers.encode import Encode
from workers.executor import Body
from workers.plan import Planning, Signed
from workers.prepare import Prepare
from workers.training import Training
from xraygpt_core.ledger.training.runs import Run, create_run, run
from xraygpt_core.ledger.training.signed_pairs import signed_of_set
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.states import JobKind

PROGRAM = [str(Path(training_standin.__file__))]
REAL = ("-m", "training_jobs")


@dataclass
class Lab:
    """Everything a planned run needs. ``bundle`` is what the runs start from, and what the GPU worker serves.

    ``program`` does the training: the stand-in, or :data:`REAL`.
    """

    bench: Bench
    context: Context
    bundle: Bundle
    signed: Signed = signed_of_set
    program: Sequence[str] = field(default_factory=lambda: PROGRAM)
    bodies: dict[JobKind, Body] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.films = Prepare(self.context)
        self.features = Encode(self.context, self.bundle)
        self.bodies = {
            JobKind.PLAN: Planning(self.context, lambda *given: self.signed(*given)),
            JobKind.PREPARE: self.films,
            JobKind.ENCODE: self.features,
            JobKind.TRAIN: Training(self.context, self.program),
        }

    @property
    def root(self) -> Path:
        folder = self.context.settings.training_data
        assert folder is not None
        return folder

    def in_bucket(self, name: str, seeds: Sequence[int], films: Callable[[int], bytes] = make_film) -> dict[str, Any]:
        """A table in the bucket, its films beside it."""
        for seed in seeds:
            self.bench.upload(f"sets/{name}/films/DOE-{seed}.dcm", films(seed))
        self.bench.upload(f"sets/{name}/pairs.jsonl", table(seeds).encode())
        return {"name": name, "reader": "table", "path": f"s3://{self.bench.settings.bucket}/sets/{name}/pairs.jsonl"}

    def in_folder(self, name: str, seeds: Sequence[int], films: Callable[[int], bytes] = make_film) -> dict[str, Any]:
        """The same below XRAYGPT_TRAINING_DATA."""
        folder = self.root / name
        (folder / "films").mkdir(parents=True)
        for seed in seeds:
            (folder / "films" / f"DOE-{seed}.dcm").write_bytes(films(seed))
        (folder / "pairs.jsonl").write_text(table(seeds))
        return {"name": name, "reader": "table", "path": f"{name}/pairs.jsonl"}

    def start(self, *sets: dict[str, Any], **config: Any) -> UUID:
        """Queue a run on these sets."""
        given = {"steps": 4, "mixture": {"sets": list(sets)}, **config}
        return create_run(self.bench.ledger, "stage2", given, None)

    def do(self, kind: JobKind) -> bool:
        """Do the most urgent job of a kind, if there is one."""
        return run_one(self.context, kind, self.bodies[kind])

    def do_all(self, *kinds: JobKind) -> int:
        """Do every job of these kinds until none is left; how many that were."""
        done = 0
        while any(self.do(kind) for kind in kinds):
            done += 1
        return done

    def state(self, run_id: UUID) -> Run:
        return run(self.bench.ledger, run_id)

    def jobs(self) -> dict[tuple[str, str], int]:
        """How many jobs there are of each kind and state."""
        rows = self.bench.rows("SELECT kind, state, count(*) AS jobs FROM jobs GROUP BY kind, state")
        return {(row["kind"], row["state"]): row["jobs"] for row in rows}

    def weights(self, file: str = "projector.safetensors") -> list[bytes]:
        """The results of all runs that are done, in the order of the runs."""
        rows = self.bench.rows("SELECT result_prefix FROM training_runs WHERE state = 'done' ORDER BY id")
        return [self.bench.store.get(f"{row['result_prefix']}/{file}") for row in rows]

    def forget(self) -> None:
        """Remove every trace of runs, so that everything is made anew; the sets themselves stay."""
        with self.bench.ledger.work() as work:
            for table in ("points", "texts", "features", "run_shards", "images", "shards", "files", "used"):
                work.run(f"DELETE FROM training_{table}")
            work.run("DELETE FROM jobs")
            work.run("DELETE FROM training_runs")
        for prefix in ("training/", "runs/"):
            self.bench.store.delete_prefix(prefix)


def table(seeds: Sequence[int]) -> str:
    """One row a film; every fifth patient is held out."""
    rows = [
        {
            "id": f"row-{seed}",
            "image": f"films/DOE-{seed}.dcm",
            "text": f"Findings: the film {seed} shows clear lungs and a heart of normal size.",
            "patient": f"DOE^JOHN^{seed}",
            "split": "test" if seed % 5 == 4 else "train",
        }
        for seed in seeds
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)
