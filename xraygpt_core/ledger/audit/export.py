"""Checking an export of the audit as a file: no database and no running system is needed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from xraygpt_core.ledger.audit.chain import Chain, ChainHead, ChainProblem, Seal, Verdict, ids_of, seal_of

_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)


@dataclass
class _Open:
    """A seal whose rows are being read."""

    seal: Seal
    rows: dict[int, str] = field(default_factory=dict)
    foreign: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._expected = set(ids_of(self.seal) or ())

    def take(self, number: int, line: str) -> None:
        """A line whose id is this one."""
        if number in self._expected and number not in self.rows:
            self.rows[number] = line
        else:
            self.foreign.append(number)


def checked_lines(
    lines: Iterable[str], *, base: ChainHead | None = None, seen: ChainHead | None = None
) -> Iterator[ChainProblem | Verdict]:
    """Check an export line by line; the verdict comes at the end.

    Args:
        lines: with their ends.
        base: what the first seal must follow. None believes it, unless it is the very first.
        seen: a head that was seen elsewhere, and must be on the way.
    """
    chain, sound = Chain(base, seen), True
    now: _Open | None = None
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\n")
        try:
            entry = json.loads(text)
            if "seal" not in entry:
                _row(now, int(entry["id"]), text)
                continue
            following = _Open(seal_of(entry))
        except _UNREADABLE:
            sound = False
            yield ChainProblem("line unreadable", f"line {number} is neither a seal nor a row of the seal before it")
            continue
        for problem in _close(chain, now):
            sound = False
            yield problem
        now = following
    rest = [*_close(chain, now), *chain.end()]
    yield from rest
    yield Verdict(sound and not rest, chain.head or ChainHead(), chain.seals, chain.rows)


def _row(now: _Open | None, number: int, line: str) -> None:
    """Raises ValueError: no seal came before it."""
    if now is None:
        raise ValueError
    now.take(number, line)


def _close(chain: Chain, now: _Open | None) -> Iterator[ChainProblem]:
    if now is None:
        return
    yield from chain.follow(now.seal, now.rows)
    if now.foreign:
        at = now.seal.position
        yield ChainProblem("row foreign", f"rows stand behind seal {at} that it did not take", at, now.foreign)
