"""The tests of the ledger refuse a change of state that ``lifecycle.py`` does not name."""

import pytest
from sqlalchemy.exc import DBAPIError

from tests.support.ledger_tools import do, ingest, put, state_of
from xraygpt_core.ledger.transaction import Ledger


def test_a_change_of_state_that_no_table_names_fails(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    with pytest.raises(DBAPIError, match="knows no way for images from accepted to dead"):
        do(ledger, "UPDATE images SET state = 'dead'")
    with pytest.raises(DBAPIError, match="knows no way for studies from waiting to summarised_twice"):
        do(ledger, "UPDATE studies SET state = 'summarised_twice'")
    assert state_of(ledger, study_id) == "waiting"
