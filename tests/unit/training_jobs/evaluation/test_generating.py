"""Texts by the engine."""

from dataclasses import replace

from training_jobs.drawers.drawings import draw, phantoms
from training_jobs.evaluation.generating import summaries
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.config import Phantoms


def test_summaries_come_in_order_and_report_their_progress(tiny_bundle: Bundle) -> None:
    pictures = [draw(drawing).png for drawing in phantoms(Phantoms(count=8))]
    notes: list[tuple[int, int]] = []
    # In bfloat16, two products of different sizes may choose different kernels, and so different words.
    bundle = replace(tiny_bundle, dtype="float32")
    texts = summaries(bundle, pictures, 2, lambda done, total: notes.append((done, total)), "cpu")
    assert len(texts) == 8
    assert notes == [(done, 8) for done in range(1, 9)]
    assert summaries(bundle, pictures[6:], 2, lambda *_: None, "cpu") == texts[6:]


def test_without_pictures_there_is_no_text(tiny_bundle: Bundle) -> None:
    assert summaries(tiny_bundle, [], 2, lambda *_: None, "cpu") == []
