"""Whatever the ledger's tests do, images and studies change their states only as ``lifecycle.py`` says."""

from collections.abc import Iterator

import pytest

from tests.support.lifecycle_trigger import only_known_transitions


@pytest.fixture(autouse=True)
def _states_change_only_as_the_tables_say(request: pytest.FixtureRequest) -> Iterator[None]:
    if "database_url" not in request.fixturenames:
        yield
        return
    with only_known_transitions(request.getfixturevalue("database_url")):
        yield
