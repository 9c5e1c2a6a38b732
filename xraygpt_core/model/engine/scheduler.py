"""Which request enters which slot, and when: plain Python about tickets and numbers, tested without a model.

A slot is one row of a key-value cache. Slots come in classes of one length, and a request waits for the shortest that
holds it. The most urgent rank enters first, and within a rank the oldest request. So that no request waits for ever,
every :data:`FAIR_EVERY`-th admission goes to the request that waits longest, whatever its rank. Hence the bound: a
request with ``n`` older ones waiting for the same class enters within ``FAIR_EVERY * (n + 1)`` admissions of that
class; and a class that has a free slot and a waiting request is passed over fewer than :data:`FAIR_EVERY` times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

from xraygpt_core.errors import InvalidRequest

FAIR_EVERY = 8
GROW_AFTER = 1000  # admissions without running out of memory; then twice as many may run again

T = TypeVar("T")


@dataclass(frozen=True)
class SlotClass:
    """``count`` slots of ``length`` tokens each."""

    length: int
    count: int


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
    """

    payload: T
    rank: int
    prompt_tokens: int
    tokens: int
    alone: bool = False
    order: int = -1
    kind: int = -1  # index of its slot class
    slot: int = -1
    state: State = State.WAITING


@dataclass(frozen=True)
class Move:
    """The row in slot ``source`` of class ``kind`` now belongs into the free slot ``target``."""

    kind: int
    source: int
    target: int


@dataclass
class _Queue(Generic[T]):
    """What waits for one class of slots, and the slots."""

    slots: list[Ticket[T] | None]
    length: int
    waiting: dict[int, dict[int, Ticket[T]]] = field(default_factory=dict)  # rank -> order -> ticket, oldest first
    turn: int = 0  # admissions so far
    passed: int = 0  # admissions of others since, while a request could have entered here

    def free(self) -> int | None:
        return next((slot for slot, ticket in enumerate(self.slots) if ticket is None), None)

    def candidate(self) -> Ticket[T] | None:
        """The next to enter: the first of the most urgent rank, or at a fair turn the oldest of all."""
        heads = [next(iter(queue.values())) for _, queue in sorted(self.waiting.items()) if queue]
        if not heads:
            return None
        return min(heads, key=lambda ticket: ticket.order) if (self.turn + 1) % FAIR_EVERY == 0 else heads[0]


class Scheduler(Generic[T]):
    """Tickets in, tickets on slots out. Not safe for several threads: its owner holds a lock.

    Args:
        classes: shortest first.
    """

    def __init__(self, classes: Sequence[SlotClass]) -> None:
        self.classes = tuple(classes)
        self._queues: list[_Queue[T]] = [_Queue([None] * one.count, one.length) for one in classes]
        self._orders = 0
        self.slots = self.limit = sum(one.count for one in classes)
        self._grow_in = GROW_AFTER

    @property
    def waiting(self) -> list[Ticket[T]]:
        """The tickets without a slot."""
        return [ticket for queue in self._queues for rank in queue.waiting.values() for ticket in rank.values()]

    @property
    def running(self) -> list[Ticket[T]]:
        """The tickets on slots, class by class, in the order of the slots."""
        return [ticket for queue in self._queues for ticket in queue.slots if ticket is not None]

    def on(self, kind: int) -> list[Ticket[T] | None]:
        """The slots of one class, up to the last one in use; None is a hole."""
        slots = self._queues[kind].slots
        top = max((index for index, ticket in enumerate(slots) if ticket is not None), default=-1)
        return slots[: top + 1]

    def at(self, kind: int, slot: int) -> Ticket[T]:
        """The ticket on this slot."""
        ticket = self._queues[kind].slots[slot]
        assert ticket is not None
        return ticket

    def add(self, ticket: Ticket[T]) -> None:
        """Let a ticket wait.

        Raises:
            InvalidRequest: no slot is long enough.
        """
        kinds = [kind for kind, one in enumerate(self.classes) if one.count and ticket.tokens <= one.length]
        if not kinds:
            raise InvalidRequest(f"the request needs {ticket.tokens} tokens, which does not fit into any slot")
        ticket.kind, ticket.order, ticket.state = kinds[0], self._orders, State.WAITING
        self._orders += 1
        self._queues[ticket.kind].waiting.setdefault(ticket.rank, {})[ticket.order] = ticket

    def admit(self, prompt_tokens: int) -> list[Ticket[T]]:
        """Give free slots to waiting tickets, for at most so many tokens of prompts (but to one at least)."""
        entered: list[Ticket[T]] = []
        taken = 0
        while (ticket := self._next()) is not None:
            running = self.running
            if len(running) >= self.limit or any(one.alone for one in running) or (ticket.alone and running):
                break
            taken += ticket.prompt_tokens
            if entered and taken > prompt_tokens:
                break
            self._enter(ticket)
            entered.append(ticket)
        return entered

    def leave(self, ticket: Ticket[T]) -> None:
        """Answered, failed or cancelled: out of the queue, or out of the slot, which is free from now on."""
        if ticket.state is State.WAITING:
            del self._queues[ticket.kind].waiting[ticket.rank][ticket.order]
        elif ticket.state is State.RUNNING:
            self._queues[ticket.kind].slots[ticket.slot] = None
        ticket.state, ticket.slot = State.GONE, -1

    def put_back(self, ticket: Ticket[T]) -> None:
        """From its slot back into the queue, where it stood before: it is to run once more."""
        queue = self._queues[ticket.kind]
        queue.slots[ticket.slot] = None
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
        for kind, queue in enumerate(self._queues):
            while (hole := queue.free()) is not None and hole < (top := len(self.on(kind)) - 1):
                ticket = queue.slots[top]
                assert ticket is not None
                queue.slots[hole], queue.slots[top], ticket.slot = ticket, None, hole
                yield Move(kind, top, hole)

    def _next(self) -> Ticket[T] | None:
        """The most urgent candidate with a free slot. One that must be alone goes first: the device has to empty."""
        return min(self._ready(), key=self._urgency, default=None)

    def _ready(self) -> list[Ticket[T]]:
        return [one for queue in self._queues if queue.free() is not None and (one := queue.candidate()) is not None]

    def _urgency(self, ticket: Ticket[T]) -> tuple[bool, bool, int, int]:
        passed_over = self._queues[ticket.kind].passed >= FAIR_EVERY - 1
        return (not ticket.alone, not passed_over, ticket.rank, ticket.order)

    def _enter(self, ticket: Ticket[T]) -> None:
        for other in self._ready():
            self._queues[other.kind].passed += 1
        queue = self._queues[ticket.kind]
        queue.passed = 0
        slot = queue.free()
        assert slot is not None
        del queue.waiting[ticket.rank][ticket.order]
        queue.slots[slot], ticket.slot, ticket.state = ticket, slot, State.RUNNING
        queue.turn += 1
        self._grow_in -= 1
        if self._grow_in == 0:
            self.limit, self._grow_in = min(self.slots, 2 * self.limit), GROW_AFTER


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
