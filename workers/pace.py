"""How many jobs to claim at once: so many that they take about a quarter of a second."""

import threading

BATCH_SECONDS = 0.25
MOST = 64


class Pace:
    """Learns from how long the last jobs took. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds_each: float | None = None
        self.limit = 1

    def note(self, seconds: float, jobs: int) -> None:
        """So many jobs took so many seconds.

        The limit grows at most fourfold at once and is a power of two: each one is a statement of its own to the
        database.
        """
        each = seconds / jobs
        with self._lock:
            former = self._seconds_each
            self._seconds_each = each if former is None else max(each, 0.7 * former + 0.3 * each)
            wanted = min(BATCH_SECONDS / max(self._seconds_each, 1e-6), 4 * self.limit, MOST)
            self.limit = 1 << max(0, int(wanted).bit_length() - 1)
