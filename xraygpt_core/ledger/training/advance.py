"""How a run comes on: planning, preparing, encoding, queued. The job that was the last of its kind takes each step.

Jobs are locked before runs. A job that ends locks the runs that wait for it, and then counts what is still open: of two
that end at the same moment, the second one counts after the first one's commit.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import add_job, insert_jobs
from xraygpt_core.ledger.jobs.kinds import KINDS
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

MOST_DROPPED = 0.05  # of the films of a run; one never ends it

_ADD = insert_jobs(
    "unnest(CAST(:jobs AS uuid[]), CAST(:subjects AS uuid[])) AS wanted (job_id, subject)",
    ":kind",
    subject="subject",
    lane_rank=":lane_rank",
    place="0",
)
_LOCK_JOBS = """
    SELECT id FROM jobs WHERE kind = :kind AND subject = ANY (CAST(:subjects AS uuid[])) ORDER BY id FOR UPDATE
"""
# Of a run that was cancelled, or died; or its features were left to a trainer, or made with another bundle served. Runs
# that died of such a job go on with it, as when it is replayed: nobody could replay it any more.
_REVIVE = """
    WITH replayed AS (
        UPDATE jobs SET state = 'queued', attempts = 0, not_before = NULL, finished_at = NULL, last_error = NULL
        WHERE kind = :kind AND subject = ANY (CAST(:subjects AS uuid[])) AND state IN ('done', 'dead', 'cancelled')
        RETURNING id, kind, subject, revision
    ), runs AS ({runs})
    SELECT count(*) AS jobs FROM replayed
"""

_WAITING = """
    SELECT id, encoder FROM training_runs
    WHERE state = :state AND id IN (SELECT run_id FROM training_run_shards WHERE shard_id = :shard)
    ORDER BY id FOR UPDATE
"""
_UNPREPARED = """
    SELECT count(*) AS shards FROM training_shards
    WHERE prepared_at IS NULL AND id IN (SELECT shard_id FROM training_run_shards WHERE run_id = :run)
"""
_DROPPED = """
    SELECT i.dropped AS reason, count(*) AS images FROM training_run_shards s
    JOIN training_images i ON i.shard_id = s.shard_id WHERE s.run_id = :run AND i.dropped IS DISTINCT FROM 'purged'
    GROUP BY i.dropped ORDER BY i.dropped
"""
_DIES = """
    UPDATE training_runs SET state = 'dead', finished_at = clock_timestamp(), problem = :problem WHERE id = :run
"""
_SHARDS = """
    SELECT DISTINCT s.shard_id FROM training_run_shards s WHERE s.run_id = :run AND EXISTS (
        SELECT FROM training_images i WHERE i.shard_id = s.shard_id AND i.sha256 IS NOT NULL)
    ORDER BY s.shard_id
"""
_ADD_FEATURES = """
    INSERT INTO training_features (id, shard_id, encoder)
    SELECT id, shard_id, :encoder FROM unnest(CAST(:ids AS uuid[]), CAST(:shards AS uuid[])) AS new (id, shard_id)
    ON CONFLICT DO NOTHING
"""
_OF_RUN = """
    encoder = :encoder AND shard_id IN (SELECT shard_id FROM training_run_shards WHERE run_id = :run)
"""
_UNENCODED = f"SELECT id FROM training_features WHERE encoded_at IS NULL AND {_OF_RUN} ORDER BY id"
_STILL_ENCODED = f"""
    SELECT count(*) AS features FROM training_features WHERE encoded_at IS NULL AND NOT left_to_trainer AND {_OF_RUN}
"""
_LEAVE = """
    UPDATE training_features SET left_to_trainer = true WHERE id = ANY (CAST(:ids AS uuid[])) AND encoded_at IS NULL
"""
_WANT = """
    UPDATE training_features SET left_to_trainer = false WHERE id = ANY (CAST(:ids AS uuid[])) AND encoded_at IS NULL
"""
_STATE = "UPDATE training_runs SET state = :state WHERE id = :run"

# A job whose row somebody holds is passed over: it is done, and costs a shard's work. A dead run may be replayed.
_DROP_UNNEEDED = """
    UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = clock_timestamp()
    WHERE state IN ('queued', 'running') AND id = ANY (ARRAY(
        SELECT j.id FROM jobs j WHERE j.state IN ('queued', 'running') AND (
            j.kind = 'prepare' AND j.subject IN (SELECT shard_id FROM training_run_shards WHERE run_id = :run)
            AND NOT EXISTS (
                SELECT FROM training_run_shards s JOIN training_runs r ON r.id = s.run_id
                WHERE s.shard_id = j.subject AND r.id <> :run AND r.state IN ('preparing', 'dead'))
            OR j.kind = 'encode' AND j.subject IN (
                SELECT f.id FROM training_features f JOIN training_run_shards s ON s.shard_id = f.shard_id
                WHERE s.run_id = :run)
            AND NOT EXISTS (
                SELECT FROM training_features f JOIN training_run_shards s ON s.shard_id = f.shard_id
                JOIN training_runs r ON r.id = s.run_id AND r.encoder = f.encoder
                WHERE f.id = j.subject AND r.id <> :run AND r.state IN ('encoding', 'dead')))
        ORDER BY j.id FOR UPDATE OF j SKIP LOCKED))
"""


def demand(work: Work, kind: JobKind, subjects: Sequence[UUID], max_attempts: int) -> None:
    """A job of the backlog for each of these; one that ended is queued again. Locks them: none ends until the commit.

    The caller then looks which of its subjects are done already, and calls :func:`revive` for the others.
    """
    values = {"kind": kind, "subjects": list(subjects), "lane_rank": Lane.BACKLOG.rank, "max_attempts": max_attempts}
    added = work.run(_ADD, values | {"jobs": [new_id() for _ in subjects]})
    work.rows(_LOCK_JOBS, values)
    if added:
        work.rings.append(Ring(kind, Lane.BACKLOG, added))


def revive(work: Work, kind: JobKind, subjects: Sequence[UUID]) -> None:
    """Queue the jobs of these again that ended without what they were for; runs that died of them go on."""
    row = work.row(_REVIVE.format(runs=KINDS[kind].replays), {"kind": kind, "subjects": list(subjects)})
    if row is not None and row["jobs"]:
        work.rings.append(Ring(kind, Lane.BACKLOG, row["jobs"]))


def shard_prepared(work: Work, shard_id: UUID, max_attempts: int) -> None:
    """A shard is prepared, in this transaction: the runs for which it was the last one are encoded."""
    for row in work.rows(_WAITING, {"state": "preparing", "shard": shard_id}):
        prepared(work, row["id"], row["encoder"], max_attempts)


def prepared(work: Work, run_id: UUID, encoder: str, max_attempts: int) -> None:
    """Encode what is not encoded yet, if all shards of this run are prepared. The run's row is locked by the caller."""
    row = work.row(_UNPREPARED, {"run": run_id})
    if row is None or row["shards"]:
        return
    counts = {one["reason"]: one["images"] for one in work.rows(_DROPPED, {"run": run_id})}
    if problem := too_many_dropped(counts):
        work.run(_DIES, {"run": run_id, "problem": problem})
        return
    shards = [one["shard_id"] for one in work.rows(_SHARDS, {"run": run_id})]
    of_run = {"run": run_id, "encoder": encoder}
    work.run(_ADD_FEATURES, of_run | {"shards": shards, "ids": [new_id() for _ in shards]})
    missing = [one["id"] for one in work.rows(_UNENCODED, of_run)]
    work.run(_STATE, {"run": run_id, "state": "encoding"})
    if missing and _is_served(work, encoder):
        demand(work, JobKind.ENCODE, missing, max_attempts)
        missing = [one["id"] for one in work.rows(_UNENCODED, of_run)]
        revive(work, JobKind.ENCODE, missing)
        work.run(_WANT, {"ids": missing})
    elif missing:
        work.run(_LEAVE, {"ids": missing})
    encoded(work, run_id, encoder, max_attempts)


def too_many_dropped(counts: Mapping[str | None, int]) -> str | None:
    """Why a run does not go on with what is left of its films, by the reason why they were dropped; None: it does."""
    films = sum(counts.values())
    dropped = {reason: count for reason, count in counts.items() if reason is not None}
    bad = sum(dropped.values())
    told = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
    if bad == films and films:
        return f"none of its films can be used ({told})"
    if bad <= max(1, MOST_DROPPED * films):
        return None
    return f"{bad} of {films} films cannot be used ({told}); a run goes on with at most {MOST_DROPPED:.0%}"


def features_ended(work: Work, shard_id: UUID, encoder: str, max_attempts: int) -> None:
    """The features of a shard are made, or left to the trainer: the runs for which they were the last are queued."""
    for row in work.rows(_WAITING, {"state": "encoding", "shard": shard_id}):
        if row["encoder"] == encoder:
            encoded(work, row["id"], encoder, max_attempts)


def encoded(work: Work, run_id: UUID, encoder: str, max_attempts: int) -> None:
    """Train, if no features of this run are waited for any more. The run's row is locked by the caller."""
    row = work.row(_STILL_ENCODED, {"run": run_id, "encoder": encoder})
    if row is None or row["features"]:
        return
    work.run(_STATE, {"run": run_id, "state": "queued"})
    add_job(work, JobKind.TRAIN, run_id, Lane.ROUTINE, max_attempts=max_attempts)


def drop_unneeded(work: Work, run_id: UUID) -> None:
    """A run was cancelled: so are the jobs of its shards that no other run waits for."""
    work.run(_DROP_UNNEEDED, {"run": run_id})


def _is_served(work: Work, encoder: str) -> bool:
    row = work.row("SELECT served_encoder FROM installation")
    return row is not None and row["served_encoder"] == encoder
