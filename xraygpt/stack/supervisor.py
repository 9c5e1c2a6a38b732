"""Starts the whole stack in order, keeps it running, stops it in reverse order."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from xraygpt.stack.home import Home, hold, make_hmac_key
from xraygpt.stack.memory import recall, remember, secret
from xraygpt.stack.ports import choose
from xraygpt.stack.process import Child, StackError, end_leftovers, open_log
from xraygpt.stack.services import Services, Unit
from xraygpt_core.settings import models_dir

POLL_SECONDS = 0.2
READY_SECONDS = 60.0
DRAIN_SECONDS = 20.0
CALM_SECONDS = 60.0  # a child that ran this long starts with no back-off
LONGEST_PAUSE = 30.0
WANTS_RESTART = 75  # EX_TEMPFAIL: the GPU worker has another bundle to load

PYTHON = sys.executable
ONCE = {
    "migrations": [PYTHON, "-m", "migrations"],
    "create-key": [PYTHON, "-m", "api_gateway", "create-key", "--name", "local"],
}
PROGRAMS = {
    "gateway": [PYTHON, "-m", "api_gateway"],
    "ingest": [PYTHON, "-m", "workers", "ingest"],
    "gpu": [PYTHON, "-m", "workers", "gpu"],
    "training": [PYTHON, "-m", "workers", "training"],
    "control": [PYTHON, "-m", "workers", "control"],
    "flower": [PYTHON, "-m", "xraygpt.stack.flower"],
}
NAMES = ("postgres", "broker", "s3", *PROGRAMS, "supervisor")


@dataclass
class Kept:
    """A unit that is restarted when it ends, after a pause that doubles while it keeps ending."""

    name: str
    unit: Unit
    started: float
    pause: float = 0.0
    due: float | None = None


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
        self._programs = programs
        self._kept: list[Kept] = []
        self._secrets: dict[str, Any] = {}
        self._stack: dict[str, Any] = {}

    def run(self, ready: Callable[[dict[str, Any]], None]) -> None:
        """Start everything, call ``ready`` with the content of stack.json, and stay until SIGINT or SIGTERM.

        Raises:
            StackError: something did not start; everything is stopped again.
        """
        with hold(self.home):
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                self._start()
                ready(self._stack)
                while True:
                    self._tend()
                    time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                self.say("stopping")
            finally:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                self._stop()

    def _start(self) -> None:
        self.home.stack_file.unlink(missing_ok=True)
        end_leftovers(Path(PYTHON), self.home.run, signal.SIGKILL)
        self._choose()
        services = Services(self.home.root, self._environ, self._webhook_url, self._secrets["webhook_token"])
        for name, unit in services.units.items():  # kept from now on: a failed start stops what runs
            self._kept.append(Kept(name, unit, time.monotonic()))
        services.start(self.say)
        services.create_buckets()
        environment = self._environment(services)
        self._run_once("migrations", environment)
        environment["XRAYGPT_READER_URL"] = services.reader_url(self._secrets["reader_password"])
        for name, command in self._programs.items():
            self.say(f"starting {name}")
            self._start_program(name, command, environment)
        self._wait_for_gateway()
        self._check_key(environment)
        self._stack = self._describe(services, environment)
        self._write()

    def _choose(self) -> None:
        """Ports and secrets, as they were last time where that is possible."""
        if "XRAYGPT_HMAC_KEY" not in self._environ and "XRAYGPT_HMAC_KEY_FILE" not in self._environ:
            if make_hmac_key(self.home.hmac_key_file):
                self.say(
                    f"new pseudonymisation key {self.home.hmac_key_file}: back it up now. "
                    "Without it no patient, study or accession number leads to its summary again."
                )
            self._environ["XRAYGPT_HMAC_KEY_FILE"] = str(self.home.hmac_key_file)
        known = recall(self.home.secrets_file)
        for name in ("webhook_token", "reader_password", "flower_password"):
            known.setdefault(name, secret())
        for name in ("gateway_port", "flower_port"):
            given = self._environ.get(f"XRAYGPT_{name.upper()}")
            known[name] = int(given) if given else choose(known.get(name))
        self._secrets = known
        remember(self.home.secrets_file, known)

    @property
    def _webhook_url(self) -> str:
        return f"{self._gateway_url}/v1/events/s3"

    @property
    def _gateway_url(self) -> str:
        return f"http://127.0.0.1:{self._secrets['gateway_port']}"

    def _environment(self, services: Services) -> dict[str, str]:
        """What every process of ours reads."""
        access_key, secret_key = services.s3_keys
        ours = {
            "XRAYGPT_HOME": str(self.home.root),
            "XRAYGPT_MODELS": str(models_dir()),
            "XRAYGPT_DATABASE_URL": services.database_url,
            "XRAYGPT_REDIS_URL": services.redis_url,
            "XRAYGPT_S3_ENDPOINT_URL": services.s3_endpoint_url,
            "XRAYGPT_S3_ACCESS_KEY": access_key,
            "XRAYGPT_S3_SECRET_KEY": secret_key,
            "XRAYGPT_BUCKET": services.bucket,
            "XRAYGPT_DERIVED_BUCKET": services.derived_bucket,
            "XRAYGPT_GATEWAY_PORT": str(self._secrets["gateway_port"]),
            "XRAYGPT_WEBHOOK_TOKEN": self._secrets["webhook_token"],
            "XRAYGPT_FLOWER_PORT": str(self._secrets["flower_port"]),
            "XRAYGPT_FLOWER_PASSWORD": self._secrets["flower_password"],
            "PYTHONUNBUFFERED": "1",
        }
        return self._environ | {name: value for name, value in ours.items() if value is not None}

    def _run_once(self, name: str, environment: Mapping[str, str]) -> str:
        """Run a command to its end and return its stdout.

        Raises:
            StackError: it ended with an error.
        """
        self.say(f"running {name}")
        with open_log(self.home.log(name)) as log:
            done = subprocess.run(
                self._once[name],
                env=dict(environment),
                cwd=self.home.run,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise StackError(f"{name} ended with exit code {done.returncode}; see {self.home.log(name)}")
        return done.stdout.decode()

    def _start_program(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        child = Child(name, command, log=self.home.log(name), directory=self.home.run, environment=environment)
        child.start()
        self._kept.append(Kept(name, child, time.monotonic()))

    def _wait_for_gateway(self) -> None:
        gateway = next(kept.unit for kept in self._kept if kept.name == "gateway")
        assert isinstance(gateway, Child)
        self.say("waiting for the gateway")
        gateway.wait_until(self._gateway_is_ready, READY_SECONDS)

    def _gateway_is_ready(self) -> bool:
        try:
            answer = httpx.get(f"{self._gateway_url}/readyz", timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def _check_key(self, environment: Mapping[str, str]) -> None:
        """Keep the API key of the last start if this database knows it, else create one."""
        if key := self._secrets.get("api_key"):
            headers = {"Authorization": f"Bearer {key}"}
            answer = httpx.get(f"{self._gateway_url}/v1/status", headers=headers, timeout=30, trust_env=False)
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return
        self._secrets["api_key"] = self._run_once("create-key", environment).split()[-1]
        remember(self.home.secrets_file, self._secrets)

    def _describe(self, services: Services, environment: Mapping[str, str]) -> dict[str, Any]:
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
            "reader_url": environment["XRAYGPT_READER_URL"],
            "flower_user": environment.get("XRAYGPT_FLOWER_USER", "xraygpt"),
            "flower_password": self._secrets["flower_password"],
            "webhook_token": self._secrets["webhook_token"],
            "hmac_key_file": environment.get("XRAYGPT_HMAC_KEY_FILE"),
            "external": [name for name in ("postgres", "broker", "s3") if name not in services.units],
            "models": environment["XRAYGPT_MODELS"],
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _write(self) -> None:
        """stack.json with the process ids of now; null for what runs elsewhere or waits for its restart."""
        pids: dict[str, int | None] = dict.fromkeys(NAMES)
        pids |= {kept.name: kept.unit.pid for kept in self._kept if kept.unit.running}
        pids["supervisor"] = os.getpid()
        remember(self.home.stack_file, self._stack | {"pids": pids})

    def _tend(self) -> None:
        """Restart what has ended and whose pause is over."""
        now = time.monotonic()
        for kept in self._kept:
            if kept.unit.running:
                continue
            if kept.due is None:
                self._plan(kept, now)
                self._write()
            elif now >= kept.due:
                self._restart(kept)
                self._write()

    def _plan(self, kept: Kept, now: float) -> None:
        code = kept.unit.exit_code if isinstance(kept.unit, Child) else None
        if code == WANTS_RESTART or now - kept.started > CALM_SECONDS:
            kept.pause = 0.0
        else:
            kept.pause = min(LONGEST_PAUSE, max(0.5, kept.pause * 2))
        kept.due = now + kept.pause * (0.5 + secrets.randbelow(1000) / 1000)
        self.say(f"{kept.name} ended{'' if code is None else f' with exit code {code}'}; it starts again")

    def _restart(self, kept: Kept) -> None:
        kept.due = None
        kept.started = time.monotonic()
        try:
            kept.unit.start()
        except StackError as error:
            self.say(str(error))

    def _stop(self) -> None:
        """Our processes first, all at once, so that each can drain; then the services they need."""
        programs = [kept.unit for kept in self._kept if isinstance(kept.unit, Child)]
        for program in programs:
            program.send(signal.SIGTERM)
        deadline = time.monotonic() + DRAIN_SECONDS
        for program in programs:
            program.stop(signal.SIGTERM, max(0.0, deadline - time.monotonic()))
        for kept in reversed(self._kept):
            if not isinstance(kept.unit, Child):
                kept.unit.stop()
        self.home.stack_file.unlink(missing_ok=True)
