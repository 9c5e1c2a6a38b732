"""``python -m xraygpt_core.analyst_sql.child``: one statement in a process of its own, which a bad one may bring down.

It knows the reader's address and no other secret. stdin has one JSON object (:func:`.query.asked`);
stdout gets each row as a line of JSON, then a line with the columns and their types, or with the error.
"""

import json
import resource
import signal
import sys
from typing import Any

from xraygpt_core.analyst_sql.rows import MAX_ROWS, Reading
from xraygpt_core.errors import InvalidRequest, Unavailable

# Bytes above what the process has when it begins. libpq takes in a row as a whole, and makes room for it by doubling:
# 32 MiB of answer fit, a row of 200 MB ends as an error.
MEMORY_BYTES = 288 << 20
CPU_SECONDS = 10
LATE_SECONDS = 3  # after its time is over, if the gateway has not ended it


def main() -> None:
    """Answer, and end."""
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    _limit(asked["seconds"])
    reading = Reading(asked["dsn"], asked["options"], asked["seconds"], MAX_ROWS)
    last: dict[str, Any]
    try:
        for row in reading.rows(asked["statement"]):
            sys.stdout.buffer.write(row + b"\n")
        last = {"columns": reading.columns, "types": reading.types, "truncated": reading.truncated}
    except (InvalidRequest, Unavailable) as error:
        last = {"error": type(error).__name__, "detail": str(error)}
    sys.stdout.buffer.write(json.dumps(last).encode() + b"\n")
    sys.stdout.buffer.flush()


def _limit(seconds: float) -> None:
    """Limit what the statement may cost (setrlimit(2)). The alarm ends a process that its gateway left behind."""
    with open("/proc/self/statm") as file:
        begun = int(file.read().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, begun + MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (most, most))
    signal.alarm(int(seconds) + LATE_SECONDS)


if __name__ == "__main__":
    main()
