-- What people say about summaries, in rows that are only added.

ALTER TABLE api_keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'person';

-- The name under which the one-machine stack makes its own.
UPDATE api_keys SET kind = 'both' WHERE name = 'local';

CREATE TABLE reviews (
    id UUID NOT NULL,
    summary_id UUID NOT NULL,
    position INTEGER NOT NULL,
    action TEXT NOT NULL,
    text TEXT,
    reason TEXT,
    reviewer TEXT NOT NULL,
    key_id UUID,
    key_name TEXT,
    key_kind TEXT,
    seen JSONB,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_reviews PRIMARY KEY (id),
    CONSTRAINT uq_reviews_summary_id_position UNIQUE (summary_id, position),
    CONSTRAINT fk_reviews_summary_id FOREIGN KEY (summary_id) REFERENCES summaries (id),
    CONSTRAINT fk_reviews_key_id FOREIGN KEY (key_id) REFERENCES api_keys (id),
    CONSTRAINT ck_reviews_known_action CHECK (action IN ('accepted', 'edited', 'rejected', 'draft', 'undone')),
    CONSTRAINT ck_reviews_edited_has_text CHECK (action <> 'edited' OR text IS NOT NULL)
);

-- What stands becomes the first row; what was overwritten before this version is lost.
INSERT INTO reviews (id, summary_id, position, action, text, reviewer, at)
SELECT gen_random_uuid(), id, 1, review_state, edited_summary, COALESCE(reviewed_by, 'unknown'),
       COALESCE(reviewed_at, summarised_at)
FROM summaries
WHERE review_state <> 'draft' OR reviewed_by IS NOT NULL;

-- The database's owner writes for all of us, so it is not rights that keep a review but this.
CREATE FUNCTION reviews_are_kept() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM summaries m JOIN studies s ON s.id = m.study_id
                   WHERE m.id = OLD.summary_id AND s.purged_at IS NOT NULL) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'TRUNCATE' THEN
        IF NOT EXISTS (SELECT FROM reviews) THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'reviews are only added: a review leaves with the purge of its study and in no other way'
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER reviews_are_kept BEFORE UPDATE OR DELETE ON reviews
FOR EACH ROW EXECUTE FUNCTION reviews_are_kept();

CREATE TRIGGER reviews_are_kept_together BEFORE TRUNCATE ON reviews
FOR EACH STATEMENT EXECUTE FUNCTION reviews_are_kept();

CREATE VIEW summary_reviews AS
SELECT r.id AS review_id,
       m.study_id,
       r.summary_id,
       r.position,
       r.action,
       r.text,
       m.summary AS draft,
       r.reason,
       r.reviewer,
       r.key_id,
       r.key_name,
       r.key_kind,
       r.seen,
       r.at,
       m.superseded_at
FROM reviews r
JOIN summaries m ON m.id = r.summary_id;

GRANT SELECT ON summary_reviews TO xraygpt_reader;
