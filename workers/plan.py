"""The plan jobs: a run's sets are read and checked, and cut into shards whose films are then prepared and encoded.

They are done by the training worker: its database role may read what was signed, and ingest's may not.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from uuid import UUID

from workers.bundles import composed
from workers.context import Context
from workers.dropped import store_problems
from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from workers.set_files import files_of
from workers.shard_files import Cutter, Placed
from xraygpt_core.errors import InvalidRequest, TrainingError
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.training.plan import Plan, PlanInput, complete_plan, keep_problems, plan_input
from xraygpt_core.ledger.training.signed_pairs import signed_of_set
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.model.bundle import Bundle, load_bundle
from xraygpt_core.model.encoders.digest import STACKED, encoder_digest
from xraygpt_core.training.config import parse_config
from xraygpt_core.training.datasets.problems import Kind, Problem, Problems
from xraygpt_core.training.datasets.read import across_sets, read_set
from xraygpt_core.training.datasets.splits import SplitOf
from xraygpt_core.training.mixture import PAINTED, SetSpec
from xraygpt_core.training.pairs import Pair

Signed = Callable[[Ledger, SetSpec, UUID], Iterable[Pair]]


@dataclass
class Found:
    """The problems of all sets of a run."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    listed: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, problems: Problems) -> None:
        """Those of one set."""
        self.counts.update(problems.counts)
        self.errors += problems.errors
        self.listed += [_told(name, one) for one in problems]

    @property
    def said(self) -> str:
        """How many of which kind: nothing that a set wrote."""
        return ", ".join(f"{kind} {count}" for kind, count in sorted(self.counts.items()))


class Planning:
    """The plan jobs of one process.

    Args:
        signed: the signed studies that a set selects.
    """

    def __init__(self, context: Context, signed: Signed = signed_of_set) -> None:
        self._context = context
        self._signed = signed

    def __call__(self, claim: Claim, progress: JobProgress) -> None:
        """Plan one run, or end it with the problems of its sets.

        Raises:
            InvalidRequest: no run can start with these sets.
        """
        ledger, store = self._context.ledger, self._context.store
        given = plan_input(ledger, claim)
        found = Found()

        def alive() -> None:
            if self._context.draining.is_set():
                raise HandedBack("the worker is stopping")
            progress.check()

        with tempfile.TemporaryDirectory(prefix="xraygpt-plan-") as temporary:
            encoder = self._encoder(claim, given, Path(temporary) / "models")
            cutter = Cutter(Path(temporary))
            self._cut(given, cutter, found, alive)
            key = self._list(found)
            if found.errors:
                said = f"its sets cannot be trained on: {found.said}"
                keep_problems(ledger, claim, said, key)
                raise InvalidRequest(f"{said}; their list names files and lines, for a trainer's eyes")
            cutter.push(store, alive)
            left_out = f"not trained on: {found.said}" if found.counts else None
            complete_plan(ledger, claim, Plan(encoder, tuple(cutter.shards), left_out, key))

    def _encoder(self, claim: Claim, given: PlanInput, temporary: Path) -> str:
        """The digest of the encoder whose features the run takes: its base's, or of this what is not tuned.

        Raises:
            InvalidRequest: it cannot be tuned like this, or no training takes its features.
        """
        context = self._context
        base = load_bundle(context.settings.models, given.base_bundle)
        if given.tuned_encoders:
            base = composed(context.store, base, given.tuned_encoders, temporary, "tuned")
        try:
            return _kept(base, given)
        except TrainingError as error:
            keep_problems(context.ledger, claim, str(error), None)
            raise InvalidRequest(str(error)) from error

    def _cut(self, given: PlanInput, cutter: Cutter, found: Found, alive: Callable[[], None]) -> None:
        mixture, seen = parse_config(given.config).mixture, SplitOf()
        for spec in mixture.sets if mixture is not None else ():
            if spec.drawn:
                continue
            problems = Problems()
            try:
                self._cut_set(spec, given.run_id, cutter, (problems, found, seen), alive)
            except TrainingError as error:  # it may quote a path, so it goes where those go
                problems.add(spec.name, str(error), Kind.UNREADABLE_FILE)
            cutter.end_set()
            found.add(spec.name, problems)
        if cutter.shards and "train" not in cutter.splits and not found.errors:
            problems = Problems()
            problems.add("the mixture", "all its pairs are held out", Kind.NOTHING_TO_TRAIN)
            found.add("", problems)

    def _cut_set(
        self,
        spec: SetSpec,
        run_id: UUID,
        cutter: Cutter,
        told: tuple[Problems, Found, SplitOf],
        alive: Callable[[], None],
    ) -> None:
        problems, found, seen = told
        if spec.reader == "ledger":
            before = len(cutter.shards)
            signed = self._signed(self._context.ledger, spec, run_id)
            for pair in across_sets(iter(signed), seen, problems):
                alive()
                cutter.add(replace(pair, set_name=spec.name), None)
            found.counts.update(getattr(signed, "left_out", {}))
            cutter.end_set()
            if len(cutter.shards) == before:
                problems.add(spec.name, "no signed study is selected", Kind.EMPTY_SET)
            return
        if spec.reader == PAINTED:
            raise TrainingError("films are painted only by a run on the machine where they lie")
        settings = self._context.settings
        texts, images = files_of(spec, self._context.store, settings.training_data, settings.max_object_bytes, alive)
        reading = read_set(spec, texts, images)
        try:
            for pair in across_sets(reading.pairs, seen, problems):
                alive()
                cutter.add(pair, Placed(images.place(pair.image), images.version(pair.image)))
        finally:
            found.add(spec.name, reading.problems)

    def _list(self, found: Found) -> str | None:
        """Store the list of problems where a trainer may read it; its key."""
        if not found.listed:
            return None
        return store_problems(self._context, found.listed, found.counts)


def _kept(base: Bundle, given: PlanInput) -> str:
    """The digest of what the run's features are made by. Raises TrainingError."""
    if given.stage == "encoder":
        from xraygpt_core.model.encoders.tuning import lower_half  # loads torch, which nothing else here needs

        return encoder_digest(lower_half(base, parse_config(given.config).encoder.last))
    if base.encoder_options.get("all_layers"):
        raise TrainingError(STACKED)
    return encoder_digest(base)


def _told(name: str, problem: Problem) -> dict[str, str]:
    return {"set": name, **asdict(problem)}
