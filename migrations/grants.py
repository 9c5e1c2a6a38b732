"""The rights of each process's role in the database: one line per table, granted again whenever they differ.

A verb with columns holds for these columns only. Only the owner may use a table that is missing here, and a test checks
that. The analysts' role may select the views; the versions grant that, too, but a restored database has the tables
without their rights. If the owner of the database may not make roles, none is made and the processes work as the
owner.
"""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

from xraygpt_core.logins import LOCK_FUNCTIONS, PROCESSES, READER, ROLES, role_of

Grant = tuple[str, str | None, str, str]  # table, column (None: all of them), role, verb

# Rights that several processes need.
_CLAIMED = "SELECT(id, study_id)"  # for the timeline entry of a claim
_WORKS = "SELECT INSERT UPDATE"
_ENDS = "UPDATE(state, finished_at)"
_KNOWN = "SELECT(image_id, bucket, key, etag, sequencer, seen_at, deleted_at) INSERT"  # objects that were announced
_REGISTERED = "UPDATE(sequencer, seen_at, deleted_at)"
_STUDY = (  # all but the pseudonyms
    "SELECT(id, alias_of, lane_rank, place, state, reason_code, revision, expected_images, chosen_image, view, flags, "
    "received_at, last_image_at, finished_at, purged_at)"
)
_STUDY_CLOSES = "UPDATE(id, state, reason_code, revision, finished_at)"
_STUDY_FORGOTTEN = (
    "UPDATE(id, lane_rank, place, state, reason_code, revision, chosen_image, view, flags, finished_at, purged_at, "
    "uid_pseudonym, patient_pseudonym, patient_id_pseudonym, accession_pseudonym, other_pseudonyms)"
)
_IMAGE_FORGOTTEN = (
    "UPDATE(state, reason_code, finished_at, view, modality, kind, rows, columns, sop_pseudonym, pixel_sha256, "
    "normalised_key, normalised_sha256, preview_key, preview_sha256, duplicate_of, flags, patient_pseudonym, "
    "patient_id_pseudonym, accession_pseudonym)"
)
# A run comes on with the last job of a kind, whoever did it.
_SHARD_LINKS = "SELECT(run_id, position, shard_id)"
_RUN_WAITS = "SELECT(id, state, encoder) UPDATE(id, state)"
_ENCODED = "UPDATE(id, left_to_trainer, key, encoded_at)"
_SUMMARY_PLACE = "SELECT(id, study_id, image_id, bundle, lane_rank, review_state, superseded_at)"  # none of its text

GRANTS: dict[str, dict[str, str]] = {
    "alembic_version": dict.fromkeys(PROCESSES, "SELECT"),
    "api_keys": {"gateway": "SELECT INSERT UPDATE(revoked_at, expires_at, last_used_at, replaced_by)"},
    "audit": {"gateway": "SELECT INSERT", "control": "SELECT INSERT"},
    "audit_open": {"gateway": "SELECT INSERT", "control": "SELECT INSERT DELETE"},
    "audit_seals": {"gateway": "SELECT", "control": "SELECT INSERT"},
    "backlog_images": {"gateway": "SELECT", "ingest": "SELECT", "control": "SELECT INSERT", "events": "SELECT"},
    "backlogs": {
        "gateway": "SELECT INSERT UPDATE(id, state, changing, finished_at)",
        "ingest": "SELECT(id, state, lane_rank)",
        "control": "SELECT UPDATE(id, state, start_after, listed, listed_at, problem, finished_at)",
        "events": "SELECT(id, state, lane_rank)",
    },
    "chat_turns": {
        "gateway": "SELECT INSERT UPDATE(answer, state) DELETE",
        "ingest": _CLAIMED,
        "gpu": "SELECT(id, study_id, summary_id, position, state, question, answer) UPDATE(state, answer, answered_at, "
        "lease_epoch, bundle, bundle_sha256, provenance, flags, consistency)",
        "training": _CLAIMED,
        "control": f"{_CLAIMED} UPDATE(state) DELETE",
    },
    "idempotency_keys": {"gateway": "SELECT INSERT UPDATE", "control": "SELECT(created_at) DELETE"},
    "images": {
        "gateway": f"SELECT INSERT {_IMAGE_FORGOTTEN}",
        "ingest": f"SELECT INSERT {_IMAGE_FORGOTTEN} UPDATE(study_id, origin, names_read)",
        "gpu": "SELECT(id, study_id, state, reason_code, view, flags, duplicate_of, normalised_key, normalised_sha256) "
        f"UPDATE(reason_code) {_ENDS}",
        "training": "SELECT(id, study_id, state, view, flags, normalised_key, normalised_sha256)",
        "control": "SELECT(id, study_id, state, reason_code, normalised_key, normalised_sha256, preview_key) "
        f"INSERT {_IMAGE_FORGOTTEN}",
        "events": f"SELECT(id, study_id, state, reason_code) INSERT UPDATE(reason_code) {_ENDS}",
    },
    "installation": {
        "gateway": "SELECT UPDATE(hmac_fingerprint, served_bundle, served_run, previous_bundle, previous_run)",
        "ingest": "SELECT UPDATE(hmac_fingerprint)",
        "gpu": "SELECT(served_bundle, served_run, served_encoder) UPDATE(served_bundle, served_encoder)",
        "training": "SELECT(served_encoder)",
        "control": "SELECT(id, tombstone_salt, served_bundle, served_run, created_at)",
        "events": "SELECT(id, tombstone_salt)",
    },
    "jobs": dict.fromkeys(PROCESSES, _WORKS),
    "object_keys": {
        "gateway": f"{_KNOWN} {_REGISTERED} DELETE",
        "ingest": f"{_KNOWN} {_REGISTERED} SELECT(version_id)",
        "control": f"{_KNOWN} {_REGISTERED} DELETE",
        "events": f"{_KNOWN} {_REGISTERED}",
    },
    "reviews": {"gateway": "SELECT INSERT DELETE", "control": "SELECT(id, summary_id) DELETE"},
    "sessions": {"gateway": "SELECT INSERT UPDATE(used_at, ended_at) DELETE"},
    "studies": {
        "gateway": f"SELECT INSERT {_STUDY_FORGOTTEN}",
        "ingest": f"SELECT INSERT {_STUDY_FORGOTTEN} UPDATE(alias_of, expected_images, last_image_at)",
        "gpu": f"{_STUDY} {_STUDY_CLOSES}",
        "training": "SELECT(id, alias_of, state, flags, purged_at, patient_pseudonym, patient_id_pseudonym)",
        "control": f"{_STUDY} INSERT {_STUDY_FORGOTTEN}",
        "events": f"{_STUDY} INSERT {_STUDY_CLOSES} UPDATE(lane_rank, place)",
    },
    "summaries": {
        "gateway": "SELECT UPDATE(id, lane_rank, review_state, reviewed_by, reviewed_at, edited_summary) DELETE",
        "ingest": f"{_SUMMARY_PLACE} UPDATE(id, lane_rank, superseded_at)",
        "gpu": f"{_SUMMARY_PLACE} SELECT(summary, edited_summary, flags) INSERT UPDATE(id, superseded_at)",
        "training": f"{_SUMMARY_PLACE} SELECT(summary, edited_summary, reviewed_at, flags)",
        "control": f"{_SUMMARY_PLACE} UPDATE(id, lane_rank) DELETE",
        "events": f"{_SUMMARY_PLACE} UPDATE(id, lane_rank)",
    },
    "timeline": {
        "gateway": "SELECT INSERT DELETE",
        "ingest": "SELECT INSERT",
        "gpu": "INSERT",
        "training": "INSERT",
        "control": "SELECT INSERT DELETE",
        "events": "SELECT INSERT",
    },
    "tombstones": {"gateway": "SELECT INSERT", "ingest": "SELECT", "control": "SELECT INSERT", "events": "SELECT"},
    "training_exclusions": {"gateway": "SELECT INSERT DELETE", "training": "SELECT(study_id, image_ids)"},
    "training_features": dict.fromkeys(("gateway", "gpu", "control"), f"SELECT {_ENCODED}")
    | dict.fromkeys(("ingest", "training"), f"SELECT INSERT {_ENCODED}"),
    "training_files": {
        "gateway": "SELECT DELETE",
        "training": "SELECT INSERT UPDATE(key, sha256, bytes, at)",
        "control": "SELECT(run_id, key) DELETE",
    },
    "training_images": dict.fromkeys(("gateway", "ingest", "control"), "SELECT UPDATE(sha256, dropped)")
    | {"gpu": "SELECT", "training": "SELECT INSERT UPDATE(sha256, dropped)"},
    "training_points": {
        "gateway": "SELECT",
        "training": "SELECT INSERT UPDATE(loss, samples_per_s, held_out, swapped)",
    },
    "training_run_shards": dict.fromkeys(("gateway", "ingest", "gpu", "control"), _SHARD_LINKS)
    | {"training": "SELECT INSERT"},
    "training_runs": {
        "gateway": "SELECT INSERT UPDATE(id, state, bundle, finished_at, paused_at, problem, problems_key)",
        "ingest": f"SELECT(problem) {_RUN_WAITS} UPDATE(finished_at, problem)",
        "gpu": f"SELECT(parent_run, base_bundle, result_prefix, bundle) {_RUN_WAITS} UPDATE(finished_at, problem)",
        "training": "SELECT UPDATE(id, state, encoder, pairs, problem, problems_key, step, steps, loss, samples_per_s, "
        "checkpoint_prefix, checkpoint_step, result_prefix, finished_at, paused_at, failure, failure_says, waits_for, "
        "held_out, swapped, first_held_out)",
        "control": "SELECT(id, state, encoder) UPDATE(state, finished_at, paused_at, problem)",
    },
    "training_shards": {
        "gateway": "SELECT(id, prepared_at)",
        "ingest": "SELECT UPDATE(id, prepared_at)",
        "gpu": "SELECT",
        "training": "SELECT INSERT UPDATE(prepared_at)",
        "control": "SELECT(id, prepared_at)",
    },
    # What radiologists signed: only the worker that trains on it reads it; a purge takes it out.
    "training_texts": {
        "gateway": "SELECT(run_id, shard, position) DELETE",
        "training": "SELECT INSERT",
        "control": "SELECT(run_id, shard, position) DELETE",
    },
    "training_used": {"gateway": "SELECT", "training": "SELECT INSERT", "control": "SELECT"},
    "unrotated_images": {},  # the owner's, while the pseudonymisation key is replaced
}

# For analysts. The versions grant them as they make them.
VIEWS = (
    *("study_summaries", "backlog_progress", "chat_transcripts", "dead_jobs", "training_progress"),
    "summary_reviews",
)

# Another database of this server may make the same one at the same moment.
_MAKE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
    NULL;
END
$$
"""

_GRANTED = """
    SELECT c.relname, a.attname, r.rolname, x.privilege_type
    FROM pg_class c
    LEFT JOIN LATERAL (
        SELECT NULL AS attname, c.relacl AS acl
        UNION ALL SELECT attname, attacl FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL
    ) a ON true
    CROSS JOIN LATERAL aclexplode(a.acl) x
    JOIN pg_roles r ON r.oid = x.grantee
    WHERE c.relnamespace = 'public'::regnamespace AND r.rolname = ANY(:roles)
"""

_ROLES = "SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles)"

# Revokes what PostgreSQL grants to every role and none of ours needs: temporary tables can fill the disk.
_CLOSE = """
DO $$
BEGIN
    IF has_database_privilege('public', current_database(), 'TEMPORARY') THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
END
$$
"""


def wanted(roles: frozenset[str] = frozenset(ROLES)) -> set[Grant]:
    """What the table above says of these roles."""
    return {
        (table, column, role_of(process), verb)
        for table, processes in GRANTS.items()
        for process, words in processes.items()
        if role_of(process) in roles
        for verb, column in _read(words)
    }


def apply(connection: Connection) -> None:
    """Grant it, in the transaction of the migration; what is granted already stays untouched.

    Roles that are not there and cannot be made are granted nothing: see :func:`missing`.
    """
    for role in (READER, *ROLES):
        connection.exec_driver_sql(_MAKE.format(role=role))
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {READER}")
    connection.exec_driver_sql(f"GRANT SELECT ON {', '.join(VIEWS)} TO {READER}")
    roles = frozenset(ROLES) - set(missing(connection))
    there, right = granted(connection), wanted(roles)
    wrong = {(table, role) for table, _, role, _ in there ^ right}
    for table, role in sorted(wrong):
        connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM {role}")  # that of columns goes with it
    for table, column, role, verb in sorted(right, key=str):
        if (table, role) in wrong:
            columns = "" if column is None else f' ("{column}")'
            connection.exec_driver_sql(f"GRANT {verb}{columns} ON {table} TO {role}")
    for role in sorted(roles):
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {role}")
        _let_lock(connection, role)
    connection.execute(text(_CLOSE))


def granted(connection: Connection) -> set[Grant]:
    """What these roles may do in the database as it is."""
    rows = connection.execute(text(_GRANTED), {"roles": list(ROLES)})
    return {(table, column, role, verb) for table, column, role, verb in rows}


def missing(connection: Connection) -> list[str]:
    """The roles this server does not have."""
    there = set(connection.execute(text(_ROLES), {"roles": list(ROLES)}).scalars())
    return [role for role in ROLES if role not in there]


def _let_lock(connection: Connection, role: str) -> None:
    """Where the superuser took these from every role (xraygpt/stack/superuser.sql), the owner may pass them on."""
    for function in LOCK_FUNCTIONS:
        asked = text("SELECT has_function_privilege(current_user, :function, 'EXECUTE WITH GRANT OPTION')")
        if connection.execute(asked, {"function": f"pg_catalog.{function}"}).scalar():
            connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {role}")


def _read(words: str) -> Iterator[tuple[str, str | None]]:
    """``SELECT INSERT UPDATE(state, view)`` as pairs of a verb and a column."""
    for verb, columns in re.findall(r"([A-Z]+)(?:\(([^)]*)\))?", words):
        for column in columns.split(",") if columns else (None,):
            yield verb, column and column.strip()


_LETTERS = {"SELECT": "r", "INSERT": "a", "UPDATE": "c", "DELETE": "d"}


def document() -> str:
    """The table above for docs/operations.md, whose test says when it is out of date."""
    lines = ["| table | " + " | ".join(PROCESSES) + " |", "|---" * (len(PROCESSES) + 1) + "|"]
    for table, processes in sorted(GRANTS.items()):
        cells = [_cell(set(_read(processes.get(process, "")))) for process in PROCESSES]
        lines.append(f"| {table} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(words: set[tuple[str, str | None]]) -> str:
    """``r``, ``a``, ``c``, ``d``; in brackets where it is for some columns only."""
    verbs = {verb for verb, _ in words}
    return " ".join(
        letter if (verb, None) in words else f"({letter})" for verb, letter in _LETTERS.items() if verb in verbs
    )


if __name__ == "__main__":
    print(document())  # noqa: T201  # the table of docs/operations.md
