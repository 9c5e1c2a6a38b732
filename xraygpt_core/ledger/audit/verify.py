"""Reading the audit: pages of sealed rows for an export, and the check of the whole chain. A page is a transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.audit.chain import NOTHING, Chain, ChainHead, ChainProblem, Seal, Verdict, ids_of
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.audit.seal import LINE, MOMENT, last_head
from xraygpt_core.ledger.transaction import Ledger, Work

_SEALS = 200  # looked at in one transaction
_ROWS = 5000  # and their rows, unless one seal has more
_GAPS = 10_000
_NAMED = 1000  # of rows that are in no seal, as many are named
LATE_SECONDS = 60.0

_PAGE = f"""
    SELECT position, {MOMENT.format(at="at")} AS at, ids::text AS ids, rows, row_digests, previous, digest
    FROM audit_seals
    WHERE position > :after AND (CAST(:until AS timestamptz) IS NULL OR at < :until)
    ORDER BY position LIMIT {_SEALS}
"""

_ROWS_OF = f"SELECT a.id, {LINE} AS line FROM audit a WHERE a.id = ANY (CAST(:ids AS bigint[]))"

_FIRST_SINCE = "SELECT position FROM audit_seals WHERE at >= :since ORDER BY at, position LIMIT 1"

_UPPER = "SELECT upper(ids) AS upper, digest FROM audit_seals WHERE position = :at"

_IN_GAPS = f"""
    SELECT a.id FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS gap (low, high)
    CROSS JOIN LATERAL (
        SELECT id FROM audit WHERE id >= gap.low AND id < gap.high ORDER BY id LIMIT {_NAMED}
    ) AS a ORDER BY a.id LIMIT {_NAMED}
"""

# In one statement, so at one moment: a row is in a seal or waits for one.
_UNSEALED = """
    SELECT a.id, o.id IS NOT NULL AS waits,
           a.at < clock_timestamp() - make_interval(secs => :late) AS late
    FROM audit a LEFT JOIN audit_open o ON o.id = a.id
    WHERE a.id = ANY (CAST(:ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.position > :walked AND s.ids @> a.id)
    ORDER BY a.id
"""


@dataclass(frozen=True)
class Sealed:
    """A seal and the lines of its rows, by id, those that are there."""

    seal: Seal
    rows: dict[int, str]


@dataclass(frozen=True)
class VerifyProgress:
    """How many seals were checked, and how many there are."""

    position: int
    last: int


def sealed(ledger: Ledger, after: int = 0, until: datetime | None = None) -> Iterator[list[Sealed]]:
    """The audit from behind this seal on, page by page; each page is read when it is asked for.

    Args:
        until: seals made before this.
    """
    while True:
        with ledger.work() as work:
            page = _page(work, after, until)
        if not page:
            return
        yield page
        after = page[-1].seal.position


def exported(
    ledger: Ledger, *, after: int | None = None, since: datetime | None = None, until: datetime | None = None
) -> Iterator[list[Sealed]]:
    """The same for an export, which is an act of its own in the audit.

    Args:
        after: behind this seal. since, until: seals made from then on, and before.
    """
    with ledger.work() as work:
        record(work, "audit exported", detail={"after": after} if after else None)
        first = None if since is None else work.row(_FIRST_SINCE, {"since": since})
        last = last_head(work).position
    begin = 0 if since is None else first["position"] - 1 if first else last
    return sealed(ledger, max(begin, after or 0), until)


def verified(
    ledger: Ledger, *, base: ChainHead | None = None, seen: ChainHead | None = None
) -> Iterator[VerifyProgress | ChainProblem | Verdict]:
    """Check the chain; what is wrong comes as it is found, the verdict at the end.

    Args:
        base: believed, and so is what lies before it; None begins at the beginning.
        seen: a head that was written down elsewhere: the chain must lead through it.
    """
    with ledger.work() as work:
        record(work, "audit verified", detail={"after": base.position} if base else None)
        last, (floor, problem) = last_head(work).position, _floor(work, base)
    return _checked(ledger, Chain(base or ChainHead(), seen), last, floor, problem)


def _checked(
    ledger: Ledger, chain: Chain, last: int, floor: int, problem: ChainProblem | None
) -> Iterator[VerifyProgress | ChainProblem | Verdict]:
    found = 0
    yield from [problem] if problem else []
    for page in sealed(ledger, chain.head.position if chain.head else 0):
        for one in page:
            problems = chain.follow(one.seal, one.rows)
            found += len(problems)
            yield from problems
        yield VerifyProgress(page[-1].seal.position, max(last, page[-1].seal.position))
    rest = [*chain.end(), *_unsealed(ledger, chain, floor)]
    yield from rest
    yield Verdict(not (found or rest or problem), chain.head or ChainHead(), chain.seals, chain.rows)


def _page(work: Work, after: int, until: datetime | None) -> list[Sealed]:
    found = [_seal(row) for row in work.rows(_PAGE, {"after": after, "until": until})]
    taken: list[tuple[Seal, list[int]]] = []
    count = 0
    for one in found:
        ids = ids_of(one) or []
        count += len(ids)
        if taken and count > _ROWS:
            break
        taken.append((one, ids))
    wanted = [number for _, ids in taken for number in ids]
    lines = {row["id"]: row["line"] for row in work.rows(_ROWS_OF, {"ids": wanted})} if wanted else {}
    return [Sealed(one, {number: lines[number] for number in ids if number in lines}) for one, ids in taken]


def _seal(row: RowMapping) -> Seal:
    values: dict[str, Any] = dict(row)
    digests = bytes(values.pop("row_digests")).hex()
    return Seal(**values, row_digests=[digests[place : place + 64] for place in range(0, len(digests), len(NOTHING))])


def _floor(work: Work, base: ChainHead | None) -> tuple[int, ChainProblem | None]:
    """From which id on every row must be in a seal that is looked at; and whether the base is there at all."""
    if base is None or not base.position:
        return -(1 << 63), None
    row = work.row(_UPPER, {"at": base.position})
    if row is None or row["digest"] != base.digest:
        return 0, ChainProblem("head rewritten", f"seal {base.position} is not there as it was seen", base.position)
    return row["upper"] or 0, None


def _unsealed(ledger: Ledger, chain: Chain, floor: int) -> Iterator[ChainProblem]:
    """Rows that no seal took, though none waits that long."""
    gaps = chain.covered.gaps(floor)
    never: list[int] = []
    late: list[int] = []
    while (some := list(islice(gaps, _GAPS))) and len(never) < _NAMED:
        with ledger.work() as work:
            for row in _between(work, some, chain.head.position if chain.head else 0):
                if not row["waits"]:
                    never.append(row["id"])
                elif row["late"]:
                    late.append(row["id"])
    if never:
        more = " (and maybe more)" if len(never) >= _NAMED else ""
        yield ChainProblem("row never sealed", f"rows are in no seal, and wait for none{more}", None, never)
    if late:
        yield ChainProblem(
            "row waits", "rows have waited for their seal for over a minute: does control run?", None, late
        )


def _between(work: Work, gaps: Sequence[tuple[int, int]], walked: int) -> Sequence[RowMapping]:
    bounds = {"lows": [low for low, _ in gaps], "highs": [high for _, high in gaps]}
    ids = [row["id"] for row in work.rows(_IN_GAPS, bounds)]
    return work.rows(_UNSEALED, {"ids": ids, "walked": walked, "late": LATE_SECONDS}) if ids else []
