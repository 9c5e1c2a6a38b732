"""Starts the whole stack in order, keeps it running, stops it in reverse order."""

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from xraygpt.stack.processes.child import Child, end_leftovers, run_to_end
from xraygpt.stack.processes.liveness import Liveness
from xraygpt.stack.processes.programs import EVENTS, NAMES, ONCE, PROGRAMS, PYTHON
from xraygpt.stack.processes.restarts import Restarts
from xraygpt.stack.servers.services import BackingServices
from xraygpt.stack.settings.home import Home, hold
from xraygpt.stack.settings.remembered import remember
from xraygpt.stack.stack_settings import StackSettings
from xraygpt_core.shutdown import worker_patience

POLL_SECONDS = 0.2
READY_SECONDS = 180.0


class _Stopping(Exception):  # an order, not an error
    """SIGINT or SIGTERM arrived."""


class Supervisor:
    """One stack in one data directory.

    Args:
        home: the data directory.
        environ: the environment; a service it names is external and is not started.
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
        self._settings = StackSettings(home, environ, say)
        self._once = once
        self._programs = {**programs, **(EVENTS if environ.get("XRAYGPT_SQS_QUEUE_URL") else {})}
        self._restarts = Restarts(say, worker_patience(environ))
        self._stack: dict[str, Any] = {}
        self._stopping = False
        self._held_ports: dict[str, socket.socket] = {}

    def run(self, ready: Callable[[dict[str, Any]], None]) -> None:
        """Start everything, call ``ready`` with the content of stack.json, and stay until SIGINT or SIGTERM.

        Raises:
            StackError: something did not start; everything is stopped again.
        """
        with hold(self.home):
            # A flag, not an exception: one raised at any line could be lost, or leave a child without its record.
            signal.signal(signal.SIGTERM, self._ask_to_stop)
            signal.signal(signal.SIGINT, self._ask_to_stop)
            try:
                self._start()
                ready(self._stack)
                while True:
                    self._check()
                    if self._restarts.tend():
                        self._write()
                    time.sleep(POLL_SECONDS)
            except _Stopping:
                self.say("stopping")
            finally:
                self._free_ports(*self._held_ports)
                self._restarts.stop()
                self.home.stack_file.unlink(missing_ok=True)

    def _ask_to_stop(self, *_: object) -> None:
        self._stopping = True

    def _check(self) -> None:
        if self._stopping:
            raise _Stopping

    def _start(self) -> None:
        self.home.stack_file.unlink(missing_ok=True)
        end_leftovers(Path(PYTHON), self.home.run, signal.SIGKILL)
        self._held_ports = self._settings.choose()
        token, environ = self._settings.secrets["webhook_token"], self._settings.environ
        services = BackingServices(self.home.root, environ, self._settings.webhook_url, token, self._settings.tls)
        for name, unit in services.units.items():  # kept from now on: a failed start stops what runs
            self._restarts.add(name, unit)
        services.start(self._step)
        services.create_buckets()
        ours = self._settings.environment(services)
        self._run_once("migrations", ours)
        if self.home.old_hmac_key_file.exists():  # no process pseudonymises now, so none knows the old key alone
            self._run_once("begin-rotation", ours)
        ours["XRAYGPT_READER_URL"] = self._settings.log_in(services)
        self._start_programs(ours)
        self._check_key(ours)
        self._settings.write_prometheus()
        self._restarts.tend()  # what ended meanwhile is known when we say that all is ready
        self._stack = self._settings.describe(services, ours)
        self._write()

    def _step(self, line: str) -> None:
        """Go on with the next part, unless it is time to stop."""
        self._check()
        self.say(line)

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
                environment=self._settings.given_to(name, ours),
                stopping=lambda: self._stopping,
            )
        finally:
            self._check()

    def _start_programs(self, ours: Mapping[str, str]) -> None:
        """Start them all, then wait until the gateway says that it is ready."""
        children = {}
        for name, command in self._programs.items():
            self._step(f"starting {name}")
            environment = self._settings.given_to(name, ours)
            child = Child(name, command, log=self.home.log(name), directory=self.home.run, environment=environment)
            self._free_ports(name)
            child.start()
            answered = (
                Liveness(f"{self._settings.gateway_url}/healthz", trust=self._settings.trust()).answered
                if name == "gateway"
                else None
            )
            self._restarts.add(name, child, answered)
            children[name] = child
        self._step("waiting for the gateway")
        # One client for all its looks: making one reads the certificates of the machine, 20 ms of a processor's time.
        with httpx.Client(
            base_url=self._settings.gateway_url, timeout=5, trust_env=False, verify=self._settings.trust()
        ) as client:
            children["gateway"].wait_until(lambda: self._gateway_is_ready(client), READY_SECONDS)

    def _free_ports(self, *programs: str) -> None:
        for program in programs:
            if held := self._held_ports.pop(program, None):
                held.close()

    def _gateway_is_ready(self, client: httpx.Client) -> bool:
        """It answers, and it is ours: no other server knows the webhook's token."""
        self._check()
        token = {"Authorization": f"Bearer {self._settings.secrets['webhook_token']}"}
        try:
            ready, ours = client.get("/readyz"), client.get("/v1/events/s3", headers=token)
        except httpx.TransportError:
            return False
        return ready.status_code == ours.status_code == httpx.codes.OK

    def _check_key(self, ours: Mapping[str, str]) -> None:
        """Keep the API key of the last start if this database knows it, else create one."""
        if key := self._settings.secrets.get("api_key"):
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(timeout=30, trust_env=False, verify=self._settings.trust()) as client:
                answer = client.get(f"{self._settings.gateway_url}/v1/status", headers=headers)
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return
        self._settings.secrets["api_key"] = self._run_once("create-key", ours).split()[-1]
        remember(self.home.secrets_file, self._settings.secrets)

    def _write(self) -> None:
        """stack.json with the process ids of now (null for what runs elsewhere or waits for its restart), and ends."""
        pids = dict.fromkeys((*NAMES, *self._programs)) | self._restarts.pids() | {"supervisor": os.getpid()}
        remember(self.home.stack_file, self._stack | {"pids": pids, "ends": self._restarts.ends()})
