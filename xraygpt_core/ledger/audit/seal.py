"""The sealer: takes what was committed to the audit since its last look and adds a link to the chain.

No act waits for another: a row that is committed late comes with a later seal, even if its id is smaller.
"""

from typing import Any

from xraygpt_core.ledger.audit.chain import MOST_ROWS, NOTHING, ChainHead, Seal, ranges_of, row_digest, seal_digest
from xraygpt_core.ledger.transaction import Ledger, Work

# Any constant that nothing else in this database uses: "SEAL" in ASCII.
_SEALING = 0x5345414C

# ISO 8601 in UTC, in every session.
MOMENT = "(to_jsonb({at} AT TIME ZONE 'UTC') #>> '{{}}') || 'Z'"

# A row's text, of which :mod:`xraygpt_core.ledger.audit.chain` takes the digest.
LINE = f"""
    jsonb_build_object(
        'id', a.id, 'at', {MOMENT.format(at="a.at")}, 'what', a.what, 'actor', a.actor, 'key_id', a.key_id,
        'session_id', a.session_id, 'address', a.address, 'study_id', a.study_id, 'subject', a.subject,
        'studies', a.studies, 'outcome', a.outcome, 'detail', a.detail)::text
"""

_TAKE = f"""
    DELETE FROM audit_open WHERE id = ANY (ARRAY(SELECT id FROM audit_open ORDER BY id LIMIT {MOST_ROWS})) RETURNING id
"""

_LINES = f"SELECT a.id, {LINE} AS line FROM audit a WHERE a.id = ANY (CAST(:ids AS bigint[])) ORDER BY a.id"

_LAST = "SELECT position, digest FROM audit_seals ORDER BY position DESC LIMIT 1"

_NOW = f"SELECT moment::text AS moment, {MOMENT.format(at='moment')} AS at FROM clock_timestamp() AS moment"

_ADD = """
    INSERT INTO audit_seals (position, at, ids, rows, row_digests, previous, digest)
    VALUES (:position, CAST(:moment AS timestamptz), CAST(:ids AS int8multirange), :rows, :row_digests, :previous,
            :digest)
"""


def seal(ledger: Ledger) -> Seal | None:
    """Seal what waits, at most a thousand rows.

    Returns:
        The new seal; None if nothing waits, or another process is sealing just now.

    Raises:
        Unavailable: PostgreSQL does not answer. If the commit was lost, the rows are sealed or wait as before.
    """
    with ledger.work() as work:
        mine = work.row("SELECT pg_try_advisory_xact_lock(:key) AS mine", {"key": _SEALING})
        if mine is None or not mine["mine"]:
            return None
        ids = sorted(row["id"] for row in work.rows(_TAKE))
        return _add(work, ids) if ids else None


def is_in_chain(ledger: Ledger, head: ChainHead) -> bool:
    """Is this still a seal of the chain?"""
    if not head.position:
        return True
    with ledger.work() as work:
        found = work.row("SELECT digest FROM audit_seals WHERE position = :at", {"at": head.position})
    return found is not None and found["digest"] == head.digest


def head_now(ledger: Ledger) -> ChainHead:
    """Where the chain ends."""
    with ledger.work() as work:
        return last_head(work)


def last_head(work: Work) -> ChainHead:
    """The same, inside a transaction."""
    row = work.row(_LAST)
    return ChainHead() if row is None else ChainHead(row["position"], row["digest"])


def _add(work: Work, ids: list[int]) -> Seal:
    """A row that was removed before it was sealed gets the digest of nothing, which shows that it is missing."""
    lines = {row["id"]: row["line"] for row in work.rows(_LINES, {"ids": ids})}
    digests = [row_digest(lines[one]) if one in lines else NOTHING for one in ids]
    before = last_head(work)
    position, written = before.position + 1, ranges_of(ids)
    now: Any = work.row(_NOW)
    digest = seal_digest(position, now["at"], written, before.digest, digests)
    work.run(
        _ADD,
        {
            "position": position,
            "moment": now["moment"],
            "ids": written,
            "rows": len(ids),
            "row_digests": bytes.fromhex("".join(digests)),
            "previous": before.digest,
            "digest": digest,
        },
    )
    return Seal(position, now["at"], written, len(ids), digests, before.digest, digest)
