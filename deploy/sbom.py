"""What our images and servers are made of, as CycloneDX 1.6: ``python deploy/sbom.py cpu|gpu > sbom.json``.

From deploy/requirements-*.txt and docker-compose.yml, so that it says what would be installed: every
wheel with its hashes, and the images it stands on and beside with their digests. Debian's packages within an image are
known to those who have pulled it: ask a scanner of images for those.
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_WHEEL = re.compile(r"^(\S+)==(\S+)((?:.*\\\n)+.*)$", re.MULTILINE)
_IMAGE = re.compile(
    r"^\s*(?:FROM|image:) (?P<name>[\w./-]+):(?P<tag>[\w.-]+)@sha256:(?P<digest>[0-9a-f]{64})", re.MULTILINE
)


def wheels(target: str) -> list[dict[str, Any]]:
    """The distributions of one of our images; the hash of the wheel for each kind of machine."""
    text = (ROOT / f"deploy/requirements-{target}.txt").read_text()
    return [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "hashes": [{"alg": "SHA-256", "content": one} for one in re.findall(r"sha256:([0-9a-f]{64})", rest)],
        }
        for name, version, rest in _WHEEL.findall(text)
    ]


def images() -> list[dict[str, Any]]:
    """The base of our images and the servers beside them."""
    text = (ROOT / "deploy/Dockerfile").read_text() + (ROOT / "docker-compose.yml").read_text()
    found = {match["name"]: match for match in _IMAGE.finditer(text)}
    return [
        {
            "type": "container",
            "name": name,
            "version": match["tag"],
            "purl": f"pkg:oci/{name.rpartition('/')[2]}@sha256%3A{match['digest']}?tag={match['tag']}",
            "hashes": [{"alg": "SHA-256", "content": match["digest"]}],
        }
        for name, match in found.items()
    ]


def bill(target: str) -> dict[str, Any]:
    """The whole document."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    ours = {"type": "application", "name": f"xraygpt-{target}", "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours | {"licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": wheels(target) + images(),
    }


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 2 where no image is named."""
    if len(arguments) != 1 or arguments[0] not in ("cpu", "gpu"):
        sys.stderr.write("usage: python deploy/sbom.py cpu|gpu\n")
        return 2
    sys.stdout.write(json.dumps(bill(arguments[0]), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
