"""Registering everything below a prefix: objects a second, and the memory it takes, from a bucket of computed keys.

``python -m benchmarks.listing`` lists the open backlogs as the control worker does, alone in its process.
"""

import os
import subprocess
import sys
import time

from benchmarks.figures import Row, peak_megabytes, say
from benchmarks.stack import Services, serve_bucket
from workers.sweep import list_backlogs
from xraygpt.stack.process import die_with_parent
from xraygpt_core.ledger.backlog import create_backlog
from xraygpt_core.ledger.core import open_ledger
from xraygpt_core.settings import load_settings
from xraygpt_core.states import Lane
from xraygpt_core.storage import ObjectStore


def measure(running: Services, keys: int) -> list[Row]:
    """List a bucket of so many keys in a process of its own."""
    say(f"registering {keys} keys")
    bucket = serve_bucket(keys)
    environment = os.environ | running.environment | {"XRAYGPT_S3_ENDPOINT_URL": bucket.url}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.listing"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            preexec_fn=die_with_parent(),
        )
    finally:
        bucket.stop()
    listed, seconds, megabytes = done.stdout.split()
    if int(listed) != keys:
        raise RuntimeError(f"{listed} of {keys} objects were listed")
    name = f"listing.{keys}"
    return [
        Row(f"{name}.objects_per_second", keys / float(seconds), "1/s"),
        Row(f"{name}.peak_memory", float(megabytes), "MB"),
    ]


def main() -> int:
    """List; print how many objects, seconds and megabytes."""
    settings = load_settings()
    ledger, store = open_ledger(settings, pool_size=2), ObjectStore(settings)
    create_backlog(ledger, settings.bucket, "", Lane.BACKLOG, None)
    began = time.monotonic()
    listed = list_backlogs(ledger, store)
    print(listed, time.monotonic() - began, peak_megabytes(os.getpid()))
    ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
