"""A gateway as a process of its own, for tests."""

import os
import signal
import subprocess
import sys
import threading
import time

import httpx
from pydantic import SecretStr

from xraygpt.stack.servers.ports import choose
from xraygpt_core.settings import Settings


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The settings as a process reads them."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("XRAYGPT_")}
    for name, value in settings.model_dump(exclude_none=True).items():
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        own[f"XRAYGPT_{name.upper()}"] = ",".join(plain) if isinstance(plain, tuple) else str(plain)
    return own | more


def create_key(settings: Settings) -> str:
    command = [sys.executable, "-m", "api_gateway", "create-key", "--name", "local"]
    done = subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=True)
    (key,) = done.stdout.split()
    return key


class Gateway:
    """A running gateway and its log."""

    def __init__(self, settings: Settings, **more: str) -> None:
        """Args: more: of its environment."""
        self.port = choose()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api_gateway"],
            env=environment(
                settings, **({"XRAYGPT_GATEWAY_PORT": str(self.port), "XRAYGPT_LOG_LEVEL": "DEBUG"} | more)
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def ready(self) -> "Gateway":
        deadline = time.monotonic() + 180
        with httpx.Client(base_url=self.url, timeout=5) as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    if client.get("/readyz").status_code == 200:
                        return self
                except httpx.TransportError:
                    time.sleep(0.05)  # nothing tells when another process listens
        raise AssertionError(f"the gateway is not ready: {''.join(self.lines)}")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(120)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code
