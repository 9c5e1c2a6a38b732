"""Published metrics by their authors' packages, as a program of its own.

It runs in whatever Python (3.10 or later) has the packages: beside the standard library it imports nothing at its top,
and nothing of ours. ``python published_tools.py METRIC DEVICE RESULT`` reads ``{"candidates", "references"}`` from
stdin and writes ``{"scores": {name: [a value for each text]}, "packages"}``, with ``"labels"`` for CheXbert, or
``{"not_run": why}`` to RESULT.

How each is called was read in f1chexbert 0.0.2, radgraph 0.1.18, RaTEScore 0.6.0, bert-score 0.3.13 and, for RadCliQ,
jbdel/RadEval ``radcliq.py``. No message holds a word of a text.
"""

import importlib.metadata
import importlib.util
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

MODULES = {
    "chexbert": ("f1chexbert",),
    "radgraph": ("radgraph",),
    "ratescore": ("RaTEScore",),
    "bertscore": ("bert_score",),
    "radcliq": ("radgraph", "bert_score", "f1chexbert"),
}
PACKAGES = {"f1chexbert": "f1chexbert", "radgraph": "radgraph", "RaTEScore": "RaTEScore", "bert_score": "bert-score"}
WEIGHTS = {
    "f1chexbert": "chexbert.pth of huggingface.co/StanfordAIMI/RRG_scorers and the tokenizer of bert-base-uncased",
    "radgraph": "an archive of huggingface.co/StanfordAIMI/RRG_scorers and the BERT it names",
    "RaTEScore": "huggingface.co/Angelakeke/RaTE-NER-Deberta and FremyCompany/BioLORD-2023-C",
    "bert_score": "huggingface.co/distilroberta-base",
}
Texts = list[str]
Answer = dict[str, Any]


def bertscore(candidates: Texts, references: Texts, device: str) -> Answer:
    """BERTScore-F1 as ReXrank takes it: distilroberta-base, no idf, rescaled with the baseline."""
    return {"scores": {"bertscore": bert_f1(candidates, references, device)}}


def bert_f1(candidates: Texts, references: Texts, device: str) -> list[float]:
    scorer = import_module("bert_score").BERTScorer(
        "distilroberta-base", device=device, lang="en", rescale_with_baseline=True, idf=False
    )
    _, _, f1 = scorer.score(candidates, references)
    return [float(value) for value in f1]


def ratescore(candidates: Texts, references: Texts, device: str) -> Answer:
    """RaTEScore with its matrix for long reports. It scores 0.5 where a text has no entity at all."""
    scorer = import_module("RaTEScore").RaTEScore(use_gpu=device != "cpu")
    return {"scores": {"ratescore": list(map(float, scorer.compute_score(candidates, references)))}}


def radgraph(candidates: Texts, references: Texts, device: str) -> Answer:
    """RadGraph-XL F1: entities alone, with whether they have a relation (the usual one), and with their relations."""
    need_archive("radgraph-xl")
    scorer = import_module("radgraph").F1RadGraph(reward_level="all", model_type="radgraph-xl", cuda=cuda_of(device))
    _, rewards, _, _ = scorer(hyps=candidates, refs=references)
    names = ("radgraph_simple", "radgraph_partial", "radgraph_complete")
    return {"scores": {name: list(map(float, one)) for name, one in zip(names, rewards, strict=True)}}


def chexbert(candidates: Texts, references: Texts, device: str) -> Answer:
    """CheXbert's 14 labels of both texts (uncertain counts as there), and the cosine of its two embeddings."""
    scorer = import_module("f1chexbert").F1CheXbert(device=device)
    given, true = ([scorer.get_label(text.strip()) for text in texts] for texts in (candidates, references))
    labels = {"given": given, "true": true, "names": list(scorer.target_names), "five": list(scorer.target_names_5)}
    return {"labels": labels, "scores": {"chexbert_similarity": similarities(scorer, candidates, references)}}


def similarities(scorer: Any, candidates: Texts, references: Texts) -> list[float]:
    """The cosine of CheXbert's [CLS] states, one for each pair; 0 where one is zero."""
    import torch

    def state(text: str) -> Any:
        ids = scorer.tokenizer(text.strip(), truncation=True, max_length=512, return_tensors="pt").to(scorer.device)
        with torch.no_grad():
            hidden = scorer.model.bert(ids["input_ids"], attention_mask=ids["attention_mask"])[0]
        return hidden[0, 0]

    pairs = zip(candidates, references, strict=True)
    return [float(torch.nn.functional.cosine_similarity(state(a), state(b), dim=0)) for a, b in pairs]


def radcliq(candidates: Texts, references: Texts, device: str) -> Answer:
    """What RadCliQ-v1 is computed of, but for its BLEU-2, which weighs nothing."""
    need_archive("radgraph")
    graphs = import_module("radgraph").RadGraph(model_type="radgraph", cuda=cuda_of(device))
    found, wanted = (graphs(texts) for texts in (candidates, references))
    facts = [graph_f1(found[str(n)], wanted[str(n)]) for n in range(len(candidates))]
    semb = similarities(import_module("f1chexbert").F1CheXbert(device=device), candidates, references)
    return {
        "scores": {"radgraph": facts, "bertscore": bert_f1(candidates, references, device), "chexbert_similarity": semb}
    }


def graph_f1(found: Answer, wanted: Answer) -> float:
    """The mean of the F1 over entities and the F1 over relations; 0 where neither text has any."""

    def parts(graph: Answer) -> tuple[set[Any], set[Any]]:
        entities = graph.get("entities", {})
        words = {key: (str(one["tokens"]), one["label"]) for key, one in entities.items()}
        relations = {
            (words[key], kind, words[other])
            for key, one in entities.items()
            for kind, other in one.get("relations", ())
            if other in words
        }
        return set(words.values()), relations

    def f1(ours: set[Any], theirs: set[Any]) -> float:
        return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 0.0

    (entities, relations), (true_entities, true_relations) = parts(found), parts(wanted)
    return (f1(entities, true_entities) + f1(relations, true_relations)) / 2


def cuda_of(device: str) -> int:
    """What radgraph calls a device: a number, -1 for the CPU."""
    return -1 if device == "cpu" else int(device.partition(":")[2] or 0)


def need_archive(kind: str) -> None:
    """Raises FileNotFoundError where radgraph would have to download and may not: it raises a bare Exception itself."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        cache = import_module("appdirs").user_cache_dir("radgraph")
        folder = Path(cache, importlib.metadata.version("radgraph"), kind)
        if not folder.is_dir() or not any(folder.iterdir()):
            raise FileNotFoundError(f"{folder} is empty")


METRICS = {
    "chexbert": chexbert,
    "radgraph": radgraph,
    "radcliq": radcliq,
    "ratescore": ratescore,
    "bertscore": bertscore,
}


def measure(metric: str, texts: dict[str, Texts], device: str) -> Answer:
    """The metric's answer, with the versions of its packages; or why it does not run."""
    modules = MODULES[metric]
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        packages = " ".join(PACKAGES[name] for name in missing)
        weights = "; ".join(WEIGHTS[name] for name in missing)
        return {"not_run": f"{' and '.join(missing)} not installed: pip install {packages}. Weights: {weights}"}
    try:
        answer = METRICS[metric](texts["candidates"], texts["references"], device)
    except ImportError as error:
        return {"not_run": f"{' and '.join(modules)} cannot be imported: {type(error).__name__} of {error.name}"}
    except OSError as error:
        weights = "; ".join(WEIGHTS[name] for name in modules)
        return {"not_run": f"weights are missing ({type(error).__name__}): {weights}. Allow the download, or copy them"}
    return answer | {"packages": {PACKAGES[name]: version_of(PACKAGES[name]) for name in modules}}


def version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Answer once. What a package prints goes to stderr."""
    sys.path.remove(str(Path(__file__).parent))  # our modules beside this one are not what a package asks for
    metric, device, result = sys.argv[1:]
    texts = json.load(sys.stdin)
    sys.stdout = sys.stderr
    Path(result).write_text(json.dumps(measure(metric, texts, device)))


if __name__ == "__main__":
    main()
