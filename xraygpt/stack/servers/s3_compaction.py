"""Removes deleted bytes from SeaweedFS, where they stay in a volume file until the volume is written anew."""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from xraygpt.stack.processes.child import StackError, die_with_parent, open_log

SECONDS = 300.0  # between two compactions. The filer deletes behind the request, so bytes may outlive one of them
SHELL_SECONDS = 600.0
_GARBAGE = "0.000001"  # a part of the volume; 0 would write anew what holds no garbage


class Compaction:
    """Compacts one bucket's volumes by ``weed shell``, once or at intervals.

    SeaweedFS's own round begins at 30 % of garbage. Only volumes that hold garbage are rewritten, and nothing is while
    nothing is deleted.
    """

    def __init__(self, program: Path, directory: Path, bucket: str, log: Path) -> None:
        self._program = program
        self._directory = directory
        self._bucket = bucket
        self._log = log
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._shell: subprocess.Popen[bytes] | None = None

    def run(self, master: str, filer: str, environment: Mapping[str, str]) -> None:
        """Compact now, and return when it is done.

        Args:
            master, filer: ``address:port.grpc_port``.

        Raises:
            StackError: it was refused, or took longer than SHELL_SECONDS.
        """
        commands = f"lock\nvolume.vacuum -collection={self._bucket} -garbageThreshold={_GARBAGE}\nunlock\n"
        self._shell = subprocess.Popen(
            [str(self._program), "shell", f"-master={master}", f"-filer={filer}"],
            cwd=self._directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),
        )
        try:
            output, _ = self._shell.communicate(commands.encode(), SHELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            self._shell.communicate()
            raise StackError(f"s3: compaction took longer than {SHELL_SECONDS:.0f} s") from None
        if self._shell.returncode or b"error" in output:  # which may name objects
            raise StackError("s3: compaction failed")

    def keep(self, once: Callable[[], None]) -> None:
        """Call ``once`` every SECONDS until :meth:`stop`; a failure goes to the log."""
        self._stopping.clear()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._repeat, args=(once,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._shell is not None and self._shell.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._shell.kill()

    def _repeat(self, once: Callable[[], None]) -> None:
        while not self._stopping.wait(SECONDS):
            try:
                once()
            except StackError as error:
                if self._stopping.is_set():
                    return
                with open_log(self._log) as log:
                    log.write(f"{error}\n".encode())
