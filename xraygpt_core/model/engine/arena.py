"""Where rows of several lengths lie in one piece of memory: plain Python about numbers, tested without a model.

Each length has a grid of slots over the whole memory, and its rows fill one stretch of that grid, so a step reads them
in place as one array, without block tables and without copies. Where one length needs a slot that another's row lies
on, that row moves from one edge of its stretch to the other. So no share of the memory belongs to a length: what a row
takes is its own length, known before it enters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class SlotClass:
    """Memory for ``count`` rows of ``length`` tokens each, which shorter rows can share.

    Attributes:
        shorter: further lengths, ascending, that its memory is used in as well.
        most: rows at once, of whatever length, where there are several; ``count`` if it is not given.
        ahead: tokens at the end of each slot that no row is promised: steps beyond its end write there.
    """

    length: int
    count: int
    shorter: tuple[int, ...] = ()
    most: int | None = None
    ahead: int = 0

    @property
    def lengths(self) -> tuple[int, ...]:
        """All lengths, ascending."""
        return (*self.shorter, self.length)

    @property
    def tokens(self) -> int:
        """Tokens that its memory holds."""
        return self.pitches[-1] * self.count

    @property
    def pitches(self) -> tuple[int, ...]:
        """Tokens from one slot to the next, for each length."""
        return tuple(length + self.ahead for length in self.lengths)

    @property
    def rows(self) -> int:
        """Rows that can be there at once."""
        return self.count if self.most is None else self.most


@dataclass(frozen=True)
class Step:
    """The row of the ``size``-th length in slot ``source`` now belongs into ``target``."""

    size: int
    source: int
    target: int


class Arena(Generic[T]):
    """The slots of one class: for each of its lengths a list, with None where nothing of that length lies."""

    def __init__(self, one: SlotClass) -> None:
        self._pitches, self._most = one.pitches, one.rows
        self.slots: list[list[T | None]] = [[None] * (one.tokens // pitch) for pitch in one.pitches]

    @property
    def rows(self) -> list[T]:
        """What lies here, length by length, in the order of the slots."""
        return [row for slots in self.slots for row in slots if row is not None]

    def stretch(self, size: int) -> range:
        """The slots of a length from its first row to its last; where there is but one length, from the first slot."""
        used = [slot for slot, row in enumerate(self.slots[size]) if row is not None]
        if not used:
            return range(0)
        return range(used[0] if len(self.slots) > 1 else 0, used[-1] + 1)

    def free(self, size: int) -> int | None:
        """A slot for one more row of this length; None while there is none."""
        if len(self.slots) == 1:
            return next((slot for slot, row in enumerate(self.slots[0]) if row is None), None)
        if len(self.rows) >= self._most:
            return None
        return next((slot for slot in self._beside(size) if self._is_clear(size, slot)), None)

    def close_holes(self) -> Iterator[Step]:
        """Rows of a length lie side by side again. The caller moves what is in the slots."""
        for size, slots in enumerate(self.slots):
            while (stretch := self.stretch(size)) and None in slots[stretch.start : stretch.stop]:
                edge = stretch.start if self._hangs(size) else stretch.stop - 1
                yield self._move(size, edge, slots.index(None, stretch.start))

    def make_way(self, size: int) -> list[Step]:
        """Move rows of other lengths, if that makes room for one more of this length; else nothing."""
        if len(self.slots) == 1 or len(self.rows) >= self._most or self.free(size) is not None:
            return []
        for slot in self._beside(size):
            if steps := self._cleared(size, slot):
                return steps
        return []

    def _hangs(self, size: int) -> bool:
        """The longest rows begin at the end of the memory, so that they and the shortest grow towards each other."""
        return 0 < size == len(self.slots) - 1

    def _beside(self, size: int) -> Iterable[int]:
        """The slots that keep the rows of a length side by side, holes first; all of them while it has no row."""
        slots, stretch = self.slots[size], self.stretch(size)
        if not stretch:
            every = range(len(slots))
            return reversed(every) if self._hangs(size) else every
        edges = [stretch.stop, stretch.start - 1]
        if self._hangs(size):
            edges.reverse()
        holes = [slot for slot in stretch if slots[slot] is None]
        return [*holes, *(edge for edge in edges if 0 <= edge < len(slots))]

    def _place(self, size: int, first: int, last: int) -> range:
        """The tokens of the slots from ``first`` up to ``last``."""
        return range(first * self._pitches[size], last * self._pitches[size])

    def _in_the_way(self, size: int, place: range) -> int | None:
        """Another length that has this place, or a part of it."""
        for other in range(len(self.slots)):
            stretch = self.stretch(other)
            if other != size and stretch and _overlap(place, self._place(other, stretch.start, stretch.stop)):
                return other
        return None

    def _is_clear(self, size: int, slot: int) -> bool:
        return self._in_the_way(size, self._place(size, slot, slot + 1)) is None

    def _cleared(self, size: int, slot: int) -> list[Step]:
        """Move what lies on a slot to the other edge of its own stretch; nothing, if that does not clear it."""
        wanted, before, steps = self._place(size, slot, slot + 1), [list(one) for one in self.slots], []
        while (other := self._in_the_way(size, wanted)) is not None:
            if (step := self._step_aside(other, wanted)) is None:
                self.slots = before
                return []
            steps.append(step)
        return steps

    def _step_aside(self, size: int, wanted: range) -> Step | None:
        stretch = self.stretch(size)
        for edge in (stretch.start, stretch.stop - 1):
            if not _overlap(wanted, self._place(size, edge, edge + 1)):
                continue
            row, self.slots[size][edge] = self.slots[size][edge], None
            places = [slot for slot in self._beside(size) if not _overlap(wanted, self._place(size, slot, slot + 1))]
            target = next((slot for slot in places if self._is_clear(size, slot)), None)
            self.slots[size][edge] = row
            if target is not None:
                return self._move(size, edge, target)
        return None

    def _move(self, size: int, source: int, target: int) -> Step:
        slots = self.slots[size]
        slots[target], slots[source] = slots[source], None
        return Step(size, source, target)


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
