"""How many slots fit: counted from measured memory before anything is promised."""

from collections.abc import Sequence

from xraygpt_core.errors import BundleError
from xraygpt_core.model.engine.arena import SlotClass

CHAT_TOKENS = 2048  # a conversation is cut to this; the LLaMA of the paper knows no longer one
_TALK = 512  # of a conversation, behind the prompt and the answer of a summary that is longer than that
_LONG_SHARE = 5  # at most a fifth of the memory is kept for long conversations
_LONG_EVERY = 8  # one long slot for so many short ones
_ROUND = 32
_APART = 0.9  # of the next longer length: a lateral's prompt and a prior's differ by a few words


def plan_slots(
    budget: int, token_bytes: int, summary: int, longest: int, wanted: int, fewer: Sequence[int] = ()
) -> tuple[SlotClass, ...]:
    """Slots for summaries, and a few long ones for conversations, within ``budget`` bytes.

    Args:
        token_bytes: keys and values of one token, all layers.
        summary: tokens of a summary's prompt and longest answer, with all the images a bundle uses.
        longest: tokens the LLM's context holds.
        wanted: slots for summaries, if they fit.
        fewer: tokens of a summary with fewer images. Their slots share the memory of the others.

    Raises:
        BundleError: not even one summary and one conversation fit.
    """
    short = min(longest, _rounded(summary))
    long = min(longest, max(short + _TALK, CHAT_TOKENS))
    chats = min(max(1, wanted // _LONG_EVERY), budget // _LONG_SHARE // (long * token_bytes))
    chats = max(chats, 1)
    summaries = min(wanted, (budget - chats * long * token_bytes) // (short * token_bytes))
    if summaries < 1:
        needed = (short + long) * token_bytes
        raise BundleError(
            f"{budget >> 20} MiB are free for keys and values; one slot of each kind takes {needed >> 20}"
        )
    shorter = _apart(sorted(map(_rounded, fewer)), short)
    return SlotClass(short, summaries, shorter, wanted if shorter else None), SlotClass(long, chats)


def _apart(lengths: Sequence[int], longest: int) -> tuple[int, ...]:
    """Those that a row gains something by: nearly equal ones share the slots of the longer."""
    kept: list[int] = []
    for length in reversed(lengths):
        if length <= _APART * (kept[0] if kept else longest):
            kept.insert(0, length)
    return tuple(kept)


def _rounded(tokens: int) -> int:
    return -(-tokens // _ROUND) * _ROUND
