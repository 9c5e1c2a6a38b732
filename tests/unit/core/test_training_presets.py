"""Presets: values of paper and repository, what differs from them and why, and a run's own values over them."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_jobs.recipe.settings import read_recipe
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.config import parse_config
from xraygpt_core.training.preset import under
from xraygpt_core.training.presets import CHANGED, PRESETS, check_stage, explain, preset_named, shown


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_configuration_of_its_stage(name: str) -> None:
    config = parse_config({"preset": name})
    rows = {row.key: row for row in explain(PRESETS[name], asdict(config))}
    assert all(CHANGED not in row.why for row in rows.values())
    stored = json.loads(json.dumps(asdict(config)))
    assert all(CHANGED not in row.why for row in explain(PRESETS[name], stored))
    check_stage(name, PRESETS[name].stage)


@pytest.mark.parametrize("name", PRESETS)
def test_each_value_has_its_source_and_a_reason_where_it_differs(name: str) -> None:
    for choice in PRESETS[name].choices:
        assert choice.source
        same = choice.value == choice.original or str(choice.value) == str(choice.original)
        numbers = isinstance(choice.value, int | float) and isinstance(choice.original, int | float)
        if choice.original is None or (numbers and not same):
            assert choice.why, choice.key


def test_the_repositorys_first_stage_asks_nothing_and_cuts_at_thirty_two_tokens() -> None:
    config = parse_config({"preset": "repository-stage1"})
    assert (config.text.prompts, config.text.end_symbol, config.text.max_tokens) == ("none", "\n", 32)
    assert (config.steps, config.batch, config.lr, config.min_lr, config.warmup) == (20_000, 12, 1e-4, 8e-5, 500)
    assert (config.schedule, config.weight_decay, config.clip, config.seed) == ("cosine-whole-run", 0.05, 0.0, 42)


def test_the_papers_first_stage_makes_192_passes_over_its_pairs() -> None:
    config = parse_config({"preset": "paper-stage1"})
    assert round(config.steps * config.batch / 213_514) == 192
    assert config.projector.kind == "LinearProjector"


def test_maira_trains_the_llm_with_four_layers_of_1024() -> None:
    config = parse_config({"preset": "maira-1"})
    assert (config.projector.kind, config.projector.layers, config.projector.width) == ("MlpProjector", 4, 1024)
    assert (config.llm.tune, config.text.indication, config.text.max_tokens) == ("full", True, 150)
    assert (config.epochs, config.warmup_share, config.min_lr) == (3.0, 0.03, 0.0)


def test_medclips_encoder_learns_as_its_repository_says() -> None:
    config = parse_config({"preset": "medclip-encoder"})
    assert (config.epochs, config.batch, config.lr, config.weight_decay) == (10.0, 100, 2e-5, 1e-4)
    assert (config.warmup_share, config.schedule, config.min_lr, config.encoder.last) == (0.1, "cosine", 0.0, 12)


def test_the_demos_encoder_preset_is_its_recipe() -> None:
    config, recipe = parse_config({"preset": "demo-encoder"}), read_recipe("demo").encoder
    assert replace(config, preset=None) == recipe


def test_a_runs_own_values_win_and_the_table_says_so() -> None:
    config = parse_config({"preset": "paper-stage1", "steps": 12, "text": {"max_tokens": 40}})
    assert (config.steps, config.text.max_tokens, config.text.end_symbol, config.batch) == (12, 40, "###", 128)
    rows = {row.key: row for row in explain(PRESETS["paper-stage1"], asdict(config))}
    assert (rows["steps"].value, rows["steps"].original) == (12, "320k")
    assert "changed by this run (the preset has 320000)" in rows["steps"].why
    assert CHANGED not in rows["batch"].why


def test_steps_of_a_run_take_the_place_of_a_presets_epochs() -> None:
    assert parse_config({"preset": "maira-1", "steps": 5}).epochs is None
    assert parse_config({"preset": "maira-1", "warmup": 2}).warmup_share is None


@pytest.mark.parametrize("name", PRESETS)
def test_a_stored_configuration_is_read_back_as_it_was(name: str) -> None:
    config = parse_config({"preset": name, "steps": 7})
    assert parse_config(asdict(config)) == config


@pytest.mark.parametrize("wrong", ["papr-stage1", 3, ["maira-1"], ""])
def test_a_preset_that_is_not_there_is_named(wrong: object) -> None:
    with pytest.raises(TrainingError, match="preset"):
        parse_config({"preset": wrong})


def test_a_preset_of_another_stage_is_refused() -> None:
    with pytest.raises(TrainingError, match="paper-stage1 is for stage1, not for stage2"):
        check_stage("paper-stage1", "stage2")


def test_a_line_break_is_visible_in_the_table() -> None:
    assert shown("\n") == "'\\n'"
    assert shown(("block10", "head")) == "block10, head"
    assert preset_named("repository-stage1").title


_TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3))
_OBJECTS = st.dictionaries(st.sampled_from("abc"), _TREES, max_size=3)


@given(_OBJECTS, _OBJECTS)
def test_what_is_explicit_is_kept_and_nothing_else_is_lost(
    values: dict[str, object], explicit: dict[str, object]
) -> None:
    merged = under(values, explicit)
    assert under(merged, explicit) == merged
    assert merged.keys() == values.keys() | explicit.keys()
    assert all(merged[key] == values[key] for key in values.keys() - explicit.keys())
