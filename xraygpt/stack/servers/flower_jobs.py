"""What Flower makes of the jobs' task events (:mod:`workers.task_events`), and what its pages say of their own numbers.

A job keeps its id over all attempts and workers. Celery's own state of a task knows no attempts: a late word of a lost
worker would count, and a job that was replayed after its death would stay dead. So the ledger's epoch decides here.
"""

from typing import Any

from celery.states import PENDING
from flower.events import EventsState
from flower.views.broker import BrokerView
from flower.views.tasks import TasksView
from flower.views.workers import WorkerView

TASK_COLUMNS = "name,kwargs,state,retries,received,started,runtime,worker,exception,uuid"

_ENDS = frozenset({"task-succeeded", "task-failed", "task-retried", "task-revoked"})
_OF_A_CLAIM = ("started", "succeeded", "failed", "revoked", "runtime", "result", "exception")


class JobsState(EventsState):  # type: ignore[misc]  # Flower has no types
    """Flower's memory of tasks and workers, in which a task is a job of the ledger."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._running: dict[str, str] = {}  # job, worker

    def event(self, event: dict[str, Any]) -> None:
        """Take in one event. What belongs to an earlier claim than the one that is known is passed over."""
        if "epoch" in event and self._is_late(event):
            return
        if event["type"] == "task-started":
            self._running[event["uuid"]] = event["hostname"]
        elif event["type"] in _ENDS:
            self._running.pop(event["uuid"], None)
        elif event.get("active") is not None:  # a heartbeat: Celery counts the rings that are answered
            event["active"] = list(self._running.values()).count(event["hostname"])
        super().event(event)

    def _is_late(self, event: dict[str, Any]) -> bool:
        """Is it of an earlier claim? With the first event of a later one the task begins anew."""
        task = self.tasks.data.get(event["uuid"])
        if task is not None and event["epoch"] > getattr(task, "epoch", 0):
            task.__dict__.update(dict.fromkeys(_OF_A_CLAIM), state=PENDING)
        return task is not None and event["epoch"] < getattr(task, "epoch", 0)


class _Noted:
    """A page of Flower with a sentence of ours above one of its parts."""

    template: str
    before: bytes
    note: str

    def render_string(self, template_name: str, **values: Any) -> bytes:
        page: bytes = super().render_string(template_name, **values)  # type: ignore[misc]
        if template_name != self.template:
            return page
        return page.replace(self.before, f'<p class="page-description">{self.note}</p>\n'.encode() + self.before, 1)


class BrokerPage(_Noted, BrokerView):  # type: ignore[misc]
    """The queues, which hold rings."""

    template, before = "broker.html", b'<section class="broker-table-card"'
    note = (
        "These messages are rings: one says that work of a kind waits in a lane, and names no job. "
        "The jobs wait in PostgreSQL, and a queue holds a few rings for any number of them. "
        "So 0 here does not mean that nothing waits. "
        "<code>xraygpt status</code> says how many jobs wait, and for how long."
    )


class WorkerPage(_Noted, WorkerView):  # type: ignore[misc]
    """One worker, as Celery sees it."""

    template, before = "worker.html", b'<div class="worker-tabs">'
    note = (
        "This page is what the worker's Celery says of itself: the tasks it counts and lists are rings, not jobs. "
        "The jobs of this worker are on the page Tasks."
    )


class TasksPage(_Noted, TasksView):  # type: ignore[misc]
    """The jobs."""

    template, before = "tasks.html", b'<section class="tasks-table-card"'
    note = (
        "Each task is a job that a worker has claimed since Flower started; the last 100,000 are kept. "
        "A job that waits for its first claim is not here. A job that was cancelled or replayed while it waited keeps "
        "the state of its last attempt until it is claimed again. "
        "<code>kwargs:study=ID</code> in the search finds the jobs of a study."
    )


PAGES = {BrokerView: BrokerPage, WorkerView: WorkerPage, TasksView: TasksPage}
