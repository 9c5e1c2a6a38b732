"""Makes what must be there before our services start: both buckets, and the passwords of the roles in the database.

``python prepare.py FILE…``: a file ``<who>_password`` holds the password of the role ``xraygpt_<who>``: the analysts'
(``reader``), and that of each process. Repeating it changes nothing.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers.services import BackingServices

EXTERNAL = ("XRAYGPT_DATABASE_URL", "XRAYGPT_REDIS_URL", "XRAYGPT_S3_ENDPOINT_URL")


def prepare(environ: Mapping[str, str], passwords: Mapping[str, str]) -> list[str]:
    """Create the buckets where they are missing and let these roles log in; the roles that are not there.

    Raises:
        StackError: a service is not named, does not answer, or refuses.
    """
    if missing := [name for name in EXTERNAL if name not in environ]:
        raise StackError(f"prepare: {', '.join(missing)} must be set")
    services = BackingServices(Path(), environ, webhook_url="", webhook_token="")
    services.create_buckets()
    return services.logins(passwords, {}).give_passwords()


def read(file: Path) -> tuple[str, str]:
    """The role a file is named after, and the password in it."""
    return f"xraygpt_{file.name.removesuffix('_password')}", file.read_text().strip()


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 1 with one sentence on stderr."""
    try:
        absent = prepare(os.environ, dict(read(Path(file)) for file in arguments))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for role in absent:
        sys.stderr.write(f"prepare: the database has no role {role}; its process must be given the owner's address\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
