"""A process that stands still ends, whatever keeps it."""

import subprocess
import sys
import time

BEATING = """
import asyncio, logging, sys, threading, time
from anyio import to_thread
from api_gateway import watchdog
logging.basicConfig(level="CRITICAL")
watchdog.LOOP_SECONDS, watchdog.POOL_SECONDS = {loop}, {pool}

async def main():
    dog = watchdog.Watchdog()
    secret = "DOE^JANE"
    async with asyncio.TaskGroup() as group:
        {work}
        for _ in range(40):
            dog.beat()
            await asyncio.sleep(0.1)
    print("lived")

asyncio.run(main())
"""


def run(work: str, *, loop: float = 1.0, pool: float = 1.0) -> subprocess.CompletedProcess[str]:
    script = BEATING.format(work=work, loop=loop, pool=pool)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)


def test_one_that_goes_on_lives() -> None:
    done = run("group.create_task(to_thread.run_sync(time.sleep, 0.3))", loop=30, pool=30)
    assert (done.returncode, done.stdout) == (0, "lived\n")


def test_a_loop_that_stands_still_ends_the_process_and_tells_where_without_a_value() -> None:
    done = run("asyncio.get_running_loop().call_later(0.3, time.sleep, 60)")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Timeout" in done.stderr
    assert "DOE" not in done.stderr


def test_threads_that_never_become_free_end_the_process() -> None:
    done = run("[group.create_task(to_thread.run_sync(time.sleep, 60)) for _ in range(40)]", loop=30)
    assert (done.returncode, done.stdout) == (70, "")
    assert "no thread became free" in done.stderr


def test_what_hangs_at_the_end_does_not_hold_it_up() -> None:
    """A thread that nobody can stop, as a lock of a driver may leave one behind."""
    script = (
        "import threading, time\nfrom api_gateway.watchdog import end_within\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\nend_within(0.5)"
    )
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=50, check=False).returncode == 1
    assert time.monotonic() - began < 40
