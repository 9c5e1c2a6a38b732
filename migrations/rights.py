"""What each process's role in the database may do: one line per table, and the views of analysts.

A verb with columns holds for these columns only. Only the owner may use a table that is missing here, and a test checks
that. :mod:`migrations.grants` grants it.
"""

from xraygpt_core.logins import PROCESSES

# Rights that several processes need.
_CLAIMED = "SELECT(id, study_id)"  # for the timeline entry of a claim
_WORKS = "SELECT INSERT UPDATE"
_ENDS = "UPDATE(state, finished_at)"
_KNOWN = "SELECT(image_id, bucket, key, etag, sequencer, seen_at, deleted_at) INSERT"  # objects that were announced
_REGISTERED = "UPDATE(sequencer, seen_at, deleted_at)"
_STUDY = (  # all but the pseudonyms
    "SELECT(id, alias_of, lane_rank, place, state, reason_code, revision, expected_images, chosen_image, "
    "chosen_lateral, chosen_prior, view, flags, received_at, last_image_at, finished_at, purged_at)"
)
_STUDY_CLOSES = "UPDATE(id, state, reason_code, revision, finished_at)"
_STUDY_FORGOTTEN = (
    "UPDATE(id, lane_rank, place, state, reason_code, revision, chosen_image, chosen_lateral, chosen_prior, view, "
    "flags, finished_at, purged_at, uid_pseudonym, patient_pseudonym, patient_id_pseudonym, accession_pseudonym, "
    "other_pseudonyms)"
)
_IMAGE_FORGOTTEN = (
    "UPDATE(state, reason_code, finished_at, view, modality, kind, rows, columns, sop_pseudonym, pixel_sha256, "
    "normalised_key, normalised_sha256, preview_key, preview_sha256, clinical_key, clinical_sha256, duplicate_of, "
    "flags, patient_pseudonym, patient_id_pseudonym, accession_pseudonym, acquired_on, acquired_time, laterality, "
    "spacing_mm, spacing_at, facts_read, deep_key, deep_sha256, deep_scale, deep_window)"
)
_HEADER_FORGOTTEN = {"gateway": "SELECT DELETE", "control": "SELECT(image_id) DELETE"}
_FRONTAL = "SELECT(view, origin, flags, duplicate_of)"  # for a new revision of a study, and for one that is hastened
# A run comes on with the last job of a kind, by whichever process.
_SHARD_LINKS = "SELECT(run_id, position, shard_id)"
_RUN_WAITS = "SELECT(id, state, encoder) UPDATE(id, state)"
_ENCODED = "UPDATE(id, left_to_trainer, key, encoded_at)"
_SUMMARY_PLACE = (  # none of its text
    "SELECT(id, study_id, image_id, lateral_image, prior_image, bundle, lane_rank, review_state, superseded_at)"
)
_ROLLUP = {"gateway": "SELECT", "control": "SELECT INSERT UPDATE DELETE"}
_NOTES = "SELECT INSERT UPDATE(events, last_at)"
_WORKERS = ("ingest", "gpu", "training", "control", "events")

GRANTS: dict[str, dict[str, str]] = {
    "alembic_version": dict.fromkeys(PROCESSES, "SELECT"),
    "api_keys": {"gateway": "SELECT INSERT UPDATE(revoked_at, expires_at, last_used_at, replaced_by)"},
    "assignments": {
        "gateway": "SELECT INSERT UPDATE DELETE",
        "ingest": "SELECT(study_id, key_id) UPDATE(study_id) DELETE",
        "control": "SELECT(study_id) DELETE",
    },
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
        "gpu": "SELECT(id, study_id, summary_id, position, state, question, answer, answered_by) "
        "UPDATE(state, answer, answered_at, "
        "lease_epoch, bundle, bundle_sha256, provenance, flags, consistency, reasoning)",
        "training": _CLAIMED,
        "control": f"{_CLAIMED} UPDATE(state) DELETE",
    },
    "comparisons": {"gateway": "SELECT INSERT"},
    "finding_labels": dict.fromkeys(("gateway", "gpu", "control"), "SELECT INSERT DELETE"),
    "idempotency_keys": {"gateway": "SELECT INSERT UPDATE", "control": "SELECT(created_at) DELETE"},
    "images": {
        "gateway": f"SELECT INSERT {_IMAGE_FORGOTTEN}",
        "ingest": f"SELECT INSERT {_IMAGE_FORGOTTEN} UPDATE(study_id, origin, names_read)",
        "gpu": f"{_FRONTAL} SELECT(id, study_id, state, reason_code, normalised_key, normalised_sha256, clinical_key, "
        "clinical_sha256) "
        f"UPDATE(reason_code) {_ENDS}",
        "training": "SELECT(id, study_id, state, view, flags, normalised_key, normalised_sha256)",
        "control": f"{_FRONTAL} SELECT(id, study_id, state, reason_code, normalised_key, normalised_sha256, "
        f"preview_key, clinical_key, deep_key, deep_sha256) INSERT {_IMAGE_FORGOTTEN}",
        "events": f"{_FRONTAL} SELECT(id, study_id, state, reason_code) INSERT UPDATE(reason_code) {_ENDS}",
    },
    "installation": {
        "gateway": "SELECT UPDATE(hmac_fingerprint, sealing_fingerprint, served_bundle, served_run, previous_bundle, "
        "previous_run, served_images, served_clinical)",
        "ingest": "SELECT UPDATE(hmac_fingerprint, sealing_fingerprint)",
        "gpu": "SELECT(served_bundle, served_run, served_encoder, served_images, served_clinical) "
        "UPDATE(served_bundle, served_encoder, served_images, served_clinical)",
        "training": "SELECT(served_encoder)",
        "control": "SELECT(id, tombstone_salt, served_bundle, served_run, created_at, analyst_dates) "
        "UPDATE(analyst_dates)",
        "events": "SELECT(id, tombstone_salt)",
    },
    "jobs": dict.fromkeys(PROCESSES, _WORKS),
    "labelled_texts": dict.fromkeys(("gateway", "gpu", "control"), "SELECT INSERT UPDATE DELETE"),
    "object_keys": {
        "gateway": f"{_KNOWN} {_REGISTERED} DELETE",
        "ingest": f"{_KNOWN} {_REGISTERED} SELECT(version_id)",
        "control": f"{_KNOWN} {_REGISTERED} DELETE",
        "events": f"{_KNOWN} {_REGISTERED}",
    },
    "preferences": {"gateway": "SELECT INSERT UPDATE(language, theme)"},
    "reading_claims": {
        "gateway": "SELECT INSERT UPDATE DELETE",
        "ingest": "SELECT(study_id, until) UPDATE(study_id) DELETE",
        "control": "SELECT(study_id) DELETE",
    },
    "rejected_names": _HEADER_FORGOTTEN | {"ingest": "SELECT INSERT UPDATE(pseudonym)"},
    # Who seals does not read: the gateway keeps boxes, and hands one out only to a comparison.
    "request_words": {
        "gateway": "SELECT INSERT DELETE",
        "ingest": "SELECT(image_id, revision) UPDATE(revision)",
        "gpu": "SELECT",
        "control": "SELECT(image_id) DELETE",
    },
    "reviews": {"gateway": "SELECT INSERT DELETE", "control": "SELECT(id, summary_id) DELETE"},
    # Ingest seals and does not read what was sealed; the gateway alone opens.
    "sealed_numbers": _HEADER_FORGOTTEN | {"ingest": "SELECT(image_id) INSERT UPDATE(sealed, key_fingerprint)"},
    "sessions": {"gateway": "SELECT INSERT UPDATE(used_at, ended_at) DELETE"},
    "shadow_drafts": {
        "gateway": "SELECT INSERT UPDATE(state, reason, text, findings, impression, asserted, uncertain, labeller, "
        "consistency, tokens, seconds, provenance, at) DELETE",
        "control": "SELECT(study_id, image_id) DELETE",
    },
    "studies": {
        "gateway": f"SELECT INSERT {_STUDY_FORGOTTEN}",
        "ingest": f"SELECT INSERT {_STUDY_FORGOTTEN} UPDATE(alias_of, expected_images, last_image_at)",
        "gpu": f"{_STUDY} {_STUDY_CLOSES}",
        "training": "SELECT(id, alias_of, state, flags, purged_at, patient_pseudonym, patient_id_pseudonym)",
        "control": f"{_STUDY} INSERT {_STUDY_FORGOTTEN}",
        "events": f"{_STUDY} INSERT {_STUDY_CLOSES} UPDATE(lane_rank, place)",
    },
    "summaries": {
        "gateway": "SELECT UPDATE(id, lane_rank, review_state, reviewed_by, reviewed_at, edited_summary, "
        "asserted, uncertain) DELETE",
        "ingest": f"{_SUMMARY_PLACE} SELECT(revision) UPDATE(id, lane_rank, superseded_at, lateral_image, prior_image)",
        "gpu": f"{_SUMMARY_PLACE} SELECT(revision, summary, edited_summary, flags) INSERT "
        "UPDATE(id, superseded_at, asserted, uncertain)",
        "training": f"{_SUMMARY_PLACE} SELECT(summary, edited_summary, reviewed_at, flags)",
        "control": f"{_SUMMARY_PLACE} SELECT(job_id, tokens) UPDATE(id, lane_rank, asserted, uncertain) DELETE",
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
    # What operators look at.
    "backlog_rollup": _ROLLUP,
    "unreadable_events": {"gateway": _NOTES, "control": "SELECT(last_at) DELETE", "events": _NOTES},
    "work_rollup": _ROLLUP,
    "worker_rollup": _ROLLUP,
    "workers": {"gateway": "SELECT"} | dict.fromkeys(_WORKERS, "SELECT INSERT UPDATE DELETE"),
}

# Functions that answer from what the asking role may not read. Every other role is refused.
FUNCTIONS = {"standing_prior(uuid, uuid)": ("ingest", "gpu")}

# For analysts. The versions grant them as they make them.
VIEWS = (
    *("study_summaries", "backlog_progress", "chat_transcripts", "dead_jobs", "training_progress"),
    *("summary_reviews", "workers_now", "workers_hourly", "work_history", "backlog_history"),
    *("all_studies", "study_facts", "readings", "findings", "turnaround"),
    "shadow_readings",
)
