"""Makes what must be there before our services start: both buckets, and the password of the analysts' role.

``python prepare.py FILE``: the file holds the password. Repeating it changes nothing.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from xraygpt.stack.process import StackError
from xraygpt.stack.services import Services

EXTERNAL = ("XRAYGPT_DATABASE_URL", "XRAYGPT_REDIS_URL", "XRAYGPT_S3_ENDPOINT_URL")


def prepare(environ: Mapping[str, str], password: str) -> None:
    """Create the buckets where they are missing and let ``xraygpt_reader`` log in.

    Raises:
        StackError: a service is not named, does not answer, or refuses.
    """
    if missing := [name for name in EXTERNAL if name not in environ]:
        raise StackError(f"prepare: {', '.join(missing)} must be set")
    services = Services(Path(), environ, webhook_url="", webhook_token="")
    services.create_buckets()
    services.reader_url(password)


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 1 with one sentence on stderr."""
    try:
        prepare(os.environ, Path(arguments[0]).read_text().strip())
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
