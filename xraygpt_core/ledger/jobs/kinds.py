"""What a job of each kind is about, what it needs, and what becomes of its subject: one row per kind.

A job is written once per (kind, key). Its key is its subject, then the revision of the study and the bundle, as far as
a kind has them: ``<image>``, ``<study>:<revision>``, ``<study>:<revision>:<bundle>``, ``<turn>``, ``<run>``,
``<shard>``, ``<features>``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind


class Subject(StrEnum):
    """The table whose row a job is about."""

    IMAGE = "images"
    STUDY = "studies"
    TURN = "chat_turns"
    RUN = "training_runs"
    SHARD = "training_shards"
    FEATURES = "training_features"


class Buckets(NamedTuple):
    """What a job does in the buckets. It always reads the derived one."""

    source: bool = False  # reads the source bucket, too
    writes: bool = False  # writes into the derived bucket

    @property
    def label(self) -> str:
        """What metrics and log lines call them."""
        if self.source:
            return "both"
        return "derived, written" if self.writes else "derived"


class TimeLimits(NamedTuple):
    """How long a job may be silent, and how long it may run, in seconds."""

    stall: float
    run: float


def _minutes(settings: Settings) -> TimeLimits:
    return TimeLimits(settings.stall_seconds, settings.max_run_seconds)


def _long(settings: Settings) -> TimeLimits:
    """Many films, one after the other: silent for no longer than with one."""
    return TimeLimits(settings.stall_seconds, settings.train_max_seconds)


def _days(settings: Settings) -> TimeLimits:
    return TimeLimits(settings.train_stall_seconds, settings.train_max_seconds)


@dataclass(frozen=True)
class Kind:
    """One kind of job.

    Attributes:
        dies: the statement for the subject of a job that ended as dead; gets ``:subject`` and ``:revision``. A shard's
            or its features' changes the runs that wait for it.
        replays: the statement for the subjects of dead jobs that are queued again; reads ``replayed``, which has the
            columns ``kind``, ``subject`` and ``revision`` of the jobs.
        cancels: the statement for the subjects of jobs that are cancelled with their study; reads ``cancelled``, which
            is like ``replayed``. Empty where the study's own cancellation ends them.
        buckets: None where the job touches none.
        limits: of time.
        urgent: a person waits for it, whatever its lane.
        worker: the role of the worker that an image waits for until it is done; empty where none waits.
    """

    subject: Subject
    dies: str
    replays: str
    cancels: str = ""
    buckets: Buckets | None = None
    limits: Callable[[Settings], TimeLimits] = _minutes
    urgent: bool = False
    worker: str = ""


# A job of an older revision says nothing about the study, nor does a failed second opinion on a summarised one.
_STUDY_DIES = """
    UPDATE studies SET state = 'dead', reason_code = NULL, finished_at = clock_timestamp()
    WHERE id = :subject AND revision = :revision AND state IN ('waiting', 'queued')
"""
_STUDY_REPLAYS = """
    UPDATE studies SET finished_at = NULL, state = '{state}'
    FROM replayed WHERE replayed.kind = '{kind}' AND studies.id = replayed.subject
      AND studies.state = 'dead' AND studies.revision = replayed.revision
"""

# The runs that wait for a shard or for its features.
_WAIT = {
    JobKind.PREPARE: "SELECT run_id FROM training_run_shards WHERE shard_id {subject}",
    JobKind.ENCODE: "SELECT s.run_id FROM training_features f JOIN training_run_shards s ON s.shard_id = f.shard_id "
    "WHERE f.id {subject} AND f.encoder = training_runs.encoder",
}
_RUNS_DIE = """
    UPDATE training_runs SET state = 'dead', finished_at = clock_timestamp(), problem = '{sentence}'
    WHERE state = '{state}' AND id IN ({wait})
"""
# A run that died of it goes on once none of its jobs is dead any more.
_RUNS_REPLAY = """
    UPDATE training_runs SET state = '{state}', finished_at = NULL, problem = NULL
    WHERE state = 'dead' AND problem = '{sentence}' AND id IN ({wait}) AND NOT EXISTS (
        SELECT FROM jobs WHERE kind = '{kind}' AND state = 'dead' AND id NOT IN (SELECT id FROM replayed)
          AND subject IN ({others}))
"""
_OTHERS = {
    JobKind.PREPARE: "SELECT shard_id FROM training_run_shards WHERE run_id = training_runs.id",
    JobKind.ENCODE: "SELECT f.id FROM training_run_shards s JOIN training_features f ON f.shard_id = s.shard_id "
    "WHERE s.run_id = training_runs.id AND f.encoder = training_runs.encoder",
}


def _of_a_shard(kind: JobKind, state: str, sentence: str, buckets: Buckets) -> Kind:
    replayed = f"IN (SELECT subject FROM replayed WHERE kind = '{kind}')"
    return Kind(
        subject=Subject.SHARD if state == "preparing" else Subject.FEATURES,
        dies=_RUNS_DIE.format(state=state, sentence=sentence, wait=_WAIT[kind].format(subject="= :subject")),
        replays=_RUNS_REPLAY.format(
            kind=kind,
            state=state,
            sentence=sentence,
            wait=_WAIT[kind].format(subject=replayed),
            others=_OTHERS[kind],
        ),
        buckets=buckets,
        limits=_long,
    )


KINDS: Mapping[JobKind, Kind] = {
    JobKind.INGEST: Kind(
        subject=Subject.IMAGE,
        dies="UPDATE images SET state = 'dead', finished_at = clock_timestamp() "
        "WHERE id = :subject AND state = 'received'",
        replays="UPDATE images SET state = 'received', finished_at = NULL "
        "WHERE id = ANY (ARRAY(SELECT subject FROM replayed WHERE kind = 'ingest')) AND state = 'dead'",
        buckets=Buckets(source=True, writes=True),
        worker="ingest",
    ),
    JobKind.SETTLE: Kind(
        subject=Subject.STUDY,
        dies=_STUDY_DIES,
        replays=_STUDY_REPLAYS.format(kind="settle", state="waiting"),
        worker="ingest",
    ),
    JobKind.SUMMARISE: Kind(
        subject=Subject.STUDY,
        dies=_STUDY_DIES,
        replays=_STUDY_REPLAYS.format(kind="summarise", state="queued"),
        buckets=Buckets(),
        worker="gpu",
    ),
    JobKind.CHAT: Kind(
        subject=Subject.TURN,
        dies="UPDATE chat_turns SET state = 'dead' WHERE id = :subject",
        replays="UPDATE chat_turns SET state = 'queued', answer = '' "
        "WHERE id = ANY (ARRAY(SELECT subject FROM replayed WHERE kind = 'chat'))",
        cancels="UPDATE chat_turns SET state = 'cancelled' "
        "WHERE id = ANY (ARRAY(SELECT subject FROM cancelled WHERE kind = 'chat'))",
        buckets=Buckets(),
        urgent=True,
    ),
    JobKind.PLAN: Kind(
        subject=Subject.RUN,
        dies="UPDATE training_runs SET state = 'dead', finished_at = clock_timestamp(), paused_at = NULL "
        "WHERE id = :subject",
        replays="UPDATE training_runs SET state = 'planning', finished_at = NULL, problem = NULL, problems_key = NULL "
        "WHERE id = ANY (ARRAY(SELECT subject FROM replayed WHERE kind = 'plan'))",
        buckets=Buckets(source=True, writes=True),
        limits=_days,
    ),
    JobKind.PREPARE: _of_a_shard(
        JobKind.PREPARE,
        "preparing",
        "films of its sets could not be prepared: the dead prepare job says why",
        Buckets(source=True, writes=True),
    ),
    # The GPU worker writes features alone, and so cannot try whether the bucket takes an object.
    JobKind.ENCODE: _of_a_shard(
        JobKind.ENCODE, "encoding", "films of its sets could not be encoded: the dead encode job says why", Buckets()
    ),
    JobKind.TRAIN: Kind(
        subject=Subject.RUN,
        dies="UPDATE training_runs SET state = 'dead', finished_at = clock_timestamp(), paused_at = NULL "
        "WHERE id = :subject",
        replays="UPDATE training_runs SET state = 'queued', finished_at = NULL "
        "WHERE id = ANY (ARRAY(SELECT subject FROM replayed WHERE kind = 'train'))",
        buckets=Buckets(writes=True),
        limits=_days,
    ),
}


def key_sql(subject: str, revision: str = "NULL", bundle: str = "NULL") -> str:
    """The SQL expression of a job's key; its arguments are SQL expressions, too."""
    return f"concat_ws(':', {subject}, {revision}, {bundle})"


def image_sql(job: str) -> str:
    """The SQL expression of the image that a job (a row of this name) is about, or NULL."""
    kinds = ", ".join(f"'{name}'" for name, kind in KINDS.items() if kind.subject is Subject.IMAGE)
    return f"CASE WHEN {job}.kind IN ({kinds}) THEN {job}.subject END"


def kinds_about(subject: Subject) -> list[str]:
    """The kinds of job about rows of this table."""
    return [str(name) for name, kind in KINDS.items() if kind.subject is subject]


def study_sql(job: str) -> str:
    """The SQL expression of the study that a job is about; of a training run, of the run.

    It is looked up by its key, job by job: a join might walk through all images there are.
    """
    lookups = [
        f"(SELECT study_id FROM {kind.subject} WHERE {job}.kind = '{name}' AND id = {job}.subject)"
        for name, kind in KINDS.items()
        if kind.subject in (Subject.IMAGE, Subject.TURN)
    ]
    return f"COALESCE({', '.join(lookups)}, {job}.subject)"


def subjects_sql(study: str) -> str:
    """The query of everything in a study that a job may be about: the study itself, its images and its turns."""
    parts = [f"SELECT id FROM {table} WHERE study_id = {study}" for table in (Subject.IMAGE, Subject.TURN)]
    return " UNION ALL ".join([f"SELECT CAST({study} AS uuid)", *parts])


def statements(of: Callable[[Kind], str]) -> str:
    """A statement of every kind that has one, as common table expressions that follow another."""
    return "".join(f", {name}_subjects AS ({of(kind)})" for name, kind in KINDS.items() if of(kind))
