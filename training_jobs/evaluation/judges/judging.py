"""Ask a judge about many texts: several at once, killed and gone on with, every failure counted.

A judge that gives no answer, or one that cannot be read, gives no score: such texts are counted by reason beside the
scores, which are those of the others.
"""

import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from training_jobs.curation.budget import Budget, LimitReached, Limits
from training_jobs.curation.journal import Journal
from training_jobs.curation.rewriters import Model, Stopping, Unanswered
from training_jobs.curation.run import Stopped
from xraygpt_core.durable import write_complete
from xraygpt_core.errors import TrainingError, XrayGPTError
from xraygpt_core.report.scores import bootstrap_mean

Notify = Callable[[int, int], None]
Verdict = dict[str, Any]


class Unreadable(XrayGPTError):
    """A judge's answer is not in the form it was asked for; its message holds no word of the answer."""


class Judged(Protocol):
    """What is judged."""

    @property
    def uid(self) -> str: ...


Item = TypeVar("Item", bound=Judged, contravariant=True)


class Judge(Protocol[Item]):
    """What is asked about an item, and what the answers mean."""

    name: str  # for the result

    def questions(self, item: Item) -> Sequence[tuple[str, str]]:
        """(system, prompt) of each call; without any, the verdict needs no model."""

    def verdict(self, answers: Sequence[str]) -> Verdict:
        """What the answers to all questions say. Raises :class:`Unreadable`."""

    def summed(self, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        """Scores over one verdict or more."""


@dataclass(frozen=True)
class Asking:
    """Who is asked.

    Attributes:
        model: makes the model, with the budget it spends.
        parallel: items at once.
    """

    model: Callable[[Budget], Model]
    model_name: str
    limits: Limits = field(default_factory=Limits)
    parallel: int = 4


ItemOf = TypeVar("ItemOf", bound=Judged)


class Judging(Generic[ItemOf]):
    """One judge at work on a list of items, with its state in ``out/state``."""

    def __init__(self, judge: Judge[ItemOf], items: Sequence[ItemOf], asking: Asking, out: Path) -> None:
        self._judge, self._items, self._asking, self._out = judge, items, asking, out
        asked = hashlib.sha256()
        for one in items:
            asked.update(json.dumps([one.uid, *judge.questions(one)]).encode())
        settings = {"judge": judge.name, "model": asking.model_name, "questions": asked.hexdigest()}
        self._journal = Journal(out / "state", settings)

    def run(self, stop: threading.Event, notify: Notify) -> dict[str, Any]:
        """Judge what is not judged yet; the result, which is also written to ``out/result.json``.

        Raises:
            Stopped: it was asked to stop, or a limit is reached; the same command goes on.
            TrainingError: the model answers nothing any more.
        """
        journal = self._journal
        budget = Budget(self._asking.limits, stop, journal.tokens_in, journal.tokens_out, journal.calls)
        try:
            if journal.done < len(self._items):
                self._work(budget, stop, notify)
            result = self._result(budget)
        except (Stopping, LimitReached) as error:
            words = f"stopped: {journal.done} of {len(self._items)} are judged ({error}); start the same command again"
            raise Stopped(words) from error
        finally:
            journal.close()
        write_complete(self._out / "result.json", json.dumps(result, indent=2) + "\n")
        return result

    def _work(self, budget: Budget, stop: threading.Event, notify: Notify) -> None:
        model = self._asking.model(budget)
        left = list(enumerate(self._items))[self._journal.done :]
        try:
            for row in _in_order(lambda one: self._row(model, *one), left, self._asking.parallel, stop):
                self._journal.add(row)
                notify(self._journal.done, len(self._items))
        finally:
            model.close()

    def _row(self, model: Model, number: int, item: ItemOf) -> Verdict:
        try:
            answers = [
                self._answer(model, number, f"{number}/{call}", *question)
                for call, question in enumerate(self._judge.questions(item))
            ]
            return {"id": item.uid, "verdict": self._judge.verdict(answers)}
        except (Unanswered, Unreadable) as error:
            return {"id": item.uid, "failed": str(error)}

    def _answer(self, model: Model, number: int, key: str, system: str, prompt: str) -> str:
        known = self._journal.answer(key)
        if known is None:
            known = model.answer(system, prompt)
            self._journal.keep_answer(key, number, known)
        return known.text

    def _result(self, budget: Budget) -> dict[str, Any]:
        rows = list(self._journal.rows())
        verdicts = [row["verdict"] for row in rows if "verdict" in row]
        failed = Counter(row["failed"] for row in rows if "failed" in row)
        used = {"calls": self._journal.calls, "tokens_in": budget.tokens_in, "tokens_out": budget.tokens_out}
        return {
            "judge": self._judge.name,
            "model": self._asking.model_name,
            "n": len(rows),
            "judged": len(verdicts),
            "failed": dict(sorted(failed.items())),
            "scores": self._judge.summed(verdicts) if verdicts else {},
            **used,
            "cost": round(budget.cost, 6),
        }


def verdicts_of(out: Path) -> dict[str, Verdict]:
    """The verdict on each item that has one, by its id."""
    try:
        rows = [json.loads(line) for line in (out / "state" / "journal.jsonl").read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise TrainingError(f"{out} holds no verdicts: {type(error).__name__}") from error
    return {row["id"]: row["verdict"] for row in rows if "verdict" in row}


def interval(values: Sequence[float]) -> dict[str, float]:
    """Their mean with its 95 % interval."""
    return bootstrap_mean(values)._asdict()


One = TypeVar("One")
Made = TypeVar("Made")


def _in_order(
    make: Callable[[One], Made], items: Sequence[One], parallel: int, stop: threading.Event
) -> Iterator[Made]:
    """``make`` of each item in their order, some at once."""
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(parallel) as pool:
        try:
            for one in items:
                if stop.is_set():
                    raise Stopping("stopped")
                waiting.append(pool.submit(make, one))
                while len(waiting) > 2 * parallel or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error those at work would go on asking
            stop.set()
            pool.shutdown(cancel_futures=True)
