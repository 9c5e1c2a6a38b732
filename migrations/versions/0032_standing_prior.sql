-- Whether a film may stand beside a study as its patient's prior: the study that the film is in, or NULL. Who writes a
-- draft may ask so without seeing whose the films are and when they were taken.
-- PL/pgSQL keeps its plan; the settings keep the plan off the whole table while that is small or unknown.

CREATE FUNCTION standing_prior(of_study uuid, film uuid) RETURNS uuid
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    RETURN (
        SELECT h.id
        FROM studies s
        JOIN images f ON f.id = film AND f.state = 'accepted' AND f.normalised_key IS NOT NULL
        JOIN studies h ON h.id = f.study_id AND h.id <> s.id AND h.patient_pseudonym = s.patient_pseudonym
        CROSS JOIN LATERAL (
            SELECT i.acquired_on, i.acquired_time FROM images i
            WHERE i.study_id = s.id AND i.state = 'accepted' AND i.acquired_on IS NOT NULL
            ORDER BY i.id = s.chosen_image DESC NULLS LAST, i.acquired_on, i.acquired_time, i.id LIMIT 1
        ) taken
        CROSS JOIN LATERAL (
            SELECT i.acquired_on, i.acquired_time FROM images i
            WHERE i.study_id = h.id AND i.state = 'accepted' AND i.acquired_on IS NOT NULL
            ORDER BY i.id = h.chosen_image DESC NULLS LAST, i.acquired_on, i.acquired_time, i.id LIMIT 1
        ) q
        WHERE s.id = of_study AND h.purged_at IS NULL AND h.alias_of IS NULL
          AND (f.patient_pseudonym IS NULL OR f.patient_pseudonym = s.patient_pseudonym)
          AND (q.acquired_on < taken.acquired_on
               OR q.acquired_on = taken.acquired_on AND q.acquired_time < taken.acquired_time)
    );
END
$$;

REVOKE ALL ON FUNCTION standing_prior FROM PUBLIC;

CREATE INDEX ix_studies_prior ON studies (chosen_prior) WHERE chosen_prior IS NOT NULL;
CREATE INDEX ix_summaries_prior ON summaries (prior_image) WHERE prior_image IS NOT NULL;
