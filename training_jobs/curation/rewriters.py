"""Who rewrites a report: rules, a model behind an endpoint, or a bundle's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from training_jobs.curation.prompts import Prompts
from xraygpt_core.errors import XrayGPTError


class Unanswered(XrayGPTError):
    """The model gave no usable answer to this report; the rules write it instead."""


class Stopping(XrayGPTError):
    """The curation is being stopped; this report is left for the next start."""


@dataclass(frozen=True)
class Answer:
    """A model's text and what it took."""

    text: str
    tokens_in: int = 0
    tokens_out: int = 0


class Model(Protocol):
    """Something that answers a prompt. It is called from several threads at once."""

    name: str  # for provenance

    def answer(self, system: str, prompt: str) -> Answer:
        """The answer to one prompt.

        Raises:
            Unanswered: it has none to this prompt.
            Stopping: the curation is being stopped.
            TrainingError: it answers nothing any more.
        """

    def close(self) -> None:
        """Give back what it holds."""


@dataclass(frozen=True)
class Request:
    """What a rewrite by a model is made of; the same request is never sent twice."""

    findings: str
    impression: str
    before: str = ""
    objections: Sequence[str] = ()

    def prompt(self, prompts: Prompts) -> str:
        if self.objections:
            return prompts.second(self.findings, self.impression, self.before, self.objections)
        return prompts.first(self.findings, self.impression)
