"""A curation from its source to its files: resumable, stoppable, and told on stderr while it runs."""

import hashlib
import shutil
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training_jobs.curation.budget import Budget, LimitReached, Limits
from training_jobs.curation.curator import Curator, Way, duplicate
from training_jobs.curation.journal import Journal
from training_jobs.curation.output import write_file, write_folder
from training_jobs.curation.prompts import Prompts
from training_jobs.curation.records import Record
from training_jobs.curation.rewriters import Answer, Model, Stopping
from training_jobs.curation.rules import VERSION
from training_jobs.curation.sources import read_reports
from xraygpt_core.errors import TrainingError

_TELL_EVERY = 5.0  # seconds


class Stopped(TrainingError):
    """It was stopped before its end; what is done is kept, and the same command goes on."""


@dataclass(frozen=True)
class Source:
    """What is curated."""

    path: Path
    reader: str
    columns: Mapping[str, str] = field(default_factory=dict)
    images: Path | None = None
    first: int | None = None  # only so many reports

    def records(self) -> Iterator[Record]:
        """Its reports, in the same order every time."""
        records = read_reports(self.path, self.reader, self.columns, self.images)
        for number, record in enumerate(records):
            if self.first is not None and number >= self.first:
                return
            yield record

    def described(self) -> dict[str, Any]:
        """What must be equal for a curation to go on; no path in clear."""
        status = self.path.stat()
        own = [status.st_size, status.st_mtime_ns] if self.path.is_file() else []
        name = hashlib.sha256(str([str(self.path.absolute()), *own]).encode()).hexdigest()
        images = str(self.images.absolute()) if self.images else None
        return {
            "source": name,
            "reader": self.reader,
            "columns": dict(self.columns),
            "images": images,
            "first": self.first,
        }


@dataclass(frozen=True)
class Plan:
    """How it is done.

    Attributes:
        model: makes the model once it is needed, with the budget it spends; None where rules or nothing rewrite.
        parallel: reports at once, where a model answers.
    """

    way: str
    prompts: Prompts | None = None
    model: Callable[[Budget], Model] | None = None
    model_name: str | None = None
    limits: Limits = field(default_factory=Limits)
    parallel: int = 4

    def described(self) -> dict[str, Any]:
        prompts = self.prompts.sha256 if self.prompts else None
        return {"way": self.way, "rules": VERSION, "model": self.model_name, "prompts": prompts}


def curate(source: Source, out: Path | None, plan: Plan, stop: threading.Event | None = None) -> dict[str, Any]:
    """Curate a source; ``{"read", "kept", "dropped": {reason: n}, …}``.

    Args:
        out: a folder for all files, or a file of JSON lines (``.jsonl``); None counts only.

    Raises:
        TrainingError: the source cannot be read, the endpoint refuses, or another curation lies in ``out``.
        Stopped: it was asked to stop, or a limit was reached.
    """
    stop = stop or threading.Event()
    journal = Journal(_state(out), source.described() | plan.described()) if out is not None else None
    counts = Counts()
    try:
        if journal is None:
            _work(source, plan, None, counts, stop)
        else:
            for row in journal.rows():
                counts.add(row)
            _work(source, plan, journal, counts, stop)
            return counts.told() | _write(out, journal)
    finally:
        if journal is not None:
            journal.close()
    return counts.told()


def _state(out: Path) -> Path:
    return out.with_name(f"{out.name}.state") if out.suffix == ".jsonl" else out / "state"


def _write(out: Path | None, journal: Journal) -> dict[str, Any]:
    if out is None:
        return {}
    if out.suffix != ".jsonl":
        return dict(write_folder(out, journal.rows))
    write_file(out, journal.rows)
    shutil.rmtree(journal.folder)
    return {}


class Counts:
    """What was read, kept, dropped and why, and what a model took."""

    def __init__(self) -> None:
        self.read = self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.fell_back: Counter[str] = Counter()
        self.asked_again = 0
        self.budget: Budget | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """One more report is done."""
        self.read += 1
        told = row if "dropped" in row else row["provenance"]
        if "dropped" in row:
            self.dropped[row["dropped"]] += 1
        else:
            self.kept += 1
        if "fell_back" in told:
            self.fell_back[told["fell_back"]] += 1
        self.asked_again += told.get("calls") == 2

    def told(self) -> dict[str, Any]:
        """The counts as the command prints them."""
        plain = {"read": self.read, "kept": self.kept, "dropped": dict(sorted(self.dropped.items()))}
        budget = self.budget
        if budget is None:
            return plain
        used = {"calls": budget.calls, "tokens_in": budget.tokens_in, "tokens_out": budget.tokens_out}
        again = {"asked_again": self.asked_again, "fell_back": dict(sorted(self.fell_back.items()))}
        return plain | again | used | {"cost": round(budget.cost, 6)}

    def line(self) -> str:
        """The same on one line."""
        spent = f"; {self.budget.calls} calls, cost {self.budget.cost:.4f}" if self.budget else ""
        fell = f", {self.fell_back.total()} fell back to rules" if self.fell_back else ""
        return f"curated {self.read} reports, kept {self.kept}{fell}{spent}"


def _work(source: Source, plan: Plan, journal: Journal | None, counts: Counts, stop: threading.Event) -> None:
    """Every report that is not done yet."""
    before = (journal.tokens_in, journal.tokens_out, journal.calls) if journal else (0, 0, 0)
    model: Model | None = None
    if plan.model is not None:
        counts.budget = Budget(plan.limits, stop, *before)
        model = plan.model(counts.budget)
    curator = Curator(Way(plan.way, source.reader, model, plan.prompts), _asking(plan, model, journal))
    parallel = plan.parallel if model is not None else 1
    said = time.monotonic()
    if counts.read:
        say(f"going on after {counts.read} reports")
    try:
        for row in _rows(_new(source, counts.read), curator, parallel, stop):
            if journal is not None:
                journal.add(row)
            counts.add(row)
            if time.monotonic() - said >= _TELL_EVERY:
                said = time.monotonic()
                say(counts.line())
    except (Stopping, LimitReached) as error:
        words = f"{counts.line()}. {error}" if isinstance(error, LimitReached) else counts.line()
        raise Stopped(f"stopped: {words}. {_how_to_go_on(journal)}") from error
    finally:
        if model is not None:
            model.close()


def _how_to_go_on(journal: Journal | None) -> str:
    return "start the same command again to go on" if journal else "nothing was written: --out keeps what is done"


def _asking(plan: Plan, model: Model | None, journal: Journal | None) -> Callable[[int, str, str], Answer]:
    """Asks the model, but for what it has answered before."""

    def ask(number: int, key: str, prompt: str) -> Answer:
        known = journal.answer(key) if journal is not None else None
        if known is not None:
            return known
        if model is None or plan.prompts is None:
            raise TrainingError("there is no model to ask")
        answer = model.answer(plan.prompts.system, prompt)
        if journal is not None:
            journal.keep_answer(key, number, answer)
        return answer

    return ask


def _new(source: Source, done: int) -> Iterator[tuple[int, Record, bool]]:
    """(number, report, whether its id is new) of each report that is not done."""
    seen: set[int] = set()
    for number, record in enumerate(source.records()):
        mark = int.from_bytes(hashlib.blake2b(record.uid.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        new = mark not in seen
        seen.add(mark)
        if number >= done:
            yield number, record, new


def _rows(
    records: Iterable[tuple[int, Record, bool]], curator: Curator, parallel: int, stop: threading.Event
) -> Iterator[dict[str, Any]]:
    """The row of each report in their order, several made at once."""

    def make(number: int, record: Record, new: bool) -> dict[str, Any]:
        return curator.curate(number, record) if new or record.broken is not None else duplicate(record)

    if parallel == 1:
        for number, record, new in records:
            if stop.is_set():
                raise Stopping("stopped")
            yield make(number, record, new)
        return
    waiting: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(parallel) as pool:
        try:
            for one in records:
                if stop.is_set():
                    raise Stopping("stopped")
                waiting.append(pool.submit(make, *one))
                while len(waiting) > 2 * parallel or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error those at work would go on asking; what they are answered is in the journal
            stop.set()
            pool.shutdown(cancel_futures=True)


def say(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
