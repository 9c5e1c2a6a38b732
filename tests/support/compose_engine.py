"""Starts the services of docker-compose.yml as processes, as an engine would: without images, from the very same words.

Each service gets namespaces of its own for mounts, processes and network (unshare(1)): a root of its own over this
machine's (overlayfs), read-only, with the volumes, folders in memory, secrets and files that the YAML names; for each
network it is on an interface to a bridge, and the names of those it shares one with; its user, no capability, no new
privileges, no core files, and an environment of nothing but its own. Limits of memory, processes and processor time are
not applied, nor is an engine's seccomp filter.
"""

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.compose_file import ROOT
from tests.support.compose_plan import Plan
from xraygpt.stack.processes.child import die_with_parent

ALONE = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--propagation=private"]
CLONE_NEWNET = 0x40000000  # sched.h


@dataclass
class Container:
    """A service that was started. ``pid`` is that of its first process, as this machine counts."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    pid: int = 0

    def output(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Engine:
    """The services of one project, as planned."""

    plan: Plan
    running: dict[str, Container] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = self.plan.services
        self._hub = subprocess.Popen(
            ["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent()
        )
        _until(lambda: _namespace(self._hub.pid) != _namespace(os.getpid()), "a network namespace for the bridges")
        for number in self.plan.networks.values():
            self._in_hub(f"link add net{number} type bridge", f"link set net{number} up")

    def up(self, name: str, command: list[str] | None = None) -> Container:
        """Start a service, or ``command`` in its place, as `docker compose run` does."""
        key = f"{name}-run" if command else name
        root, log = self.plan.root(name, key), self.plan.directory / f"{key}.log"
        script = [
            *self.plan.mounts(name, root),
            f"exec {shlex.join(self.plan.inside(name, root, command))} < /dev/null",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*ALONE, "sh", "-euc", "\n".join(["read _", *script])],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                preexec_fn=die_with_parent(),
            )
        container = Container(name, process, log)
        self.running[key] = container
        container.pid = _until(lambda: _first_child(process.pid), f"the first process of {name}")
        for network in self.services[name]["networks"]:
            self._plug(container.pid, network, self.plan.places[name] + (100 if command else 0))
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        return container

    def run(self, name: str, command: list[str] | None = None, seconds: float = 120) -> Container:
        """Start what ends by itself, and wait for its end."""
        container = self.up(name, command)
        self.ended[name] = container.process.wait(seconds)
        self.running.pop(name + ("-run" if command else ""))
        return container

    def stop(self, *names: str) -> None:
        """To each its stop signal, all at once; who outlives its grace is killed, and ``ended`` says so."""
        began = time.monotonic()
        for name in names:
            os.kill(self.running[name].pid, signal.Signals[self.services[name]["stop_signal"]])
        for name in names:
            container, grace = self.running.pop(name), self.services[name]["stop_grace_period"]
            with contextlib.suppress(subprocess.TimeoutExpired):
                container.process.wait(max(0.0, began + float(grace.removesuffix("s")) - time.monotonic()))
            if container.process.poll() is None:
                os.kill(container.pid, signal.SIGKILL)
            self.ended[name] = container.process.wait()

    def healthy(self, name: str) -> bool:
        """Run its health check inside it, as its user, with the container's environment and not its entry point's."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        words = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        return self.exec(name, words).returncode == 0

    def exec(self, name: str, words: list[str]) -> subprocess.CompletedProcess[str]:
        """`docker compose exec`."""
        inside = ["nsenter", f"--target={self.running[name].pid}", "--net", "--mount", "--pid", "--root"]
        return subprocess.run(
            [*inside, *self.plan.as_user(name), *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )

    def until_healthy(self, name: str, seconds: float = 120) -> None:
        container = self.running[name]

        def ready() -> bool:
            assert container.process.poll() is None, f"{name} ended: {container.output()[-2000:]}"
            return self.healthy(name)

        _until(ready, f"{name} is healthy", seconds, pause=0.3)

    @contextlib.contextmanager
    def on_the_network_of(self, name: str) -> Iterator[None]:
        """This thread's sockets are opened in the container's network (setns(2))."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as ours, open(f"/proc/{self.running[name].pid}/ns/net") as its:
            assert libc.setns(its.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert libc.setns(ours.fileno(), CLONE_NEWNET) == 0

    def reaches(self, name: str, server: str, network: str, port: int) -> bool:
        """Whether a connection from inside ``name`` to ``server``'s address on a network is accepted."""
        with self.on_the_network_of(name), contextlib.suppress(OSError):
            socket.create_connection((self.plan.address(server, network), port), timeout=2).close()
            return True
        return False

    def close(self) -> None:
        for container in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(container.pid or container.process.pid, signal.SIGKILL)
            container.process.wait()
        self._hub.kill()
        self._hub.wait()

    def _in_hub(self, *commands: str) -> None:
        for words in commands:
            subprocess.run(["nsenter", f"--net=/proc/{self._hub.pid}/ns/net", "ip", *words.split()], check=True)

    def _plug(self, pid: int, network: str, place: int) -> None:
        number = self.plan.networks[network]
        here = f"v{number}p{place}"
        self._in_hub(
            f"link add {here} type veth peer name eth{number} netns {pid}", f"link set {here} master net{number} up"
        )
        for words in (
            "link set lo up",
            f"addr add 10.88.{number}.{place}/24 dev eth{number}",
            f"link set eth{number} up",
        ):
            subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *words.split()], check=True)


def open_for_all(directory: Path) -> None:
    """Volumes are reached by users of their own; pytest's folders are root's alone."""
    for folder in (directory, *directory.parents[:3]):
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o011)


def lacking(directory: Path) -> str | None:
    """Why this machine cannot do it; None where it can."""
    tools = [
        tool for tool in ("unshare", "nsenter", "setpriv", "prlimit", "ip", "chroot", "wget") if not shutil.which(tool)
    ]
    if os.geteuid() or tools:
        return f"needs root{''.join(f', {tool}' for tool in tools)}: each container is a user and namespaces of its own"
    for folder in ("upper", "work", "root"):
        (directory / folder).mkdir()
    layers = f"lowerdir=/,upperdir={directory}/upper,workdir={directory}/work"
    tried = f"ip link add br0 type bridge && mount -t overlay -o {layers} overlay {directory / 'root'}"
    done = subprocess.run([*ALONE, "sh", "-c", tried], capture_output=True, text=True, check=False)
    return f"this kernel gives no bridges or overlays: {done.stderr.strip()}" if done.returncode else None


def _until(look: Any, what: str, seconds: float = 60, pause: float = 0.02) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(pause)
    return seen


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def _first_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0
