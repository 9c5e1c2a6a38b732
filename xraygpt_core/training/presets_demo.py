"""The demo bundle's own recipe: a projector with one token for each thing a film can show, on two CPU cores."""

from xraygpt_core.training.preset import Choice, Preset

_CARD = "docs/model-card.md"
_SLOTS = "there is no original: the demo's projector reads a map, and each of its tokens has a meaning"


def _demo(name: str, stage: str, title: str, start: str, align: int) -> Preset:
    return Preset(
        name,
        stage,
        title,
        (
            Choice("start", start, start, _CARD),
            Choice("projector.kind", "MapProjector", "MapProjector", _CARD, _SLOTS),
            Choice("align_steps", align, align, _CARD),
            Choice("steps", 200, 200, _CARD),
            Choice("batch", 16, 16, _CARD),
            Choice("lr", 1e-3, 1e-3, _CARD),
            Choice("schedule", "cosine", "cosine", _CARD),
            Choice("warmup", 20, 20, _CARD),
            Choice("weight_decay", 0.01, 0.01, _CARD),
            Choice("clip", 1.0, 1.0, _CARD),
            Choice("augment", 0.8, 0.8, _CARD),
            Choice("text.prompts", "bundle", "bundle", _CARD),
            Choice("text.max_tokens", 160, 160, _CARD),
            Choice("checkpoint_every", 50, 50, _CARD),
        ),
        (Choice("data", "phantoms, sketches, free films", "the same", _CARD),),
    )


DEMO_STAGE1 = _demo(
    "demo-stage1", "stage1", "The demo, first stage: 400 steps of alignment, then 200 on the LLM's answers", "new", 400
)
DEMO_STAGE2 = _demo("demo-stage2", "stage2", "The demo, second stage: 200 steps on the LLM's answers", "base", 0)
