"""How a study stands, in SQL: what is stored, and what a live lease says."""

# Of a study ``s``. Ingesting and running are what a live lease says; storing them would cost every claim a second row.
# A study that ended without a summary is open again while a new content of its object is read.
STUDY_STATE = """
    CASE WHEN (s.state IN ('received', 'rejected', 'dead') OR s.state = 'cancelled' AND s.reason_code = 'replaced')
              AND EXISTS (SELECT FROM images r WHERE r.study_id = s.id AND r.state = 'received')
         THEN CASE WHEN EXISTS (
             SELECT FROM jobs j JOIN images r ON r.id = j.subject
             WHERE r.study_id = s.id AND j.kind = 'ingest' AND j.state = 'running') THEN 'ingesting' ELSE 'received' END
         WHEN s.state = 'queued' AND EXISTS (
             SELECT FROM jobs j WHERE j.subject = s.id AND j.kind = 'summarise' AND j.state = 'running') THEN 'running'
         ELSE s.state END
"""
