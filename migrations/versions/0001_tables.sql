CREATE TABLE api_keys (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT uq_api_keys_sha256 UNIQUE (sha256)
);

CREATE TABLE backlogs (
    id UUID NOT NULL,
    bucket TEXT NOT NULL,
    prefix TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE,
    lane_rank SMALLINT NOT NULL,
    state TEXT NOT NULL,
    start_after TEXT DEFAULT '' NOT NULL,
    listed BIGINT DEFAULT '0' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    listed_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_backlogs PRIMARY KEY (id)
);

CREATE TABLE idempotency_keys (
    key_hash TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status INTEGER,
    body JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (key_hash)
);

CREATE TABLE installation (
    id SMALLINT NOT NULL CONSTRAINT ck_installation_single CHECK (id = 1),
    hmac_fingerprint TEXT,
    tombstone_salt TEXT NOT NULL,
    served_bundle TEXT,
    served_run UUID,
    previous_bundle TEXT,
    previous_run UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_installation PRIMARY KEY (id)
);

CREATE TABLE jobs (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    subject UUID NOT NULL,
    key TEXT NOT NULL,
    lane_rank SMALLINT NOT NULL,
    state TEXT DEFAULT 'queued' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_epoch BIGINT DEFAULT '0' NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    not_before TIMESTAMP WITH TIME ZONE,
    rung_at TIMESTAMP WITH TIME ZONE,
    claimed_by TEXT,
    last_error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_jobs PRIMARY KEY (id),
    CONSTRAINT uq_jobs_kind_key UNIQUE (kind, key),
    CONSTRAINT ck_jobs_running_has_lease CHECK ((state = 'running') = (lease_until IS NOT NULL))
);

CREATE INDEX ix_jobs_dead ON jobs (finished_at) WHERE state = 'dead';

CREATE INDEX ix_jobs_leased ON jobs (lease_until) WHERE state = 'running';

CREATE INDEX ix_jobs_rung ON jobs (kind, lane_rank, rung_at) WHERE state = 'queued' AND rung_at IS NOT NULL;

CREATE INDEX ix_jobs_subject ON jobs (subject);

CREATE INDEX ix_jobs_unrung ON jobs (kind, lane_rank, id) WHERE state = 'queued' AND rung_at IS NULL;

CREATE TABLE studies (
    id UUID NOT NULL,
    alias_of UUID,
    uid_pseudonym TEXT,
    patient_pseudonym TEXT,
    accession_pseudonym TEXT,
    lane_rank SMALLINT NOT NULL,
    state TEXT NOT NULL,
    reason_code TEXT,
    revision INTEGER DEFAULT '0' NOT NULL,
    expected_images INTEGER,
    chosen_image UUID,
    view TEXT,
    flags TEXT[] DEFAULT '{}' NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    last_image_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    purged_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_studies PRIMARY KEY (id),
    CONSTRAINT fk_studies_alias_of FOREIGN KEY(alias_of) REFERENCES studies (id),
    CONSTRAINT uq_studies_uid_pseudonym UNIQUE (uid_pseudonym)
);

CREATE INDEX ix_studies_accession_pseudonym ON studies (accession_pseudonym);

CREATE INDEX ix_studies_alias_of ON studies (alias_of) WHERE alias_of IS NOT NULL;

CREATE INDEX ix_studies_patient_pseudonym ON studies (patient_pseudonym);

CREATE INDEX ix_studies_received_at ON studies (received_at);

CREATE TABLE timeline (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    study_id UUID NOT NULL,
    image_id UUID,
    job_id UUID,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    attempt INTEGER,
    epoch BIGINT,
    detail JSONB,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_timeline PRIMARY KEY (id)
);

CREATE INDEX ix_timeline_study_id_id ON timeline (study_id, id);

CREATE TABLE tombstones (
    digest TEXT NOT NULL,
    study_id UUID NOT NULL,
    image_id UUID NOT NULL,
    purged_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_tombstones PRIMARY KEY (digest)
);

CREATE TABLE training_runs (
    id UUID NOT NULL,
    stage TEXT NOT NULL,
    config JSONB NOT NULL,
    parent_run UUID,
    base_bundle TEXT NOT NULL,
    state TEXT NOT NULL,
    step INTEGER DEFAULT '0' NOT NULL,
    steps INTEGER,
    loss FLOAT,
    samples_per_s FLOAT,
    checkpoint_prefix TEXT,
    checkpoint_step INTEGER,
    result_prefix TEXT,
    bundle TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_training_runs PRIMARY KEY (id),
    CONSTRAINT fk_training_runs_parent_run FOREIGN KEY(parent_run) REFERENCES training_runs (id)
);

CREATE TABLE backlog_images (
    backlog_id UUID NOT NULL,
    image_id UUID NOT NULL,
    CONSTRAINT pk_backlog_images PRIMARY KEY (backlog_id, image_id),
    CONSTRAINT fk_backlog_images_backlog_id FOREIGN KEY(backlog_id) REFERENCES backlogs (id) ON DELETE CASCADE
);

CREATE TABLE images (
    id UUID NOT NULL,
    study_id UUID NOT NULL,
    state TEXT NOT NULL,
    reason_code TEXT,
    view TEXT,
    modality TEXT,
    kind TEXT,
    rows INTEGER,
    columns INTEGER,
    sop_pseudonym TEXT,
    pixel_sha256 TEXT,
    normalised_key TEXT,
    normalised_sha256 TEXT,
    preview_key TEXT,
    duplicate_of UUID,
    flags TEXT[] DEFAULT '{}' NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_images PRIMARY KEY (id),
    CONSTRAINT fk_images_study_id FOREIGN KEY(study_id) REFERENCES studies (id)
);

CREATE INDEX ix_images_study_id ON images (study_id);

CREATE TABLE summaries (
    id UUID NOT NULL,
    study_id UUID NOT NULL,
    image_id UUID NOT NULL,
    revision INTEGER NOT NULL,
    job_id UUID NOT NULL,
    lease_epoch BIGINT NOT NULL,
    bundle TEXT NOT NULL,
    bundle_sha256 TEXT NOT NULL,
    summary TEXT NOT NULL,
    findings TEXT,
    impression TEXT,
    provenance JSONB NOT NULL,
    tokens INTEGER NOT NULL,
    batch_size INTEGER NOT NULL,
    flags TEXT[] DEFAULT '{}' NOT NULL,
    review_state TEXT DEFAULT 'draft' NOT NULL,
    reviewed_by TEXT,
    reviewed_at TIMESTAMP WITH TIME ZONE,
    edited_summary TEXT,
    summarised_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    superseded_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_summaries PRIMARY KEY (id),
    CONSTRAINT fk_summaries_study_id FOREIGN KEY(study_id) REFERENCES studies (id),
    CONSTRAINT uq_summaries_job_id UNIQUE (job_id)
);

CREATE INDEX ix_summaries_bundle_summarised_at ON summaries (bundle, summarised_at);

CREATE UNIQUE INDEX ix_summaries_current ON summaries (study_id) WHERE superseded_at IS NULL;

CREATE INDEX ix_summaries_study_id ON summaries (study_id);

CREATE INDEX ix_summaries_summarised_at ON summaries (summarised_at);

CREATE TABLE training_points (
    run_id UUID NOT NULL,
    lease_epoch BIGINT NOT NULL,
    step INTEGER NOT NULL,
    loss FLOAT,
    samples_per_s FLOAT,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_training_points PRIMARY KEY (run_id, lease_epoch, step),
    CONSTRAINT fk_training_points_run_id FOREIGN KEY(run_id) REFERENCES training_runs (id)
);

CREATE TABLE chat_turns (
    id UUID NOT NULL,
    study_id UUID NOT NULL,
    summary_id UUID NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT DEFAULT '' NOT NULL,
    lease_epoch BIGINT,
    bundle TEXT,
    bundle_sha256 TEXT,
    provenance JSONB,
    asked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_chat_turns PRIMARY KEY (id),
    CONSTRAINT uq_chat_turns_study_id_position UNIQUE (study_id, position),
    CONSTRAINT fk_chat_turns_study_id FOREIGN KEY(study_id) REFERENCES studies (id),
    CONSTRAINT fk_chat_turns_summary_id FOREIGN KEY(summary_id) REFERENCES summaries (id)
);

CREATE TABLE object_keys (
    image_id UUID NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    etag TEXT NOT NULL,
    version_id TEXT,
    sequencer TEXT,
    size BIGINT,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_object_keys PRIMARY KEY (image_id),
    CONSTRAINT uq_object_keys_bucket_key_etag UNIQUE (bucket, key, etag),
    CONSTRAINT fk_object_keys_image_id FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);

INSERT INTO installation (id, tombstone_salt) VALUES (1, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));
