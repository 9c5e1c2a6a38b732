"""A patient with two films, whose study is compared with the one before."""

from uuid import UUID

import pytest

from tests.support.ledger_tools import one, settle_now
from tests.support.prior_tools import Prior, on, send, written
from xraygpt_core.ledger.training.serving import note_images
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import ImageRole


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """A ledger whose served bundle looks at all three films."""
    note_images(ledger, "demo", list(ImageRole))
    return ledger


@pytest.fixture
def before(three: Ledger) -> Prior:
    """The patient's film of the day before, summarised."""
    registered, study_id = send(three, "before", **on(1))
    settle_now(three, study_id)
    written(three, study_id)
    return registered, study_id


@pytest.fixture
def now(three: Ledger, before: Prior) -> UUID:
    """A study that is settled with that film beside it."""
    _, study_id = send(three, "now", **on(2))
    settle_now(three, study_id)
    assert one(three, "SELECT chosen_prior FROM studies WHERE id = :id", id=study_id) == before[0].image_id
    return study_id
