"""Published metrics: how their packages are called, and what is said where they are not there."""

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from training_jobs.evaluation import published_tools
from training_jobs.evaluation.published import Way, published_scores, radcliq_v1
from training_jobs.evaluation.texts import TextPair

PAIRS = [TextPair("1", "large heart", "large heart"), TextPair("2", "clear", "left effusion")]
TEXTS = {"candidates": ["large heart", "clear"], "references": ["large heart", "left effusion"]}
FAKE_BERTSCORE = """
import os
class BERTScorer:
    def __init__(self, model_type, *, device, lang, rescale_with_baseline, idf):
        print("chatter")
        assert (model_type, device, lang) == ("distilroberta-base", "cpu", "en")
        assert rescale_with_baseline and not idf
        {start}
    def score(self, cands, refs):
        assert os.environ["HF_HUB_OFFLINE"] == "1"
        return None, None, [float(a == b) for a, b in zip(cands, refs)]
"""


def fake_bertscore(folder: Path, monkeypatch: pytest.MonkeyPatch, start: str = "pass") -> None:
    (folder / "bert_score.py").write_text(FAKE_BERTSCORE.format(start=start))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(members)
    module.__spec__ = SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, name, module)


class FakeCheXbert:
    """As f1chexbert 0.0.2: ``get_label`` of one text, ``model.bert`` and ``tokenizer`` of Hugging Face."""

    target_names = ("Cardiomegaly", "Pleural Effusion", "No Finding")
    target_names_5 = ("Cardiomegaly", "Pleural Effusion")

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.model = SimpleNamespace(bert=self.bert)

    def get_label(self, text: str) -> list[int]:
        return [int("heart" in text), int("effusion" in text), int("clear" in text)]

    def tokenizer(self, text: str, *, truncation: bool, max_length: int, return_tensors: str) -> Any:
        assert (truncation, max_length, return_tensors) == (True, 512, "pt")

        class Ids(dict[str, torch.Tensor]):
            def to(self, _device: torch.device) -> "Ids":
                return self

        mark = torch.tensor([[1, "heart" in text, "effusion" in text]])
        return Ids(input_ids=mark, attention_mask=torch.ones_like(mark))

    def bert(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.stack([ids.float(), attention_mask.float()], dim=1),)


class FakeRadGraph:
    """As radgraph 0.1.18: texts in, ``{"0": {"entities": {id: {"tokens", "label", "relations"}}}}`` out."""

    def __init__(self, model_type: str, cuda: int) -> None:
        assert (model_type, cuda) == ("radgraph", -1)

    def __call__(self, texts: list[str]) -> dict[str, Any]:
        def graph(text: str) -> dict[str, Any]:
            words = text.split()
            entities = {
                str(n): {"tokens": word, "label": "OBS-DP", "relations": [["modify", str(n + 1)]][: len(words) - n - 1]}
                for n, word in enumerate(words)
            }
            return {"entities": entities}

        return {str(n): graph(text) for n, text in enumerate(texts)}


def test_a_metric_runs_in_a_process_of_its_own_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_bertscore(tmp_path, monkeypatch)
    found = published_scores(PAIRS, ["bertscore"])["bertscore"]
    assert (found["n"], found["packages"]) == (2, {"bert-score": None})
    assert found["scores"]["bertscore"] == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_a_package_that_is_missing_is_named_with_its_weights() -> None:
    for metric, answer in published_scores(PAIRS).items():
        assert "pip install" in answer["not_run"], metric
        assert "Weights: " in answer["not_run"]


def test_weights_that_are_missing_are_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_bertscore(tmp_path, monkeypatch, 'raise OSError("offline")')
    assert "weights are missing" in published_scores(PAIRS, ["bertscore"])["bertscore"]["not_run"]


def test_a_package_that_fails_repeats_no_word_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_bertscore(tmp_path, monkeypatch, 'raise RuntimeError("left effusion")')
    found = published_scores(PAIRS, ["bertscore"])["bertscore"]["not_run"]
    assert "RuntimeError in bert_score.py" in found
    assert "effusion" not in found


def test_a_python_that_is_not_there_is_said() -> None:
    assert (
        "cannot be started"
        in published_scores(PAIRS, ["bertscore"], Way(python="no-such-python"))["bertscore"]["not_run"]
    )


def test_radgraph_is_asked_for_all_its_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    def scorer(reward_level: str, model_type: str, cuda: int) -> Any:
        assert (reward_level, model_type, cuda) == ("all", "radgraph-xl", 1)
        return lambda hyps, refs: ((0, 0, 0), ([1.0] * len(hyps), [0.5] * len(refs), [0.25] * 2), [], [])

    fake(monkeypatch, "radgraph", F1RadGraph=scorer)
    found = published_tools.measure("radgraph", TEXTS, "cuda:1")
    assert found["scores"]["radgraph_partial"] == [0.5, 0.5]


def test_radgraph_downloads_nothing_it_was_not_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(monkeypatch, "radgraph")
    fake(monkeypatch, "appdirs", user_cache_dir=lambda _: str(tmp_path))
    monkeypatch.setattr(published_tools.importlib.metadata, "version", lambda _: "0.1.18")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "weights are missing" in published_tools.measure("radgraph", TEXTS, "cpu")["not_run"]


def test_ratescore_takes_candidates_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scorer:
        def __init__(self, use_gpu: bool) -> None:
            assert not use_gpu

        def compute_score(self, candidate_list: list[str], reference_list: list[str]) -> list[float]:
            assert (candidate_list, reference_list) == (TEXTS["candidates"], TEXTS["references"])
            return [1, 0.5]

    fake(monkeypatch, "RaTEScore", RaTEScore=Scorer)
    assert published_tools.measure("ratescore", TEXTS, "cpu")["scores"] == {"ratescore": [1.0, 0.5]}


def test_chexbert_gives_labels_and_the_cosine_of_its_states(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "f1chexbert", F1CheXbert=FakeCheXbert)
    found = published_tools.measure("chexbert", TEXTS, "cpu")
    assert found["labels"]["given"] == [[1, 0, 0], [0, 0, 1]]
    assert found["scores"]["chexbert_similarity"] == pytest.approx([1, 1 / math.sqrt(2)])


def test_radcliq_is_made_of_three_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "radgraph", RadGraph=FakeRadGraph)
    fake(monkeypatch, "f1chexbert", F1CheXbert=FakeCheXbert)
    scorer = SimpleNamespace(
        score=lambda given, true: (0, 0, torch.tensor([float(a == b) for a, b in zip(given, true, strict=True)]))
    )
    fake(monkeypatch, "bert_score", BERTScorer=lambda *_args, **_options: scorer)
    found = published_tools.measure("radcliq", TEXTS, "cpu")["scores"]
    assert (found["radgraph"], found["bertscore"]) == ([1, 0], [1, 0])
    scores = radcliq_v1(found)
    assert scores[0] < scores[1]


def test_radcliq_by_hand() -> None:
    means = {"radgraph": [0.53792312], "bertscore": [0.61757256], "chexbert_similarity": [0.76479421]}
    assert radcliq_v1(means) == pytest.approx([0])
    perfect = {name: [1.0] for name in means}
    expected = -0.377083683 * 1.5258 - 0.3703001 * 1.7049 - 0.252616218 * 0.9262
    assert radcliq_v1(perfect) == pytest.approx([expected], abs=1e-3)


def test_label_scores_are_those_of_all_labels_and_of_the_five(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"given": [[1, 0, 0], [0, 0, 1]], "true": [[1, 0, 0], [0, 1, 0]]}
    names = {"names": FakeCheXbert.target_names, "five": FakeCheXbert.target_names_5}
    answer = {"labels": labels | names, "scores": {}, "packages": {}}
    monkeypatch.setattr("training_jobs.evaluation.published._run", lambda *_: answer)
    scores = published_scores(PAIRS, ["chexbert"])["chexbert"]["scores"]
    assert scores["chexbert_micro_f1_14"]["value"] == 0.5
    assert scores["chexbert_micro_f1_5"]["value"] == pytest.approx(2 / 3)
    assert scores["chexbert_macro_f1_14"]["value"] == pytest.approx(1 / 3)
