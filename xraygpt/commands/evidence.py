"""``models promote --because``: the comparison that speaks for a bundle, and whether it is of this very bundle."""

from typing import Any

from xraygpt.client import Gateway
from xraygpt.named_ids import comparison_id
from xraygpt_core.errors import BundleError
from xraygpt_core.model.server.bundle import load_any_bundle
from xraygpt_core.paths import models_dir


def evidence_for(client: Gateway, name: str, comparison: str) -> dict[str, Any]:
    """The figures of a comparison, by its id or handle.

    Raises:
        BundleError: it is of other bundles than the one that has this name here, or there is none here.
        NotNamed, GatewayError: there is no such comparison.
    """
    bundle = load_any_bundle(models_dir(), name)
    found: dict[str, Any] = client.get(f"/v1/comparisons/{comparison_id(client, comparison)}")
    compared = {side["name"]: side["sha256"] for side in (found["comparison"]["first"], found["comparison"]["second"])}
    if compared.get(name) != bundle.sha256:
        raise BundleError(
            f"the comparison is of {' and '.join(f'{one} ({digest[:12]})' for one, digest in compared.items())}, "
            f"and {name} on this machine is {bundle.sha256[:12]}: compare it first"
        )
    return found
