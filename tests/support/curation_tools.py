"""What the tests of a curation share: a model that answers as a test says, and small sources of reports."""

import json
import threading
from pathlib import Path
from typing import Any

from tests.support.report_archives import numbered, open_i_xml, tar_of
from training_jobs.curation.budget import Limits
from training_jobs.curation.prompts import read_prompts
from training_jobs.curation.rewriters import Answer, Unanswered
from training_jobs.curation.run import Plan, Source


class Scripted:
    """A model that answers what a test says, and remembers the prompts."""

    name = "scripted"

    def __init__(self, *answers: str | None) -> None:
        self.answers, self.prompts, self.lock = list(answers), [], threading.Lock()  # type: ignore[var-annotated]

    def answer(self, system: str, prompt: str) -> Answer:
        with self.lock:
            self.prompts.append(prompt)
            text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if text is None:
            raise Unanswered("no answer")
        return Answer(text, 100, 20)

    def close(self) -> None:
        """Nothing is held."""


def by(model: Any, limits: Limits | None = None, parallel: int = 1) -> Plan:
    return Plan("endpoint", read_prompts(), lambda _: model, "scripted", limits or Limits(), parallel)


def source_of(folder: Path, *reports: bytes) -> Source:
    return Source(tar_of(folder / "a.tgz", numbered(*reports)), "open-i")


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


EFFUSION = "There is a small left pleural effusion. The heart is normal in size. No pneumothorax."


ONE = open_i_xml(EFFUSION, "Left pleural effusion.", "CXR1", ["CXR1_IM-0001-1001", "CXR1_IM-0001-2001"])
