"""Who may do what in the two buckets: an identity for each process, as SeaweedFS reads it from a file (``-s3.config``).

Rights are IAM policies: SeaweedFS's own actions do not tell writing from deleting.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xraygpt.stack.settings.remembered import recall, remember, secret

OWNER = "owner"
_VERBS = {
    "read": ["s3:GetObject", "s3:GetObjectVersion"],
    "write": ["s3:PutObject", "s3:UploadPart", "s3:CompleteMultipartUpload", "s3:AbortMultipartUpload"],
    "delete": ["s3:DeleteObject"],
    "list": ["s3:ListBucket"],
}
_FILMS = ("derived", "normalised/", "read")
# bucket, key prefix, verbs. Keys of the source bucket may name patients, so a process lists it only where it must. The
# texts that a run is trained on lie below training/texts/, and only the worker that trains reads them.
GRANTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "gateway": (
        *(("source", "", "read"), ("source", "uploads/", "write"), _FILMS, ("derived", "preview/", "read")),
        *(("derived", "reports/", "read"), ("derived", "training/problems/", "read"), ("derived", "", "delete")),
        ("derived", "deep/", "read"),
        ("derived", "clinical/", "read"),
    ),
    "ingest": (
        *(("source", "", "read"), _FILMS, ("derived", "training/addresses/", "read"), ("derived", "", "delete list")),
        *(("derived", "normalised/", "write"), ("derived", "preview/", "write"), ("derived", "probe", "write")),
        *(("derived", "deep/", "write"), ("derived", "training/images/", "write"), ("derived", "clinical/", "write")),
    ),
    "gpu": (
        *(_FILMS, ("derived", "runs/", "read"), ("derived", "training/images/", "read"), ("derived", "", "list")),
        *(("derived", "training/features/", "write"), ("derived", "clinical/", "read")),
    ),
    "training": (("source", "", "read list"), ("derived", "", "read write delete list")),
    "control": (("source", "", "read list"), ("derived", "", "list delete")),
    "events": (("source", "", "read"),),
}
IDENTITIES = (OWNER, *GRANTS)
Keys = tuple[str, str]  # access key, secret key


class S3Identities:
    """The identities of one S3 server, their keys remembered in ``directory`` (files 0600).

    New keys are made where none are remembered: ``xraygpt rotate bucket`` forgets them.

    Args:
        source, derived: the buckets; None: there is only the owner.
        owner: the owner's keys where nothing is remembered.
    """

    def __init__(self, directory: Path, source: str | None, derived: str | None, owner: Keys) -> None:
        self.file = directory / "identities.json"
        self._memory = directory / "keys.json"
        self._buckets = (source, derived) if source and derived else None
        self._owner = owner

    def keys(self, name: str) -> Keys:
        """The keys of this identity."""
        return self._all()[name]

    def write(self) -> None:
        """The file for the server, and the memory of what is in it."""
        keys = self._all()
        self._remember(keys)
        remember(self.file, document(keys, self._buckets))

    def _remember(self, keys: Mapping[str, Keys]) -> None:
        remember(self._memory, {"keys": {name: [one] for name, one in keys.items()}})

    def _all(self) -> dict[str, Keys]:
        kept: dict[str, list[Keys]] = recall(self._memory).get("keys", {})
        keys_of = {OWNER: self._owner} | {name: (one[0], one[1]) for name, (one, *_) in kept.items()}
        wanted = IDENTITIES if self._buckets else (OWNER,)
        if missing := [name for name in wanted if name not in keys_of]:
            keys_of |= {name: _make_keys() for name in missing}
            self._remember(keys_of)
        return keys_of


def _make_keys() -> Keys:
    """96 bits to name it by, 192 that are secret."""
    return secrets.token_hex(10), secret()


def document(keys: Mapping[str, Keys], buckets: tuple[str, str] | None) -> dict[str, Any]:
    """What SeaweedFS reads. ``keys`` may be references to its environment (``${NAME}``)."""
    granted = [name for name in GRANTS if name in keys and buckets]
    return {
        "identities": [
            {"name": OWNER, "credentials": _credentials(keys[OWNER]), "actions": ["Admin"]},
            *({"name": name, "credentials": _credentials(keys[name]), "policyNames": [name]} for name in granted),
        ],
        "policies": [{"name": name, "content": json.dumps(policy(name, *(buckets or ())))} for name in granted],
    }


def policy(name: str, source: str, derived: str) -> dict[str, Any]:
    """One identity's rights (IAM JSON policy, version 2012-10-17)."""
    places = {"source": f"arn:aws:s3:::{source}", "derived": f"arn:aws:s3:::{derived}"}
    # Each process looks at its start whether both buckets are there. HEAD of a bucket is ListBucket as well, and only
    # SeaweedFS knows the condition.
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": list(places.values()),
            "Condition": {"StringEquals": {"s3:RequestMethod": "HEAD"}},
        }
    ]
    for bucket, prefix, verbs in GRANTS[name]:
        for verb in verbs.split():
            resource = places[bucket] if verb == "list" else f"{places[bucket]}/{prefix}*"
            statements.append({"Effect": "Allow", "Action": _VERBS[verb], "Resource": [resource]})
    return {"Version": "2012-10-17", "Statement": statements}


def _credentials(keys: Keys) -> list[dict[str, str]]:
    access_key, secret_key = keys
    return [{"accessKey": access_key, "secretKey": secret_key}]
