"""What a run leaves for people: its report, its TensorBoard files, its log. Films and texts stand in some of it.

The worker writes each under a name of its content in the derived bucket; the row here says which one counts. Only a
trainer is shown them, and every look is in the audit.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.transaction import Ledger, Work

REPORT = "report.html"
BOARD = "tensorboard.zip"
LOG = "log.txt"  # the last of what its processes said, in their own words
PROBLEMS = "problems.json"  # what is wrong with its sets, with file and line; named by its content when it was planned


@dataclass(frozen=True)
class RunFile:
    """A file of a run in the derived bucket; ``sha256`` proves that it is the one its worker wrote."""

    name: str
    key: str
    sha256: str
    bytes: int | None
    at: datetime


_FILES = f"""
    SELECT name, key, sha256, bytes, at FROM training_files WHERE run_id = :id
    UNION ALL
    SELECT '{PROBLEMS}', problems_key, substring(problems_key FROM '[0-9a-f]{{64}}'), NULL, created_at
    FROM training_runs WHERE id = :id AND problems_key IS NOT NULL
"""
_PURGED = """
    SELECT 1 FROM training_used u JOIN studies s ON s.id = u.study_id
    WHERE u.run_id = :id AND s.purged_at IS NOT NULL LIMIT 1
"""


def keep_file(ledger: Ledger, claim: Claim, name: str, key: str, sha256: str, size: int) -> str | None:
    """This object is now the run's file of this name; unless a study that the run was given is purged.

    Returns:
        The key of an object that nothing refers to any more: the file that was, or this one.

    Raises:
        LeaseLost: the job is no longer ours; the file stays as the owner wrote it.
    """
    values = {"id": claim.subject, "name": name, "key": key, "sha256": sha256, "bytes": size}

    def body(work: Work) -> str | None:
        if work.row(_PURGED, values) is not None:
            return key
        former = work.row("SELECT key FROM training_files WHERE run_id = :id AND name = :name FOR UPDATE", values)
        work.run(
            "INSERT INTO training_files (run_id, name, key, sha256, bytes) VALUES (:id, :name, :key, :sha256, :bytes) "
            "ON CONFLICT (run_id, name) DO UPDATE SET key = EXCLUDED.key, sha256 = EXCLUDED.sha256, "
            "bytes = EXCLUDED.bytes, at = clock_timestamp()",
            values,
        )
        return former["key"] if former is not None and former["key"] != key else None

    return fenced(ledger, claim, body, finish=None)


def run_files(ledger: Ledger, run_id: UUID) -> list[RunFile]:
    """The files of a run, by name.

    Raises:
        NotFound: no such run.
    """
    with ledger.work() as work:
        work.found("SELECT id FROM training_runs WHERE id = :id", {"id": run_id}, f"there is no training run {run_id}")
        rows = work.rows(f"{_FILES} ORDER BY name", {"id": run_id})
        record(work, "run files listed", subject=run_id)
    return [RunFile(**row) for row in rows]


def run_file(ledger: Ledger, run_id: UUID, name: str) -> RunFile:
    """One file of a run, which is looked at now.

    Raises:
        NotFound: no such run, or it has no such file yet.
    """
    with ledger.work() as work:
        sql = f"SELECT * FROM ({_FILES}) AS files WHERE name = :name"
        row = work.found(sql, {"id": run_id, "name": name}, f"the run {run_id} has no {name}")
        record(work, "run file read", subject=run_id, detail={"file": row["name"]})
    return RunFile(**row)


def note_used(ledger: Ledger, run_id: UUID, study_ids: list[UUID]) -> None:
    """A run is given these studies: if one of them is purged, its files go with it."""
    if not study_ids:
        return
    with ledger.work() as work:
        work.run(
            "INSERT INTO training_used (study_id, run_id) SELECT unnest(CAST(:studies AS uuid[])), :run "
            "ON CONFLICT DO NOTHING",
            {"studies": study_ids, "run": run_id},
        )


def forget_files(work: Work, study_id: UUID) -> list[str]:
    """A study is purged: the files of the runs that were given it are no longer shown.

    Returns:
        Their keys in the derived bucket, for the caller to delete.
    """
    used = "SELECT run_id FROM training_used WHERE study_id = :id"
    keys = [
        row["key"]
        for row in work.rows(
            f"SELECT key FROM training_files WHERE run_id = ANY (ARRAY({used})) ORDER BY key", {"id": study_id}
        )
    ]
    work.run(f"DELETE FROM training_files WHERE run_id = ANY (ARRAY({used}))", {"id": study_id})
    return keys
