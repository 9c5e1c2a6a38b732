"""From docker-compose.yml to what a container is made of: a root, mounts, a user, an environment, a command."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.compose_file import OURS, ROOT
from tests.support.compose_images import Image, images

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
PASSWD = """root:x:0:0::/:/bin/sh
xraygpt:x:10001:10001::/nonexistent:/usr/sbin/nologin
server:x:999:999::/nonexistent:/usr/sbin/nologin
seaweed:x:1000:1000::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
"""


@dataclass
class Plan:
    """How each service of one project is started, in ``directory``."""

    directory: Path
    compose: dict[str, Any]
    secrets: Path
    settings: dict[str, str]  # what stands in deploy/settings.env

    def __post_init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = self.compose["services"]
        self.networks = {name: number for number, name in enumerate(self.compose["networks"])}
        self.places = {name: number + 10 for number, name in enumerate(self.services)}
        self._images = images()

    def image(self, name: str) -> Image:
        return self._images["ours" if name in OURS else name]

    def address(self, name: str, network: str) -> str:
        return f"10.88.{self.networks[network]}.{self.places[name]}"

    def root(self, name: str, key: str) -> Path:
        """The upper layer of its root: what its image has, and a place for all that is mounted."""
        service, image = self.services[name], self.image(name)
        upper = self.directory / key / "upper"
        if upper.exists():
            return upper.parent
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

    def mounts(self, name: str, root: Path) -> list[str]:
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

    def inside(self, name: str, root: Path, command: list[str] | None) -> list[str]:
        service, image = self.services[name], self.image(name)
        words = [*service.get("entrypoint", image.entrypoint), *(command or service["command"])]
        init = [sys.executable, "-Ic", INIT] if service.get("init") else []
        return ["chroot", str(root / "root"), *self.as_user(name), *init, *words]

    def as_user(self, name: str) -> list[str]:
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
