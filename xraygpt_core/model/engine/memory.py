"""How many slots fit: counted from measured memory before anything is promised."""

from xraygpt_core.errors import BundleError
from xraygpt_core.model.engine.scheduler import SlotClass

CHAT_TOKENS = 2048  # a conversation is cut to this; the LLaMA of the paper knows no longer one
_LONG_SHARE = 5  # at most a fifth of the memory is kept for long conversations
_LONG_EVERY = 8  # one long slot for so many short ones
_ROUND = 32


def plan_slots(budget: int, token_bytes: int, summary: int, longest: int, wanted: int) -> tuple[SlotClass, ...]:
    """Slots for summaries, and a few long ones for conversations, within ``budget`` bytes.

    Args:
        token_bytes: keys and values of one token, all layers.
        summary: tokens of a summary's prompt and longest answer.
        longest: tokens the LLM's context holds.
        wanted: slots for summaries, if they fit.

    Raises:
        BundleError: not even one summary and one conversation fit.
    """
    short = min(longest, -(-summary // _ROUND) * _ROUND)
    long = min(longest, max(short, CHAT_TOKENS))
    chats = min(max(1, wanted // _LONG_EVERY), budget // _LONG_SHARE // (long * token_bytes))
    chats = max(chats, 1)
    summaries = min(wanted, (budget - chats * long * token_bytes) // (short * token_bytes))
    if summaries < 1:
        needed = (short + long) * token_bytes
        raise BundleError(
            f"{budget >> 20} MiB are free for keys and values; one slot of each kind takes {needed >> 20}"
        )
    return SlotClass(short, summaries), SlotClass(long, chats)
