"""What a command talks to: what the environment names, else the stack in the data directory.

The one place where commands read settings. They do without :mod:`xraygpt_core.settings`, which takes 0.2 s to import.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xraygpt.client import PATIENCE_SECONDS, Gateway
from xraygpt.stack.settings.home import Home, running_stack
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.paths import data_dir

if TYPE_CHECKING:
    from xraygpt_core.clinical_sealing import ClinicalOpener

# What stack.json has of what our processes read from their environment.
_PROCESS_SETTINGS = (
    "database_url", "redis_url", "s3_endpoint_url", "s3_access_key", "s3_secret_key", "s3_ca_file", "bucket",
    "derived_bucket", "hmac_key_file", "sealed_numbers", "sealing_key_file", "sealing_old_key_file",
)  # fmt: skip


class NoStack(XrayGPTError):
    """No gateway is named and no stack is up."""


def setting(name: str, stack: Mapping[str, Any] | None = None) -> str | None:
    """``XRAYGPT_<NAME>`` of the environment, else what the stack says; None where neither says anything."""
    return os.environ.get(f"XRAYGPT_{name.upper()}") or (stack or {}).get(name)


def is_set(name: str) -> bool:
    """True if the environment has ``XRAYGPT_<NAME>``, even if it is empty: our processes read it then, too."""
    return f"XRAYGPT_{name.upper()}" in os.environ


def process_environment(stack: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a process that a command starts: the command's own, and what the stack knows."""
    settings = {f"XRAYGPT_{name.upper()}": str(stack[name]) for name in _PROCESS_SETTINGS if stack.get(name)}
    return {**os.environ, **settings}


def home() -> Home:
    """The data directory of this command."""
    return Home(data_dir())


def find_gateway(patience: float = PATIENCE_SECONDS) -> Gateway | None:
    """The gateway of ``XRAYGPT_GATEWAY_URL`` and ``XRAYGPT_API_KEY``, or of the running stack, or None.

    ``XRAYGPT_GATEWAY_CA_FILE`` names the authority of its certificate where the machine does not know it.

    Args:
        patience: seconds for which an unanswered request is repeated.
    """
    if url := setting("gateway_url"):
        key = setting("api_key")
        if not key:
            raise NoStack("XRAYGPT_GATEWAY_URL is set, so XRAYGPT_API_KEY must be set as well")
        return Gateway(url, key, patience=patience, ca_file=setting("gateway_ca_file"))
    if (stack := running_stack(home())) is not None:
        return Gateway(stack["gateway_url"], stack["api_key"], patience=patience, ca_file=stack.get("ca_file"))
    return None


def gateway() -> Gateway:
    """Like :func:`find_gateway`.

    Raises:
        NoStack: there is none, with what to do about it.
    """
    found = find_gateway()
    if found is None:
        raise NoStack(
            f"no stack is up in {data_dir()}; start one with `xraygpt up --detach`, or set XRAYGPT_HOME, "
            "or XRAYGPT_GATEWAY_URL and XRAYGPT_API_KEY"
        )
    return found


def clinical_opener() -> "ClinicalOpener | None":
    """What opens the hospital's words on this machine; None where it has no key of them.

    Raises:
        ConfigurationError: the key is readable by others, no key, no secret, or another key too.
    """
    from xraygpt_core.clinical_sealing import load_clinical_opener
    from xraygpt_core.key_settings import KeySettings
    from xraygpt_core.settings import read_settings

    given: dict[str, Any] = {"clinical_text": True}
    if not (setting("clinical_key") or setting("clinical_key_file")):
        given["clinical_key_file"] = home().clinical_key_file
        if not home().clinical_key_file.is_file():
            return None
    former = setting("clinical_old_key") or setting("clinical_old_key_file")
    if former is None and home().old_clinical_key_file.is_file():
        given["clinical_old_key_file"] = home().old_clinical_key_file
    return load_clinical_opener(read_settings(KeySettings, **given))
