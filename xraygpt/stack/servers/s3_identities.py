"""Who may do what in the two buckets: an identity for each process, as SeaweedFS reads it from a file (``-s3.config``).

Rights are IAM policies: SeaweedFS's own actions do not tell writing from deleting.
"""

import contextlib
import json
import os
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.remembered import recall, remember, secret
from xraygpt_core.s3_client import new_client

OWNER = "owner"
RELOAD_SECONDS = 10.0
_UNKNOWN_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
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

    Each call reads the file again: the command that rotates a key is another process than the supervisor.

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
        """The keys this identity is to use now."""
        return self._all()[name][0]

    def add(self, name: str) -> Keys:
        """Give an identity new keys beside those it uses; what it used before these ends."""
        new = make_keys()
        self._keep(name, [new, self.keys(name)])
        return new

    def end_old(self, name: str) -> list[Keys]:
        """Only its newest keys stay; those that ended."""
        newest, *old = self._all()[name]
        self._keep(name, [newest])
        return old

    def write(self) -> None:
        """The file for the server, and the memory of what is in it."""
        keys = self._all()
        remember(self._memory, {"keys": keys})
        remember(self.file, document(keys, self._buckets))

    def _keep(self, name: str, keys: list[Keys]) -> None:
        remember(self._memory, {"keys": self._all() | {name: keys}})
        self.write()

    def _all(self) -> dict[str, list[Keys]]:
        keys_of = {name: [tuple(one) for one in keys] for name, keys in recall(self._memory).get("keys", {}).items()}
        keys_of.setdefault(OWNER, [self._owner])
        wanted = IDENTITIES if self._buckets else (OWNER,)
        if missing := [name for name in wanted if name not in keys_of]:
            keys_of |= {name: [make_keys()] for name in missing}
            remember(self._memory, {"keys": keys_of})
        return keys_of


def make_keys() -> Keys:
    """96 bits to name it by, 192 that are secret."""
    return secrets.token_hex(10), secret()


def document(keys: Mapping[str, list[Keys]], buckets: tuple[str, str] | None) -> dict[str, Any]:
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


def reload(pids: list[int], wanted: Mapping[Keys, bool], url: str, ca_file: Path | None) -> None:
    """Let running servers read their file again, and wait until each pair of keys works or not, as wanted.

    Raises:
        StackError: RELOAD_SECONDS were not enough.
    """
    for pid in pids:
        os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + RELOAD_SECONDS
    for keys, works in wanted.items() if pids else ():
        while _are_known(keys, url, ca_file) is not works:
            if time.monotonic() > deadline:
                raise StackError(f"s3: it {'does not take new' if works else 'still takes old'} keys; restart it")
            time.sleep(0.05)


def _are_known(keys: Keys, url: str, ca_file: Path | None) -> bool:
    with contextlib.closing(new_client(url, *keys, ca_file=ca_file)) as client:
        try:
            client.list_buckets()
        except ClientError as error:
            return error.response["Error"]["Code"] not in _UNKNOWN_KEYS
        except BotoCoreError as error:
            raise StackError(f"s3: it does not answer ({type(error).__name__})") from None
    return True


def _credentials(keys: list[Keys]) -> list[dict[str, str]]:
    return [{"accessKey": access_key, "secretKey": secret_key} for access_key, secret_key in keys]
