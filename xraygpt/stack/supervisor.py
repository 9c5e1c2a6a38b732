"""Starts the whole stack in order, keeps it running, stops it in reverse order."""

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from xraygpt.stack.asking import Asking
from xraygpt.stack.certificates import Authority
from xraygpt.stack.environments import environment_of
from xraygpt.stack.home import Home, finish_replacing, hold, make_hmac_key
from xraygpt.stack.keeper import Keeper
from xraygpt.stack.memory import recall, remember, secret
from xraygpt.stack.ports import choose, occupy
from xraygpt.stack.process import Child, end_leftovers, run_to_end
from xraygpt.stack.programs import EVENTS, NAMES, ONCE, PROGRAMS, PYTHON
from xraygpt.stack.services import Services
from xraygpt_core.logins import PROCESSES, READER, ROLES
from xraygpt_core.places import models_dir

POLL_SECONDS = 0.2
READY_SECONDS = 180.0


class _Stopping(Exception):  # an order, not an error
    """SIGINT or SIGTERM arrived."""


class Supervisor:
    """One stack in one data directory.

    Args:
        home: the data directory.
        environ: the environment; what it names as external is not started.
        say: takes one line of progress.
        once, programs: what is run once and what is kept running, by name.
    """

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str],
        say: Callable[[str], None],
        *,
        once: Mapping[str, list[str]] = ONCE,
        programs: Mapping[str, list[str]] = PROGRAMS,
    ) -> None:
        self.home = home
        self.say = say
        self._environ = dict(environ)
        self._once = once
        self._programs = {**programs, **(EVENTS if self._environ.get("XRAYGPT_SQS_QUEUE_URL") else {})}
        self._keeper = Keeper(say)
        self._secrets: dict[str, Any] = {}
        self._stack: dict[str, Any] = {}
        self._urls: dict[str, str] = {}  # of the database, by process
        self._s3_keys: dict[str, tuple[str | None, str | None]] = {}
        self._tls: Authority | None = None
        self._stopping = False
        self._held: dict[str, socket.socket] = {}

    def run(self, ready: Callable[[dict[str, Any]], None]) -> None:
        """Start everything, call ``ready`` with the content of stack.json, and stay until SIGINT or SIGTERM.

        Raises:
            StackError: something did not start; everything is stopped again.
        """
        with hold(self.home):
            # A flag, not an exception: one raised at any line could be lost, or leave a child nobody knows of.
            signal.signal(signal.SIGTERM, self._ask_to_stop)
            signal.signal(signal.SIGINT, self._ask_to_stop)
            try:
                self._start()
                ready(self._stack)
                while True:
                    self._check()
                    if self._keeper.tend():
                        self._write()
                    time.sleep(POLL_SECONDS)
            except _Stopping:
                self.say("stopping")
            finally:
                self._let_go(*self._held)
                self._keeper.stop()
                self.home.stack_file.unlink(missing_ok=True)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _check(self) -> None:
        if self._stopping:
            raise _Stopping

    def _start(self) -> None:
        self.home.stack_file.unlink(missing_ok=True)
        end_leftovers(Path(PYTHON), self.home.run, signal.SIGKILL)
        self._choose()
        if self._environ.get("XRAYGPT_STACK_TLS", "").lower() in ("1", "true", "yes", "on"):
            self._tls = Authority(self.home.certificates)
        services = Services(self.home.root, self._environ, self._webhook_url, self._secrets["webhook_token"], self._tls)
        for name, unit in services.units.items():  # kept from now on: a failed start stops what runs
            self._keeper.add(name, unit)
        services.start(self._step)
        services.create_buckets()
        ours = self._environment(services)
        self._run_once("migrations", ours)
        if self.home.old_hmac_key_file.exists():  # nobody pseudonymises now, so nobody knows the old one alone
            self._run_once("begin-rotation", ours)
        logins = services.logins(self._passwords, self._secrets.get("former_passwords", {}))
        ours["XRAYGPT_READER_URL"] = logins.reader_url()
        self._urls = logins.urls(self.say)
        self._s3_keys = {process: services.s3_keys_of(process) for process in PROCESSES}
        self._start_programs(ours)
        self._check_key(ours)
        self._stack = self._describe(services, ours)
        self._write()

    def _step(self, line: str) -> None:
        """Go on with the next part, unless it is time to stop."""
        self._check()
        self.say(line)

    def _choose(self) -> None:
        """Ports and secrets, as they were last time where that is possible."""
        if "XRAYGPT_HMAC_KEY" not in self._environ and "XRAYGPT_HMAC_KEY_FILE" not in self._environ:
            finish_replacing(self.home)
            if make_hmac_key(self.home.hmac_key_file):
                self.say(
                    f"new pseudonymisation key {self.home.hmac_key_file}: back it up now. "
                    "Without it no patient, study or accession number leads to its summary again."
                )
            self._environ["XRAYGPT_HMAC_KEY_FILE"] = str(self.home.hmac_key_file)
            if self.home.old_hmac_key_file.exists():
                self._environ["XRAYGPT_HMAC_OLD_KEY_FILE"] = str(self.home.old_hmac_key_file)
        known = recall(self.home.secrets_file)
        for name in ("webhook_token", "reader_password", "flower_password", "metrics_token"):
            known.setdefault(name, secret())
        known["role_passwords"] = {role: secret() for role in ROLES} | known.get("role_passwords", {})
        for program in ("gateway", "flower"):
            name = f"{program}_port"
            given = self._environ.get(f"XRAYGPT_{name.upper()}")
            known[name] = int(given) if given else choose(known.get(name))
            self._held[program] = occupy(known[name])  # it starts last; somebody else's server may look for a port now
        self._secrets = known
        remember(self.home.secrets_file, known)

    @property
    def _webhook_url(self) -> str:
        return f"{self._gateway_url}/v1/events/s3"

    @property
    def _gateway_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._secrets['gateway_port']}"

    def _trust(self) -> ssl.SSLContext | bool:
        return ssl.create_default_context(cafile=self._tls.file) if self._tls else False

    @property
    def _passwords(self) -> dict[str, str]:
        """Of the roles in the database."""
        return {READER: self._secrets["reader_password"], **self._secrets["role_passwords"]}

    def _environment(self, services: Services) -> dict[str, str]:
        """All that our processes read; each is given its part (:mod:`xraygpt.stack.environments`)."""
        access_key, secret_key = services.s3_keys
        ours = {
            "XRAYGPT_HOME": str(self.home.root),
            "XRAYGPT_MODELS": str(models_dir()),
            "XRAYGPT_DATABASE_URL": services.database_url,
            "XRAYGPT_REDIS_URL": services.redis_url,
            "XRAYGPT_S3_ENDPOINT_URL": services.s3_endpoint_url,
            "XRAYGPT_S3_ACCESS_KEY": access_key,
            "XRAYGPT_S3_SECRET_KEY": secret_key,
            "XRAYGPT_S3_CA_FILE": services.s3_ca_file,
            "XRAYGPT_BUCKET": services.bucket,
            "XRAYGPT_DERIVED_BUCKET": services.derived_bucket,
            "XRAYGPT_GATEWAY_PORT": str(self._secrets["gateway_port"]),
            "XRAYGPT_WEBHOOK_TOKEN": self._secrets["webhook_token"],
            "XRAYGPT_METRICS_TOKEN": self._secrets["metrics_token"],
            "XRAYGPT_FLOWER_PORT": str(self._secrets["flower_port"]),
            "XRAYGPT_FLOWER_PASSWORD": self._secrets["flower_password"],
            "XRAYGPT_FLOWER_GATEWAY_URL": self._gateway_url,
            "PYTHONUNBUFFERED": "1",
        }
        if self._tls:
            issued = self._tls.issue("gateway")
            ours["XRAYGPT_GATEWAY_CERTIFICATE_FILE"] = str(issued.file)
            ours["XRAYGPT_GATEWAY_KEY_FILE"] = str(issued.key_file)
            ours["XRAYGPT_GATEWAY_CA_FILE"] = str(self._tls.file)
        return {name: value for name, value in ours.items() if value is not None}

    def _given_to(self, process: str, ours: Mapping[str, str]) -> dict[str, str]:
        own: dict[str, str | None] = {}
        if process in self._urls:
            access_key, secret_key = self._s3_keys[process]
            own = {
                "XRAYGPT_DATABASE_URL": self._urls[process],
                "XRAYGPT_S3_ACCESS_KEY": access_key,
                "XRAYGPT_S3_SECRET_KEY": secret_key,
            }
        said = {name: value for name, value in own.items() if value is not None}
        return environment_of(process, self._environ, {**ours, **said})

    def _run_once(self, name: str, ours: Mapping[str, str]) -> str:
        """Run a command to its end and return its stdout.

        Raises:
            StackError: it ended with an error.
        """
        self._step(f"running {name}")
        try:
            return run_to_end(
                name,
                self._once[name],
                log=self.home.log(name),
                directory=self.home.run,
                environment=self._given_to(name, ours),
                stopping=lambda: self._stopping,
            )
        finally:
            self._check()

    def _start_programs(self, ours: Mapping[str, str]) -> None:
        """Start them all, then wait until the gateway says that it is ready."""
        children = {}
        for name, command in self._programs.items():
            self._step(f"starting {name}")
            environment = self._given_to(name, ours)
            child = Child(name, command, log=self.home.log(name), directory=self.home.run, environment=environment)
            self._let_go(name)
            child.start()
            answered = (
                Asking(f"{self._gateway_url}/healthz", trust=self._trust()).answered if name == "gateway" else None
            )
            self._keeper.add(name, child, answered)
            children[name] = child
        self._step("waiting for the gateway")
        # One client for all its looks: making one reads the certificates of the machine, 20 ms of a processor's time.
        with httpx.Client(base_url=self._gateway_url, timeout=5, trust_env=False, verify=self._trust()) as client:
            children["gateway"].wait_until(lambda: self._gateway_is_ready(client), READY_SECONDS)

    def _let_go(self, *programs: str) -> None:
        for program in programs:
            if held := self._held.pop(program, None):
                held.close()

    def _gateway_is_ready(self, client: httpx.Client) -> bool:
        """It answers, and it is ours: nobody else knows the webhook's token."""
        self._check()
        token = {"Authorization": f"Bearer {self._secrets['webhook_token']}"}
        try:
            ready, ours = client.get("/readyz"), client.get("/v1/events/s3", headers=token)
        except httpx.TransportError:
            return False
        return ready.status_code == ours.status_code == httpx.codes.OK

    def _check_key(self, ours: Mapping[str, str]) -> None:
        """Keep the API key of the last start if this database knows it, else create one."""
        if key := self._secrets.get("api_key"):
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(timeout=30, trust_env=False, verify=self._trust()) as client:
                answer = client.get(f"{self._gateway_url}/v1/status", headers=headers)
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return
        self._secrets["api_key"] = self._run_once("create-key", ours).split()[-1]
        remember(self.home.secrets_file, self._secrets)

    def _describe(self, services: Services, ours: Mapping[str, str]) -> dict[str, Any]:
        access_key, secret_key = services.s3_keys
        return {
            "gateway_url": self._gateway_url,
            "database_url": services.database_url,
            "redis_url": services.redis_url,
            "s3_endpoint_url": services.s3_endpoint_url,
            "bucket": services.bucket,
            "derived_bucket": services.derived_bucket,
            "flower_url": f"http://127.0.0.1:{self._secrets['flower_port']}",
            "api_key": self._secrets["api_key"],
            "s3_access_key": access_key,
            "s3_secret_key": secret_key,
            "reader_url": ours["XRAYGPT_READER_URL"],
            "flower_user": self._environ.get("XRAYGPT_FLOWER_USER", "xraygpt"),
            "flower_password": self._secrets["flower_password"],
            "webhook_token": self._secrets["webhook_token"],
            "metrics_token": self._secrets["metrics_token"],
            "hmac_key_file": self._environ.get("XRAYGPT_HMAC_KEY_FILE"),
            "external": [name for name in ("postgres", "broker", "s3") if name not in services.units],
            "models": ours["XRAYGPT_MODELS"],
            "ca_file": str(self._tls.file) if self._tls else None,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _write(self) -> None:
        """stack.json with the process ids of now; null for what runs elsewhere or waits for its restart."""
        pids = dict.fromkeys((*NAMES, *self._programs)) | self._keeper.pids() | {"supervisor": os.getpid()}
        remember(self.home.stack_file, self._stack | {"pids": pids})
