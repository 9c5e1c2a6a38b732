import pytest

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.settings import Settings
from xraygpt_core.shutdown import DRAIN_SECONDS, HAND_BACK_SECONDS, stack_patience, worker_patience


@pytest.mark.parametrize("drain", ["0", "25", "90.5"])
def test_a_supervisor_waits_longer_than_a_worker_drains_and_hands_back(drain: str) -> None:
    patience = worker_patience({"XRAYGPT_DRAIN_SECONDS": drain})
    assert patience > float(drain) + HAND_BACK_SECONDS
    assert stack_patience({"XRAYGPT_DRAIN_SECONDS": drain}) > patience


def test_without_the_setting_both_go_by_its_default() -> None:
    assert Settings.model_fields["drain_seconds"].default == DRAIN_SECONDS
    assert worker_patience({}) == worker_patience({"XRAYGPT_DRAIN_SECONDS": str(DRAIN_SECONDS)})


@pytest.mark.parametrize("given", ["soon", "-1", "nan", "inf", ""])
def test_what_is_no_time_stops_the_stack_before_it_starts(given: str) -> None:
    with pytest.raises(ConfigurationError, match="XRAYGPT_DRAIN_SECONDS"):
        worker_patience({"XRAYGPT_DRAIN_SECONDS": given})
