"""Decoding without the sandbox's child, for tests that are not about it."""

import pytest

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits, NormalisedImage


class InThisProcess:
    """Normalises without the sandbox's child, whose start costs more than a test; two tests start the real one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def normalise(self, data: bytes) -> NormalisedImage:
        return normalise(data, self.limits)


@pytest.fixture(autouse=True)
def _no_child(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sandboxed" not in request.fixturenames:
        monkeypatch.setattr("training_jobs.corpora.sources.Sandbox", InThisProcess)


@pytest.fixture
def sandboxed() -> None:
    """This test decodes in the real sandbox."""
