"""Opaque identifiers that sort by the time they were made."""

import os
import time
from datetime import datetime
from uuid import UUID


def new_id() -> UUID:
    """A version 7 UUID (RFC 9562, sections 5.7 and 6.2): 48 bits of milliseconds, 12 of their fraction, 62 random.

    Rows made together stand together in an index, in the order they were made, and nothing about a patient can be
    read from it.
    """
    return UUID(int=_made(time.time_ns(), os.urandom(8)))


def new_ids(count: int) -> list[str]:
    """So many of them as text, in the order they sort: a page of a listing needs thousands."""
    random = os.urandom(8 * count)
    now = time.time_ns()
    # 245 ns is the unit of the fraction: each id has one of its own.
    numbers = (_made(now + 245 * place, random[8 * place : 8 * place + 8]) for place in range(count))
    digits = (f"{number:032x}" for number in numbers)
    return [f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits]


def _made(nanoseconds: int, random: bytes) -> int:
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    noise = int.from_bytes(random, "big") & (1 << 62) - 1
    return (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | noise


def first_id(moment: datetime) -> UUID:
    """The least id that can have been made at this moment: what bounds the ids of a time in an index."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return UUID(int=(milliseconds & (1 << 48) - 1) << 80)
