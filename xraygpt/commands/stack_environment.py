"""The environment of a child process that works on the running stack with our own settings."""

import os
from typing import Any

# The settings of our processes that stack.json has under the same names.
_SETTINGS = (
    "database_url", "redis_url", "s3_endpoint_url", "s3_access_key", "s3_secret_key", "bucket", "derived_bucket",
    "hmac_key_file",
)  # fmt: skip


def stack_environment(stack: dict[str, Any]) -> dict[str, str]:
    """The shell's environment, with the settings of the stack over it."""
    return {**os.environ} | {f"XRAYGPT_{name.upper()}": str(stack[name]) for name in _SETTINGS if stack.get(name)}
