"""A provisional study becomes an alias: whose it is, and who reads it, goes with its image to the other study."""

from uuid import UUID

from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.transaction import Work

# Few studies are assigned or read before their headers are: one look says so of the others.
_ANY = """
    SELECT EXISTS (SELECT FROM assignments WHERE study_id = :alias) AS assigned,
           EXISTS (SELECT FROM reading_claims WHERE study_id = :alias) AS read
"""

# Both studies are locked, and so are those that a person assigns.
_ASSIGNED = """
    UPDATE assignments SET study_id = :home
    WHERE study_id = :alias AND NOT EXISTS (SELECT FROM assignments WHERE study_id = :home)
    RETURNING key_id
"""
_GIVEN_UP = "DELETE FROM assignments WHERE study_id = :alias RETURNING key_id"

_OVER = "DELETE FROM reading_claims WHERE study_id = :home AND until <= clock_timestamp()"
_READ = """
    UPDATE reading_claims SET study_id = :home
    WHERE study_id = :alias AND NOT EXISTS (SELECT FROM reading_claims WHERE study_id = :home)
"""
_LEFT = "DELETE FROM reading_claims WHERE study_id = :alias"


def follow(work: Work, alias: UUID, home: UUID) -> None:
    """Move assignment and reading claim to the study that ``alias`` leads to from now on. Both studies are locked.

    What the other study has stays: its own assignment, however old the one that comes is, and its own claim while that
    lasts. The timeline says what became of the assignment, with the reader's key.
    """
    values = {"alias": alias, "home": home}
    found = work.found(_ANY, values, "")
    if found["assigned"]:
        _assignment(work, values)
    for sql in (_OVER, _READ, _LEFT) if found["read"] else ():
        work.run(sql, values)


def _assignment(work: Work, values: dict[str, UUID]) -> None:
    moved = work.row(_ASSIGNED, values)
    reader = moved or work.found(_GIVEN_UP, values, "")
    what = "assignment came with an image" if moved else "assignment of an image ended"
    key = reader["key_id"]
    detail = {"study": str(values["alias"]), "key": None if key is None else str(key)}
    note(work, values["home"], what, who="ingest", detail=detail)
