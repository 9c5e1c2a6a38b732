"""How long an orderly end may take. Each process waits longer than those below it need.

A worker finishes its jobs for XRAYGPT_DRAIN_SECONDS, then hands back those that still run, for HAND_BACK_SECONDS at
most. Its supervisor kills it after :func:`worker_patience`; compose and Kubernetes must wait as long
(docs/operations.md). ``xraygpt down`` waits for the supervisor for :func:`stack_patience`.
"""

from collections.abc import Mapping

from xraygpt_core.errors import ConfigurationError

DRAIN_SECONDS = 25.0  # the default of XRAYGPT_DRAIN_SECONDS
HAND_BACK_SECONDS = 5.0
MARGIN_SECONDS = HAND_BACK_SECONDS + 5.0  # the rest is for a busy machine
SERVERS_SECONDS = 65.0  # database, broker, S3 server and what stands in front of them end one after the other


def worker_patience(environment: Mapping[str, str]) -> float:
    """Seconds between asking a worker with these settings to end, and killing it.

    Raises:
        ConfigurationError: XRAYGPT_DRAIN_SECONDS is not a number of seconds.
    """
    given = environment.get("XRAYGPT_DRAIN_SECONDS", DRAIN_SECONDS)
    try:
        drain = float(given)
    except ValueError:
        drain = -1.0
    if not 0 <= drain < float("inf"):
        raise ConfigurationError("settings: XRAYGPT_DRAIN_SECONDS: is a number of seconds, 0 or more")
    return drain + MARGIN_SECONDS


def stack_patience(environment: Mapping[str, str]) -> float:
    """Seconds between asking the supervisor to end, and giving it up. Raises as :func:`worker_patience`."""
    return worker_patience(environment) + SERVERS_SECONDS
