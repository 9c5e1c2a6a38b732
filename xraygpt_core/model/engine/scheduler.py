"""Which request enters which slot, and when: plain Python about tickets and numbers, tested without a model.

A slot is room for one row of keys and values. Slots come in classes; a class has memory of its own, for rows of one
length or of several (:mod:`arena`), and a request waits for the shortest that holds it. The most urgent rank enters
first, and within a rank the oldest request. So that no request waits for ever, every :data:`FAIR_EVERY`-th admission
goes to the request that waits longest, whatever its rank. Hence the bound: a request with ``n`` older ones waiting for
the same class enters within ``FAIR_EVERY * (n + 1)`` admissions of that class; and a class that has a free slot and a
waiting request is passed over fewer than :data:`FAIR_EVERY` times. Where the next of a class is longer than the memory
that is free, the class waits for it: shorter ones behind it would take what becomes free, for ever.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.model.engine.arena import Arena, SlotClass

FAIR_EVERY = 8
GROW_AFTER = 1000  # admissions without running out of memory; then twice as many may run again

T = TypeVar("T")


class State(Enum):
    """The state of a ticket."""

    WAITING = auto()
    RUNNING = auto()
    GONE = auto()  # answered, failed or cancelled


@dataclass(eq=False)
class Ticket(Generic[T]):
    """One request in the queue or in a slot.

    Attributes:
        rank: 0 is the most urgent.
        prompt_tokens: what its prefill computes.
        tokens: prompt and longest possible answer together.
        alone: it shares the device with no other request: those it ran with before broke down.
        images: what the encoder sees for it.
    """

    payload: T
    rank: int
    prompt_tokens: int
    tokens: int
    alone: bool = False
    images: int = 1
    order: int = -1
    kind: int = -1  # index of its slot's length among all there are
    slot: int = -1
    state: State = State.WAITING


@dataclass(frozen=True)
class Move:
    """The row in slot ``source`` of length ``kind`` now belongs into the free slot ``target``."""

    kind: int
    source: int
    target: int


@dataclass
class _Queue(Generic[T]):
    """What waits for one class of slots, and the slots; ``kind`` is that of its shortest ones."""

    arena: Arena[Ticket[T]]
    kind: int
    waiting: dict[int, dict[int, Ticket[T]]] = field(default_factory=dict)  # rank -> order -> ticket, oldest first
    turn: int = 0  # admissions so far
    passed: int = 0  # admissions of others since, while a request could have entered here

    def candidate(self) -> Ticket[T] | None:
        """The next to enter: the first of the most urgent rank, or at a fair turn the oldest of all."""
        heads = [next(iter(queue.values())) for _, queue in sorted(self.waiting.items()) if queue]
        if not heads:
            return None
        return min(heads, key=lambda ticket: ticket.order) if (self.turn + 1) % FAIR_EVERY == 0 else heads[0]

    def ready(self) -> Ticket[T] | None:
        """The candidate, if there is a slot for it."""
        one = self.candidate()
        return None if one is None or self.arena.free(one.kind - self.kind) is None else one

    def compact(self) -> Iterator[Move]:
        """Close holes; where there are none, make way for a candidate that other rows keep out."""
        steps = list(self.arena.close_holes())
        if not steps and (one := self.candidate()) is not None:
            steps = self.arena.make_way(one.kind - self.kind)
        for step in steps:
            row = self.arena.slots[step.size][step.target]
            assert row is not None
            row.slot = step.target
            yield Move(self.kind + step.size, step.source, step.target)


class Scheduler(Generic[T]):
    """Tickets in, tickets on slots out. Not safe for several threads: its owner holds a lock.

    Args:
        classes: shortest first. Lengths are counted through all classes: a ticket's ``kind`` is such an index.
    """

    def __init__(self, classes: Sequence[SlotClass]) -> None:
        self._queues: list[_Queue[T]] = []
        self._at: list[_Queue[T]] = []  # the queue of each kind
        self.lengths: list[int] = []
        for one in classes:
            self._queues.append(_Queue(Arena(one), len(self.lengths)))
            self._at += [self._queues[-1]] * len(one.lengths)
            self.lengths += one.lengths if one.count else [0] * len(one.lengths)
        self._orders = 0
        self.slots = self.limit = sum(one.rows for one in classes)
        self._grow_in = GROW_AFTER

    @property
    def waiting(self) -> list[Ticket[T]]:
        """The tickets without a slot."""
        return [ticket for queue in self._queues for rank in queue.waiting.values() for ticket in rank.values()]

    @property
    def running(self) -> list[Ticket[T]]:
        """The tickets on slots, class by class, in the order of the slots."""
        return [ticket for queue in self._queues for ticket in queue.arena.rows]

    def _slots(self, kind: int) -> list[Ticket[T] | None]:
        return self._at[kind].arena.slots[kind - self._at[kind].kind]

    def on(self, kind: int) -> list[Ticket[T] | None]:
        """The slots of one length, from the first to the last one in use; None is a hole."""
        queue = self._at[kind]
        stretch = queue.arena.stretch(kind - queue.kind)
        return self._slots(kind)[stretch.start : stretch.stop]

    def at(self, kind: int, slot: int) -> Ticket[T]:
        """The ticket on this slot."""
        ticket = self._slots(kind)[slot]
        assert ticket is not None
        return ticket

    def add(self, ticket: Ticket[T]) -> None:
        """Let a ticket wait.

        Raises:
            InvalidRequest: no slot is long enough.
        """
        kinds = [kind for kind, length in enumerate(self.lengths) if ticket.tokens <= length]
        if not kinds:
            raise InvalidRequest(f"the request needs {ticket.tokens} tokens, which does not fit into any slot")
        ticket.kind = min(kinds, key=lambda kind: self.lengths[kind])
        ticket.order, ticket.state = self._orders, State.WAITING
        self._orders += 1
        self._at[ticket.kind].waiting.setdefault(ticket.rank, {})[ticket.order] = ticket

    def admit(self, prompt_tokens: int, images: int | None = None, reading: int = 0) -> list[Ticket[T]]:
        """Give free slots to waiting tickets.

        Args:
            prompt_tokens: at most so many tokens of prompts are read in one step; a longer prompt is read in several.
            images: at most so many images are encoded in one step.
            reading: tokens that prompts read in part will have in this step. If none do, one ticket at least enters.
        """
        entered: list[Ticket[T]] = []
        seen, busy = 0, reading > 0
        while (ticket := self._next()) is not None:
            running = self.running
            if len(running) >= self.limit or any(one.alone for one in running) or (ticket.alone and running):
                break
            reading += piece(ticket.prompt_tokens, prompt_tokens)
            seen += ticket.images
            if busy and (reading > prompt_tokens or (images is not None and seen > images)):
                break
            self._enter(ticket)
            entered.append(ticket)
            busy = True
        return entered

    def leave(self, ticket: Ticket[T]) -> None:
        """Answered, failed or cancelled: out of the queue, or out of the slot, which is free from now on."""
        if ticket.state is State.WAITING:
            del self._at[ticket.kind].waiting[ticket.rank][ticket.order]
        elif ticket.state is State.RUNNING:
            self._slots(ticket.kind)[ticket.slot] = None
        ticket.state, ticket.slot = State.GONE, -1

    def put_back(self, ticket: Ticket[T]) -> None:
        """From its slot back into the queue, where it stood before: it is to run once more."""
        queue = self._at[ticket.kind]
        self._slots(ticket.kind)[ticket.slot] = None
        ticket.state, ticket.slot = State.WAITING, -1
        waiting = queue.waiting.setdefault(ticket.rank, {})
        waiting[ticket.order] = ticket
        queue.waiting[ticket.rank] = dict(sorted(waiting.items()))

    def halve(self) -> int:
        """Out of memory: half as many at once, for the next :data:`GROW_AFTER` admissions. Returns the new limit, 1 at
        least.
        """
        self.limit, self._grow_in = max(1, min(self.limit, len(self.running)) // 2), GROW_AFTER
        return self.limit

    def compact(self) -> Iterator[Move]:
        """Close the holes between rows in use, so that a step computes a dense range. The caller moves the rows."""
        for queue in self._queues:
            yield from queue.compact()

    def _next(self) -> Ticket[T] | None:
        """The most urgent candidate with a free slot. One that must be alone goes first: the device has to empty."""
        return min(self._ready(), key=self._urgency, default=None)

    def _ready(self) -> list[Ticket[T]]:
        return [one for queue in self._queues if (one := queue.ready()) is not None]

    def _urgency(self, ticket: Ticket[T]) -> tuple[bool, bool, int, int]:
        passed_over = self._at[ticket.kind].passed >= FAIR_EVERY - 1
        return (not ticket.alone, not passed_over, ticket.rank, ticket.order)

    def _enter(self, ticket: Ticket[T]) -> None:
        for other in self._ready():
            self._at[other.kind].passed += 1
        queue = self._at[ticket.kind]
        queue.passed = 0
        slot = queue.arena.free(ticket.kind - queue.kind)
        assert slot is not None
        del queue.waiting[ticket.rank][ticket.order]
        self._slots(ticket.kind)[slot] = ticket
        ticket.slot, ticket.state = slot, State.RUNNING
        queue.turn += 1
        self._grow_in -= 1
        if self._grow_in == 0:
            self.limit, self._grow_in = min(self.slots, 2 * self.limit), GROW_AFTER


def piece(tokens: int, limit: int) -> int:
    """Tokens that are read at once of so long a prompt: as few pieces as the limit allows, all but the last alike."""
    return -(-tokens // max(1, -(-tokens // limit)))


def similar(lengths: Sequence[int], waste: float = 0.25) -> list[list[int]]:
    """Indices of prompts grouped so that padding a group to its longest wastes at most this share of it."""
    groups: list[list[int]] = []
    total = 0
    for index in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        longest = lengths[groups[-1][0]] if groups else 0
        if groups and (total + lengths[index]) >= (1 - waste) * longest * (len(groups[-1]) + 1):
            groups[-1].append(index)
            total += lengths[index]
        else:
            groups.append([index])
            total = lengths[index]
    return groups
