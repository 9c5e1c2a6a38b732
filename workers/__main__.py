"""``python -m workers ingest|gpu|training|control|events``: one worker process, configured by XRAYGPT_* alone."""

import argparse
import logging
import sys
from contextlib import ExitStack

from workers.worker_kinds import ROLES
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.logs import configure_logging
from xraygpt_core.settings import load_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one worker until SIGTERM. Exit status 0: drained; 1: could not start; others: xraygpt_core/exit_codes.py."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("role", choices=sorted(ROLES))
    role = parser.parse_args(arguments).role
    configure_logging("INFO", role)
    try:
        settings = load_settings()
        configure_logging(settings.log_level, role)
        with ExitStack() as closing:
            return ROLES[role](settings, closing)
    except XrayGPTError as error:
        logging.getLogger("workers").critical(str(error), extra={"error": type(error).__name__})
        return 1


if __name__ == "__main__":
    sys.exit(main())
