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
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.compose_file import OURS, ROOT
from tests.compose_images import Image, images

ALONE = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--propagation=private"]
CLONE_NEWNET = 0x40000000  # sched.h
# PID 1 of a container of ours (`init: true`): hands signals on, and ends as its child does (128 + n after signal n).
INIT = """
import os, signal, sys
child = os.fork()
if not child:
    os.execvp(sys.argv[1], sys.argv[1:])
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: os.kill(child, number))
while True:
    pid, status = os.wait()
    if pid == child:
        code = os.waitstatus_to_exitcode(status)
        sys.exit(code if code >= 0 else 128 - code)
"""
PASSWD = """root:x:0:0::/root:/bin/sh
xraygpt:x:10001:10001::/nonexistent:/usr/sbin/nologin
server:x:999:999::/nonexistent:/usr/sbin/nologin
seaweed:x:1000:1000::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
"""


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
    """The services of one project, in ``directory``."""

    directory: Path
    compose: dict[str, Any]
    secrets: Path
    settings: dict[str, str]  # what stands in deploy/settings.env
    running: dict[str, Container] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = self.compose["services"]
        self._images = images()
        self._networks = {name: number for number, name in enumerate(self.compose["networks"])}
        self._places = {name: number + 10 for number, name in enumerate(self.services)}
        self._hub = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        _until(lambda: _namespace(self._hub.pid) != _namespace(os.getpid()), "a network namespace for the bridges")
        for number in self._networks.values():
            self._in_hub(f"link add net{number} type bridge", f"link set net{number} up")

    def image(self, name: str) -> Image:
        return self._images["ours" if name in OURS else name]

    def address(self, name: str, network: str) -> str:
        return f"10.88.{self._networks[network]}.{self._places[name]}"

    def up(self, name: str, command: list[str] | None = None) -> Container:
        """Start a service, or ``command`` in its place, as `docker compose run` does."""
        key = f"{name}-run" if command else name
        root, log = self._root(name, key), self.directory / f"{key}.log"
        script = [*self._mounts(name, root), f"exec {shlex.join(self._inside(name, root, command))} < /dev/null"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*ALONE, "sh", "-euc", "\n".join(["read _", *script])],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=ROOT,
            )
        container = Container(name, process, log)
        self.running[key] = container
        container.pid = _until(lambda: _first_child(process.pid), f"the first process of {name}")
        for network in self.services[name]["networks"]:
            self._plug(container.pid, network, self._places[name] + (100 if command else 0))
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
            [*inside, *self._as_user(name), *words], capture_output=True, text=True, timeout=60, check=False, cwd="/"
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
        number = self._networks[network]
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

    def _root(self, name: str, key: str) -> Path:
        """The upper layer of its root: what its image has, and a place for all that is mounted."""
        service, image = self.services[name], self.image(name)
        upper = self.directory / key / "upper"
        (upper.parent / "work").mkdir(parents=True)
        (upper.parent / "root").mkdir()
        for folder in (ROOT, Path(sys.prefix), Path(sys.base_prefix), Path("/run/secrets")):
            (upper / folder.relative_to("/")).mkdir(
                parents=True, exist_ok=True
            )  # open, where this machine's are closed
        for path, content in image.programs.items():
            place = upper / path.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                place.symlink_to(content)
            else:
                place.write_text(content)
                place.chmod(0o755)
        etc = upper / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "passwd").write_text(PASSWD)
        (etc / "resolv.conf").write_text("")
        (etc / "hosts").write_text(self._hosts(name))
        targets = [one.split(":")[1] for one in service.get("volumes", ())] + [
            one.partition(":")[0] for one in service["tmpfs"]
        ]
        for target in targets:
            place = upper / target.removeprefix("/")
            if "." in Path(target).name:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            else:
                place.mkdir(parents=True, exist_ok=True)
        for secret in self._secrets(name):
            (upper / "run/secrets" / secret).touch()
        return upper.parent

    def _hosts(self, name: str) -> str:
        """Whom it knows by name: those it shares a network with."""
        lines = ["127.0.0.1 localhost"]
        for other, service in self.services.items():
            shared = [network for network in self.services[name]["networks"] if network in service["networks"]]
            lines += [f"{self.address(other, shared[0])} {other}"] if shared else []
        return "\n".join(lines) + "\n"

    def _secrets(self, name: str) -> dict[str, Path]:
        declared = self.compose["secrets"]
        found = {}
        for one in self.services[name].get("secrets", ()):
            source, target = (one, one) if isinstance(one, str) else (one["source"], one["target"])
            found[target] = self.secrets / Path(declared[source]["file"]).name
        return found

    def _mounts(self, name: str, root: Path) -> list[str]:
        service, new = self.services[name], root / "root"
        lines = [f"hostname {abs(hash(root)):x}"]  # an engine gives a name by chance
        lines += [f"mount -t overlay -o lowerdir=/,upperdir={root}/upper,workdir={root}/work overlay {new}"]
        for folder in dict.fromkeys((ROOT, Path(sys.prefix), Path(sys.base_prefix))):
            lines += [f"mount --bind {folder} {new}{folder}", f"mount -o remount,bind,ro {new}{folder}"]
        if service["read_only"]:
            lines.append(f"mount -o remount,ro {new}")
        lines += [f"mount -t proc proc {new}/proc", f"mount --rbind /dev {new}/dev"]
        for one in service["tmpfs"]:
            target, _, options = one.partition(":")
            lines.append(f"mount -t tmpfs -o mode=1777,{options} tmpfs {new}{target}")
        for one in service.get("volumes", ()):
            source, target, *mode = one.split(":")
            lines.append(f"mount --bind {self._source(name, source, target)} {new}{target}")
            lines += [f"mount -o remount,bind,ro {new}{target}"] if mode == ["ro"] else []
        for target, file in self._secrets(name).items():
            lines += [f"mount --bind {file} {new}/run/secrets/{target}"]
            lines += [f"mount -o remount,bind,ro {new}/run/secrets/{target}"]
        return lines

    def _source(self, name: str, source: str, target: str) -> Path:
        if source.startswith("./"):
            return ROOT / source
        volume = self.directory / "volumes" / source
        if not volume.exists():  # a new volume looks as the image's folder does
            volume.mkdir(parents=True)
            user, group, mode = self.image(name).folders[target]
            os.chown(volume, user, group)
            volume.chmod(mode)
        return volume

    def _inside(self, name: str, root: Path, command: list[str] | None) -> list[str]:
        service, image = self.services[name], self.image(name)
        words = [*service.get("entrypoint", image.entrypoint), *(command or service["command"])]
        init = [sys.executable, "-Ic", INIT] if service.get("init") else []
        return ["chroot", str(root / "root"), *self._as_user(name), *init, *words]

    def _as_user(self, name: str) -> list[str]:
        """setpriv(1), prlimit(1) and env(1): who it is, what it may, and what it knows."""
        service, image = self.services[name], self.image(name)
        user, group = service["user"].split(":")
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        may = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
        given = {"HOSTNAME": name} | image.environment | (self.settings if name in OURS else {})
        given |= {variable: str(value) for variable, value in service.get("environment", {}).items()}
        where = ["env", "-i", f"--chdir={service.get('working_dir', image.workdir)}"]
        where += [f"{variable}={value}" for variable, value in given.items()]
        return ["setpriv", *may, "--no-new-privs", "prlimit", f"--core={service['ulimits']['core']}", *where]


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
    tried = f"ip link add br0 type bridge && mount -t overlay -o {layers} overlay {directory}/root"
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
