"""Which gateway a command talks to: the one the environment names, else that of the stack in the data directory."""

import os

from xraygpt.client import PATIENCE_SECONDS, Gateway
from xraygpt.stack.settings.home import Home, running_stack
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.paths import data_dir


class NoStack(XrayGPTError):
    """No gateway is named and no stack is up."""


def home() -> Home:
    """The data directory of this command."""
    return Home(data_dir())


def find_gateway(patience: float = PATIENCE_SECONDS) -> Gateway | None:
    """The gateway of ``XRAYGPT_GATEWAY_URL`` and ``XRAYGPT_API_KEY``, or of the running stack, or None.

    ``XRAYGPT_GATEWAY_CA_FILE`` names the authority of its certificate where the machine does not know it.

    Args:
        patience: seconds for which an unanswered request is repeated.
    """
    if url := os.environ.get("XRAYGPT_GATEWAY_URL"):
        key = os.environ.get("XRAYGPT_API_KEY")
        if not key:
            raise NoStack("XRAYGPT_GATEWAY_URL is set, so XRAYGPT_API_KEY must be set as well")
        return Gateway(url, key, patience=patience, ca_file=os.environ.get("XRAYGPT_GATEWAY_CA_FILE"))
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
