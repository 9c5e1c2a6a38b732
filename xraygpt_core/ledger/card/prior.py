"""Which study of the same patient is the one before: joins for a statement about studies ``s``."""

# A number that very many studies carry ("UNKNOWN") is no person's, and would make each card as slow as they are many.
_MOST_STUDIES = 200

# When the study was taken.
TAKEN = """
    LEFT JOIN LATERAL (
        SELECT i.acquired_on, i.acquired_time FROM images i
        WHERE i.study_id = s.id AND i.state = 'accepted' AND i.acquired_on IS NOT NULL
        ORDER BY i.id = s.chosen_image DESC NULLS LAST, i.acquired_on, i.acquired_time, i.id LIMIT 1
    ) taken ON true
"""

# The latest study that was acquired earlier, its film and its current text; none where either day is not known. Behind
# TAKEN.
PRIOR = f"""
    LEFT JOIN LATERAL (
        SELECT ARRAY(
            SELECT p.id FROM studies p WHERE p.patient_pseudonym = s.patient_pseudonym AND taken.acquired_on IS NOT NULL
            LIMIT {_MOST_STUDIES + 1}) AS ids
    ) person ON true
    LEFT JOIN LATERAL (
        SELECT p.id, q.acquired_on, COALESCE(c.image_id, p.chosen_image) AS image_id, c.id AS summary_id, p.chosen_image
        FROM unnest(person.ids) AS other (id) JOIN studies p USING (id)
        CROSS JOIN LATERAL (
            SELECT i.acquired_on, i.acquired_time FROM images i
            WHERE i.study_id = p.id AND i.state = 'accepted' AND i.acquired_on IS NOT NULL
            ORDER BY i.id = p.chosen_image DESC NULLS LAST, i.acquired_on, i.acquired_time, i.id LIMIT 1
        ) q
        LEFT JOIN summaries c ON c.study_id = p.id AND c.superseded_at IS NULL
        WHERE cardinality(person.ids) <= {_MOST_STUDIES} AND p.id <> s.id AND p.purged_at IS NULL
          AND p.alias_of IS NULL
          AND (q.acquired_on < taken.acquired_on
               OR q.acquired_on = taken.acquired_on AND q.acquired_time < taken.acquired_time)
        ORDER BY q.acquired_on DESC, q.acquired_time DESC NULLS LAST, p.id DESC LIMIT 1
    ) prior ON true
"""
