"""``python -m migrations``: migrate the database of XRAYGPT_DATABASE_URL to the newest version."""

import os
import sys

from migrations.upgrade import roles_missing, upgrade
from xraygpt_core.errors import ConfigurationError, XrayGPTError


def main() -> int:
    """Exit status 0 if the database is at the newest version now."""
    url = os.environ.get("XRAYGPT_DATABASE_URL")
    try:
        if not url:
            raise ConfigurationError("XRAYGPT_DATABASE_URL is missing")
        before, after = upgrade(url)
        missing = roles_missing(url)
    except XrayGPTError as error:
        sys.stderr.write(f"migrations: {error}\n")
        return 1
    sys.stderr.write(f"migrations: {before or 'empty'} -> {after}\n")
    if missing:
        sys.stderr.write(
            f"migrations: this role may not make {', '.join(missing)}, so every process works as the owner of the "
            "database; let its administrator CREATE them, and migrate again\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
