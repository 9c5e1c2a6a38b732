CREATE TABLE comparisons (
    id uuid CONSTRAINT pk_comparisons PRIMARY KEY,
    first_bundle text NOT NULL,
    first_sha256 text NOT NULL,
    second_bundle text NOT NULL,
    second_sha256 text NOT NULL,
    chosen jsonb NOT NULL,
    asked text NOT NULL,
    begun_by text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ck_comparisons_two_bundles CHECK (first_sha256 <> second_sha256)
);

CREATE TABLE shadow_drafts (
    comparison_id uuid NOT NULL CONSTRAINT fk_shadow_drafts_comparison_id_comparisons REFERENCES comparisons,
    study_id uuid NOT NULL CONSTRAINT fk_shadow_drafts_study_id_studies REFERENCES studies,
    bundle_sha256 text NOT NULL,
    bundle text NOT NULL,
    image_id uuid NOT NULL,
    image_sha256 text NOT NULL,
    state text NOT NULL,
    reason text,
    text text,
    findings text,
    impression text,
    asserted text[],
    uncertain text[],
    labeller text,
    consistency jsonb NOT NULL DEFAULT '[]',
    tokens integer,
    seconds double precision,
    provenance jsonb,
    at timestamptz,
    CONSTRAINT pk_shadow_drafts PRIMARY KEY (comparison_id, study_id, bundle_sha256),
    CONSTRAINT ck_shadow_drafts_known_state CHECK (state IN ('open', 'written', 'taken', 'failed')),
    CONSTRAINT ck_shadow_drafts_written_has_text CHECK ((state IN ('written', 'taken')) = (text IS NOT NULL)),
    CONSTRAINT ck_shadow_drafts_failed_has_reason CHECK ((state = 'failed') = (reason IS NOT NULL))
);
CREATE INDEX ix_shadow_drafts_study_id ON shadow_drafts (study_id);
CREATE INDEX ix_shadow_drafts_image_id ON shadow_drafts (image_id);
CREATE INDEX ix_shadow_drafts_open ON shadow_drafts (comparison_id) WHERE state = 'open';

-- Texts that no reader was shown, for analysts who ask for them by this name. docs/sql.md describes every column.
CREATE VIEW shadow_readings AS
SELECT d.comparison_id,
       d.study_id,
       d.image_id,
       d.bundle,
       d.bundle_sha256,
       d.state,
       d.reason,
       d.text,
       d.findings,
       d.impression,
       d.asserted,
       d.uncertain,
       jsonb_array_length(d.consistency) AS contradictions,
       d.tokens,
       d.seconds,
       d.provenance -> 'software' ->> 'device' AS device,
       d.at,
       c.begun_at
FROM shadow_drafts d JOIN comparisons c ON c.id = d.comparison_id;
GRANT SELECT ON shadow_readings TO xraygpt_reader;
