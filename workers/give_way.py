"""Work of a backlog that uses what a process has left over: routine work goes first, and never stops it for good."""

from workers.context import Context
from xraygpt_core.states import JobKind, Lane

_LOOK_SECONDS = 0.05


def give_way(context: Context, kind: JobKind, seconds: float) -> None:
    """Wait, but no longer than this, while the process is at work on what is more urgent than a backlog."""
    waited = 0.0
    while waited < seconds and any(
        one.claim.kind != kind and one.claim.lane is not Lane.BACKLOG for one in context.heartbeat.running()
    ):
        if context.draining.wait(_LOOK_SECONDS):
            return
        waited += _LOOK_SECONDS
