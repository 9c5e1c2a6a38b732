"""One child process: its log file, the wait until it answers, and its end, which comes with ours at the latest."""

import contextlib
import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from xraygpt_core.confine.kernel import LINUX, PR_SET_PDEATHSIG, libc
from xraygpt_core.errors import XrayGPTError

LARGEST_LOG = 16 * 2**20
POLL_SECONDS = 0.02


class StackError(XrayGPTError):
    """A part of the one-machine stack does not start or answer; the message says which, and where its log is."""


class Child:
    """A process in a session of its own: the terminal's Ctrl-C does not reach it, its parent stops it in order.

    The kernel sends it ``death_signal`` when the *thread* that started it ends, so start children from a thread that
    lives as long as they shall (the main thread). On macOS, which has no such call, a killed parent leaves it behind.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        death_signal: signal.Signals = signal.SIGKILL,
        user: int | None = None,
        keep: Callable[[bytes], bool] | None = None,
    ) -> None:
        """``keep`` decides which lines of its output reach the log (None: all of them)."""
        self.name = name
        self.command = list(command)
        self.log = log
        self.directory = directory
        self.environment = environment
        self.stdin = stdin
        self.death_signal = death_signal
        self.user = user
        self.keep = keep
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs (or was never started); minus the signal's number if a signal ended it."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, with stdout and stderr appended to the log.

        Raises:
            StackError: the program is missing or cannot be executed.
        """
        with open_log(self.log) as output:
            try:
                self._process = subprocess.Popen(
                    self.command,
                    cwd=self.directory,
                    env=dict(self.environment) if self.environment is not None else None,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if self.keep else output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    **as_user(self.user),
                    preexec_fn=die_with_parent(self.death_signal),
                )
            except OSError as error:
                raise StackError(f"{self.name} does not start: {error.strerror} ({self.command[0]})") from error
        self._give_stdin(self._process)
        if self.keep:
            threading.Thread(target=_copy_lines, args=(self._process, self.log, self.keep), daemon=True).start()

    def _give_stdin(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended already, which wait_until reports
            process.stdin.write(self.stdin)
            process.stdin.close()

    def wait_until(self, answers: Callable[[], bool], seconds: float) -> None:
        """Return when ``answers()`` is true.

        Raises:
            StackError: it ended first, or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        while not answers():
            if not self.running:
                raise StackError(f"{self.name} ended with exit code {self.exit_code} while starting; see {self.log}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} did not answer within {seconds:.0f} s; see {self.log}")
            time.sleep(POLL_SECONDS)

    def wait(self, seconds: float) -> bool:
        """True if it has ended within the time."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, first: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> None:
        """Ask it to end, then kill it and what is left of its process group."""
        if self._process is None:
            return
        self.send(first)
        if not self.wait(seconds):
            self.send(signal.SIGKILL)
            self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def run_to_end(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    directory: Path,
    environment: Mapping[str, str],
    stopping: Callable[[], bool],
) -> str:
    """Run a command to its end, or until ``stopping()``, and return its stdout; stderr goes to the log.

    Raises:
        StackError: it ended with an error, or was ended.
    """
    with (
        open_log(log) as errors,
        subprocess.Popen(
            command,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        ) as process,
    ):
        while True:
            try:
                output = process.communicate(timeout=POLL_SECONDS)[0]
                break
            except subprocess.TimeoutExpired:
                if stopping():
                    process.kill()
    if process.returncode:
        raise StackError(f"{name} ended with exit code {process.returncode}; see {log}")
    return output.decode()


def as_user(user: int | None) -> dict[str, Any]:
    """Arguments of ``subprocess`` to run as this user, with that user's group and no other; None: as we are."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}


def _copy_lines(process: subprocess.Popen[bytes], log: Path, keep: Callable[[bytes], bool]) -> None:
    assert process.stdout is not None
    with process.stdout, open_log(log) as output:
        for line in process.stdout:
            if keep(line):
                output.write(line)
                output.flush()


def open_log(path: Path) -> IO[bytes]:
    """The log, for appending, readable by its owner only; one that has grown large becomes ``<name>.1`` first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_name(path.name + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def die_with_parent(death_signal: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child calls between fork and exec, so that the kernel ends it with its parent (prctl(2))."""
    if not LINUX:
        return None
    prctl = libc().prctl  # looked up before the fork: dlopen after it could deadlock
    parent = os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)

    return in_child


def leftovers(executable: Path, directory: Path) -> list[int]:
    """Processes of a former, killed run: those that run this program in this directory (Linux; elsewhere none)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            program = os.readlink(entry / "exe").removesuffix(" (deleted)")
            if Path(program) == executable.resolve() and Path(os.readlink(entry / "cwd")) == directory.resolve():
                found.append(int(entry.name))
        except OSError:  # it ended, or belongs to another user
            continue
    return [pid for pid in found if pid != os.getpid()]


def end_leftovers(executable: Path, directory: Path, first: signal.Signals, seconds: float = 10.0) -> None:
    """Let the processes of a former run end, and wait until they have.

    Raises:
        StackError: one survives SIGKILL.
    """
    deadline = time.monotonic() + seconds
    number = first
    while pids := leftovers(executable, directory):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if time.monotonic() > deadline:
            if number is signal.SIGKILL:
                raise StackError(
                    f"process {pids[0]} of a former run in {directory} does not end; stop it and try again"
                )
            number, deadline = signal.SIGKILL, time.monotonic() + seconds
        time.sleep(POLL_SECONDS)
