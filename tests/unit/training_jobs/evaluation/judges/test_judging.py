"""A judge at work: failures are counted, nothing is asked twice, and texts leave only when they may."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.chat_server import chat_server, said
from training_jobs.curation.budget import Budget
from training_jobs.curation.rewriters import Answer, Stopping, Unanswered
from training_jobs.curation.run import Stopped
from training_jobs.evaluation.judges.green import Green
from training_jobs.evaluation.judges.judging import Asking, Judging
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle

GOOD = "[Clinically Significant Errors]:\nNo.\n\n[Matched Findings]:\n1. A"
PAIRS = [TextPair(str(n), f"candidate {n}", "reference") for n in range(6)]


class FakeModel:
    """Answers by a function of the prompt, and counts."""

    name = "fake"

    def __init__(self, reply: Callable[[str], str]) -> None:
        self.reply, self.asked = reply, 0

    def answer(self, system: str, prompt: str) -> Answer:
        self.asked += 1
        return Answer(self.reply(system + prompt), 10, 5)

    def close(self) -> None:
        """Nothing to give back."""


def judged(model: FakeModel, out: Path, pairs: list[TextPair] = PAIRS) -> dict[str, object]:
    def make(_: Budget) -> FakeModel:
        return model

    return Judging(Green(), pairs, Asking(make, "fake", parallel=2), out).run(threading.Event(), lambda *_: None)


def test_failures_are_counted_by_reason_and_score_nothing(tmp_path: Path) -> None:
    def reply(prompt: str) -> str:
        if "candidate 0" in prompt:
            raise Unanswered("too long")
        return "I do not know." if "candidate 1" in prompt else GOOD

    result = judged(FakeModel(reply), tmp_path / "out")
    assert (result["n"], result["judged"]) == (6, 4)
    assert result["failed"] == {"too long": 1, "it has no section [Matched Findings]": 1}
    assert result["scores"]["green"]["value"] == 1  # type: ignore[index]
    assert json.loads((tmp_path / "out/result.json").read_text()) == result


def test_a_judge_that_never_answers_has_no_score(tmp_path: Path) -> None:
    assert judged(FakeModel(lambda _: ""), tmp_path / "out")["scores"] == {}


def test_what_was_stopped_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    def reply(prompt: str) -> str:
        if "candidate 3" in prompt:
            raise Stopping("stopped")
        return GOOD

    first = FakeModel(reply)
    with pytest.raises(Stopped, match="start the same command again"):
        judged(first, tmp_path / "out")
    second = FakeModel(lambda _: GOOD)
    result = judged(second, tmp_path / "out")
    assert (result["judged"], result["calls"]) == (6, 6)
    assert second.asked < 6


def test_other_texts_need_another_folder(tmp_path: Path) -> None:
    judged(FakeModel(lambda _: GOOD), tmp_path / "out")
    with pytest.raises(TrainingError, match="questions differ"):
        judged(FakeModel(lambda _: GOOD), tmp_path / "out", PAIRS[:2])


def job(tmp_path: Path, *options: str) -> int:
    import argparse

    from training_jobs.evaluation import judging_commands

    (tmp_path / "texts.jsonl").write_text('{"id": "1", "candidate": "a", "reference": "b"}\n')
    parser = argparse.ArgumentParser()
    judging_commands.add_parsers(parser.add_subparsers(dest="job"))
    files = ["--texts", str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "out")]
    return judging_commands.run(parser.parse_args(["judge", *options, *files]))


def test_a_judge_behind_an_endpoint_is_asked_through_the_curations_client(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with chat_server(lambda _: said(GOOD)) as server:
        assert job(tmp_path, "green", "--endpoint", server.url, "--model", "judge") == 0
    assert json.loads(capsys.readouterr().out)["scores"]["green"]["value"] == 1


def test_texts_leave_this_machine_only_when_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--send-reports-out"):
        job(tmp_path, "green", "--endpoint", "https://judge.example.org/v1", "--model", "judge")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["green"], "name one model"),
        (["green", "--llm", "x", "--base", "y"], "name one model"),
        (["preference", "--llm", "x"], "needs --other"),
        (["green", "--llm", "x", "--other", "y"], "needs --other"),
        (["green", "--llm", "no-folder"], "config.json is missing"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: list[str], why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        job(tmp_path, *options)


def test_a_language_models_folder_judges_on_our_own_engine_and_stays_as_it_was(
    tmp_path: Path, tiny_base: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in tiny_base.llm.iterdir())
    options = ["--llm", str(tiny_base.llm), "--device", "cpu", "--max-answer-tokens", "4", "--parallel", "1"]
    assert job(tmp_path, "green", *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["judged"], result["failed"].popitem()[1]) == (0, 1)  # random weights write no sections
    assert sorted(path.name for path in tiny_base.llm.iterdir()) == before
