"""Whose a study is: a lead assigns it to a reader, and a reader takes it. Others see that, and may sign it too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.errors import Forbidden, NotFound
from xraygpt_core.ledger.access.api_keys import VALID, ApiKey
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import Role

_READERS = f"""
    SELECT DISTINCT ON (k.name) k.id AS key_id, k.name FROM api_keys k
    WHERE {VALID} AND k.kind <> 'program' AND k.roles && ARRAY['reader', 'lead'] AND k.replaced_by IS NULL
    ORDER BY k.name, k.id LIMIT 500
"""
_READER = f"""
    SELECT k.id AS key_id, k.name FROM api_keys k
    WHERE k.id = :key AND {VALID} AND k.kind <> 'program' AND k.roles && ARRAY['reader', 'lead']
"""

# Locked in the order of their ids: two that assign the same studies wait for each other, and neither for ever.
_STUDIES = """
    SELECT id FROM studies
    WHERE id = ANY(CAST(:ids AS uuid[])) AND alias_of IS NULL AND purged_at IS NULL ORDER BY id FOR NO KEY UPDATE
"""
_NOW = "SELECT study_id, key_id, name FROM assignments WHERE study_id = ANY(CAST(:ids AS uuid[]))"
_ASSIGN = """
    INSERT INTO assignments (study_id, key_id, name, assigned_by)
    SELECT id, CAST(:key AS uuid), :name, :by FROM unnest(CAST(:ids AS uuid[])) AS n (id)
    ON CONFLICT (study_id) DO UPDATE SET key_id = excluded.key_id, name = excluded.name,
        assigned_by = excluded.assigned_by, at = clock_timestamp()
"""
_RELEASE = "DELETE FROM assignments WHERE study_id = ANY(CAST(:ids AS uuid[]))"


@dataclass(frozen=True)
class Reader:
    """A person to whom studies can be assigned; ``key_id`` is None for a session that no key opened."""

    key_id: UUID | None
    name: str


@dataclass(frozen=True)
class Assigned:
    """What became of one study of many.

    Attributes:
        before: the reader it was assigned to; None: unassigned.
        refused: why it stayed as it was; None: it was assigned.
    """

    study_id: UUID
    before: Reader | None
    refused: str | None


def readers(ledger: Ledger) -> list[Reader]:
    """Everybody with a key that reads films, by name."""
    with ledger.work() as work:
        found = [Reader(**row) for row in work.rows(_READERS)]
        record(work, "assignable readers listed")
    return found


def assign(ledger: Ledger, study_ids: Sequence[UUID], caller: ApiKey, to: UUID | None) -> list[Assigned]:
    """Give studies to the reader with this key. A reader who is no lead takes unassigned studies for themself.

    Args:
        to: the reader's key; None: the caller.

    Raises:
        Forbidden: only a lead assigns to others.
        NotFound: no reader has this key.
    """
    with ledger.work() as work:
        reader = _reader(work, caller, to)
        found = _each(work, study_ids, caller)
        done = [one.study_id for one in found if one.refused is None]
        values: dict[str, Any] = {"ids": done, "key": reader.key_id, "name": reader.name, "by": caller.name}
        work.run(_ASSIGN, values)
        record(work, "studies assigned", subject=reader.key_id, studies=done)
    return found


def release(ledger: Ledger, study_ids: Sequence[UUID], caller: ApiKey) -> list[Assigned]:
    """End assignments. A reader who is no lead gives back their own only."""
    with ledger.work() as work:
        found = _each(work, study_ids, caller)
        done = [one.study_id for one in found if one.refused is None]
        work.run(_RELEASE, {"ids": done})
        record(work, "studies released", studies=done)
    return found


def _reader(work: Work, caller: ApiKey, to: UUID | None) -> Reader:
    if to is None or to == caller.key_id:
        return Reader(caller.key_id, caller.name)
    if not caller.has(Role.LEAD):
        raise Forbidden("to assign a study to somebody else needs the role lead")
    row = work.row(_READER, {"key": to})
    if row is None:
        raise NotFound(f"there is no reader with the key {to}")
    return Reader(**row)


def _each(work: Work, study_ids: Sequence[UUID], caller: ApiKey) -> list[Assigned]:
    """What may become of each study: locked, so that it stays so."""
    there = {row["id"] for row in work.rows(_STUDIES, {"ids": list(study_ids)})}
    now = {row["study_id"]: Reader(row["key_id"], row["name"]) for row in work.rows(_NOW, {"ids": list(there)})}
    wanted = dict.fromkeys(study_ids)
    return [Assigned(one, now.get(one), _refused(now.get(one), caller, there=one in there)) for one in wanted]


def _refused(now: Reader | None, caller: ApiKey, *, there: bool) -> str | None:
    if not there:
        return "there is no such study"
    if now is None or now.name == caller.name or caller.has(Role.LEAD):
        return None
    return f"it is assigned to {now.name}"
