"""``python -m xraygpt.stack``: the supervisor in the background, of the data directory ``XRAYGPT_HOME``.

Its parent reads its stdout: one JSON object a line, ``{"say": …}`` while it starts, then ``{"ready": true}`` or
``{"error": …}``, and nothing after that. Its stderr is its log.
"""

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from xraygpt.stack.settings.home import Home
from xraygpt.stack.supervisor import Supervisor
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.paths import data_dir
from xraygpt_core.plain_text import plain_text


def report(message: dict[str, Any]) -> None:
    """One line for the parent, which may be gone."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(message), flush=True)


def log(line: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    print(f"{now} {plain_text(line, lines=False)}", file=sys.stderr, flush=True)


def main() -> int:
    """Exit code 0 after an orderly end, 1 if the stack did not start."""

    def say(line: str) -> None:
        log(line)
        if starting:
            report({"say": line})

    def ready(_stack: dict[str, Any]) -> None:
        starting.clear()
        report({"ready": True})
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        log("ready")

    starting = [True]
    try:
        Supervisor(Home(data_dir()), os.environ, say).run(ready)
    except XrayGPTError as error:
        log(str(error))
        report({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
