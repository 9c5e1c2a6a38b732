"""Named recipes for a run: MedCLIP, XrayGPT's paper, its repository, MAIRA-1, LLaVA-Rad, and the demo's own.

``python -m training_jobs presets NAME`` prints one with the source of each value, the original, ours, and why.
"""

from collections.abc import Mapping
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.preset import Preset, Row, under
from xraygpt_core.training.presets_demo import DEMO_STAGE1, DEMO_STAGE2
from xraygpt_core.training.presets_encoder import DEMO_ENCODER, MEDCLIP_ENCODER
from xraygpt_core.training.presets_llm import CHATDOCTOR_FULL, CHATDOCTOR_LORA, FASTCHAT_VICUNA_7B
from xraygpt_core.training.presets_others import LLAVA_RAD_ALIGN, LLAVA_RAD_TUNE, MAIRA_1
from xraygpt_core.training.presets_xraygpt import PAPER_STAGE1, PAPER_STAGE2, REPOSITORY_STAGE1, REPOSITORY_STAGE2

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        MEDCLIP_ENCODER,
        PAPER_STAGE1,
        PAPER_STAGE2,
        REPOSITORY_STAGE1,
        REPOSITORY_STAGE2,
        MAIRA_1,
        LLAVA_RAD_ALIGN,
        LLAVA_RAD_TUNE,
        DEMO_ENCODER,
        DEMO_STAGE1,
        DEMO_STAGE2,
        FASTCHAT_VICUNA_7B,
        CHATDOCTOR_FULL,
        CHATDOCTOR_LORA,
    )
}
CHANGED = "changed by this run"
_INSTEAD = {"steps": "epochs", "warmup": "warmup_share"}


def preset_named(name: str) -> Preset:
    """A preset.

    Raises:
        TrainingError: there is none of this name.
    """
    if name not in PRESETS:
        raise TrainingError(f"there is no preset {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def with_preset(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration's document with the values of the preset it names under its own.

    Raises:
        TrainingError: there is no preset of this name.
    """
    name = data.get("preset")
    if name is None:
        return data
    if not isinstance(name, str):
        raise TrainingError("preset is the name of a preset")
    values = preset_named(name).document()
    for own, instead in _INSTEAD.items():  # a run that counts its steps does not want the preset's epochs
        if own in data and instead not in data:
            values.pop(instead, None)
    return under(values, data)


def check_stage(name: str | None, stage: str) -> None:
    """Whether a run's preset is one for its stage.

    Raises:
        TrainingError: it is for another one.
    """
    if name is not None and (preset := preset_named(name)).stage != stage:
        raise TrainingError(f"the preset {name} is for {preset.stage}, not for {stage}")


def explain(preset: Preset, settings: Mapping[str, Any] | None = None) -> list[Row]:
    """Every value of a preset beside the original; with a run's settings (nested), what the run has instead."""
    rows = []
    for choice in preset.choices:
        value = choice.value if settings is None else _at(settings, choice.key, choice.value)
        value = tuple(value) if isinstance(value, list) else value  # a stored configuration's
        why = choice.why if value == choice.value else f"{CHANGED} (the preset has {shown(choice.value)})"
        rows.append(Row(choice.key, value, choice.original, choice.source, why))
    rows += [Row(choice.key, choice.value, choice.original, choice.source, choice.why) for choice in preset.about]
    return rows


def shown(value: Any) -> str:
    """A value as the table shows it: an end symbol that is a line break is visible."""
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return "–" if value is None else repr(value) if isinstance(value, str) and "\n" in value else str(value)


def _at(settings: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    found: Any = settings
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return otherwise
        found = found[part]
    return found
