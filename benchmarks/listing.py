"""A backlog of many objects: registering them, comparing them with the bucket, pausing, resuming, cancelling.

``python -m benchmarks.listing`` lists a bucket of computed keys as the control worker does, alone in its process.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from benchmarks.figures import Row, peak_mib, say
from benchmarks.stack import BenchmarkStack, serve_bucket
from workers.sweep import PAGE, list_backlogs
from xraygpt.stack.processes.child import die_with_parent
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import backlog, create_backlog
from xraygpt_core.ledger.studies.image_status import images_status
from xraygpt_core.ledger.studies.known_objects import find_images
from xraygpt_core.ledger.studies.objects import ObjectRef
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import load_settings
from xraygpt_core.states import Lane
from xraygpt_core.storage import ObjectStore


def measure(running: BenchmarkStack, keys: int) -> list[Row]:
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
    found: dict[str, float] = json.loads(done.stdout)
    if found["listed"] != keys or found["compared"] != keys:
        raise RuntimeError(f"of {keys} objects {found['listed']} were listed and {found['compared']} compared")
    name = f"listing.{keys}"
    return [
        Row(f"{name}.objects_per_second", keys / found["list"], "1/s"),
        Row(f"{name}.peak_memory", found["megabytes"], "MB"),
        Row(f"{name}.compared_per_second", keys / found["compare"], "1/s"),
        *(Row(f"{name}.{step}", found[step], "s") for step in ("progress", "pause", "resume", "cancel", "take_back")),
    ]


class Stopwatch:
    """Seconds of each thing that was done, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


def compared(ledger: Ledger, store: ObjectStore) -> int:
    """What the gateway does for the proof at the end of a backlog; how many objects were found again."""
    count = 0
    objects = iter(store.list(store.bucket))
    while page := list(islice(objects, PAGE)):
        ids = find_images(ledger, [ObjectRef(store.bucket, one.key, one.etag) for one in page])
        count += len(images_status(ledger, [image_id for image_id in ids if image_id is not None]))
    return count


def main() -> int:
    """List, compare, pause, resume, cancel, take that back; print what was found, and the seconds of each."""
    settings, watch = load_settings(), Stopwatch()
    ledger, store = open_ledger(settings, pool_size=2), ObjectStore(settings)
    backlog_id = create_backlog(ledger, settings.bucket, "", Lane.BACKLOG, None)
    with watch("list"):
        listed = list_backlogs(ledger, store)
    megabytes = peak_mib()
    with watch("compare"):
        found = compared(ledger, store)
    with watch("progress"):
        backlog(ledger, backlog_id)
    for name, wanted in (("pause", "pause"), ("resume", "resume"), ("cancel", "cancel"), ("take_back", "resume")):
        with watch(name):
            change_backlog(ledger, backlog_id, wanted)
    print(json.dumps(watch.seconds | {"listed": listed, "compared": found, "megabytes": megabytes}))
    ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
