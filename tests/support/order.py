"""Which test goes to which process of a run, and when."""

from xdist.scheduler import LoadScopeScheduling

# Folders, and the files among them that take a process more than about eight seconds.
SLOWEST_FIRST = (
    "tests/e2e/",
    "tests/chaos/test_faults.py",
    "tests/integration/stack/test_demo.py",
    "tests/integration/model/test_demo_bundle.py",
    "tests/integration/stack/test_supervisor.py",
    "tests/chaos/",
    "tests/integration/",
    "tests/unit/test_import_card.py",
    "tests/unit/dicom/test_sandbox",
    "tests/unit/phantoms/test_wording.py",
    "tests/unit/deploy/test_images.py",
    "tests/unit/model/test_engine_",
    "tests/unit/model/test_broken_imports.py",
    "tests/unit/training_jobs/test_main.py",
    "tests/unit/",
)


class ByFile(LoadScopeScheduling):
    """A file's tests stay in one process, with the fixtures they share; all end-to-end tests share one stack."""

    def _split_scope(self, nodeid: str) -> str:
        return SLOWEST_FIRST[0] if nodeid.startswith(SLOWEST_FIRST[0]) else nodeid.partition("::")[0]


def rank(nodeid: str) -> int:
    """Its place among the slowest; behind them all if it is not one of them."""
    known = (place for place, folder in enumerate(SLOWEST_FIRST) if nodeid.startswith(folder))
    return next(known, len(SLOWEST_FIRST))
