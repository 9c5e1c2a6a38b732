"""XrayGPT's two stages, as its paper (arXiv 2306.07971, section 5.1) has them and as its repository's YAML files do.

The two disagree: the repository begins stage 2 at MiniGPT-4's projector and trains it sixteen times less long. What the
paper leaves open is inherited from the repository, which inherits most of it from MiniGPT-4.
"""

from xraygpt_core.training.preset import Choice, Preset, Wants

_PAPER = "paper, section 5.1"
_YAML1 = "train_configs/xraygpt_mimic_pretrain.yaml"
_YAML2 = "train_configs/xraygpt_openi_finetune.yaml"
_RUNNER = "xraygpt/runners/runner_base.py"
_OPTIMS = "xraygpt/common/optims.py"
_MODEL = "xraygpt/models/mini_gpt4.py"
_SILENT = "the paper does not say; inherited from the repository"

_PRECISION = (
    "float32 gives the same weights on every machine and after every resume; precision=float16 is the original's "
    "mixed precision"
)
_CHECKPOINTS = "the original saves once an epoch; a run that may be stopped at any time saves more often"


def _shared(yaml: str, *, silent: str = "") -> tuple[Choice, ...]:
    """What both stages of paper and repository have in common, from one of the YAML files and the runner."""
    said = not silent
    return (
        Choice("schedule", "cosine-whole-run", "linear_warmup_cosine_lr" if said else None, _OPTIMS, silent),
        Choice("weight_decay", 0.05, 0.05 if said else None, yaml, silent),
        Choice("beta2", 0.999, 0.999 if said else None, _RUNNER, silent),
        Choice("clip", 0.0, "none" if said else None, _RUNNER, silent),
        Choice("precision", "float32", "amp: True" if said else None, yaml, _PRECISION),
        Choice("seed", 42, 42 if said else None, yaml, silent),
        Choice("align_steps", 0, "none", _MODEL),
        Choice("projector.kind", "LinearProjector", "llama_proj, one nn.Linear", _MODEL),
        Choice("llm.tune", "none", "frozen", _MODEL),
        Choice("text.indication", False, "none", _MODEL),
        Choice("text.paraphrases", 0.0, 0, _MODEL),
    )


def _rates(yaml: str, lr: float, least: float, warmup: int, *, silent: str = "") -> tuple[Choice, ...]:
    values = {"lr": lr, "min_lr": least, "warmup_lr": 1e-6, "warmup": warmup}
    return tuple(Choice(key, value, None if silent else value, yaml, silent) for key, value in values.items())


_TRAINER = Choice(
    "after the last epoch",
    "held-out loss with its control, and a report",
    "TypeError: evaluate() without ckpt",
    _RUNNER,
    "the original ends in an error after its last checkpoint, and never validates",
)
_CUT = (
    "the original cuts a longer text together with its end symbol, so that its end is never learned; ours cuts before "
    "the end symbol"
)
_ASKED = (
    "one of fifteen for each batch, as the released code draws them; themes as in its prompts/alignment.txt, "
    "in words of ours"
)

REPOSITORY_STAGE1 = Preset(
    "repository-stage1",
    "stage1",
    "XrayGPT's repository, first stage: 20,000 steps of 12 without a prompt, texts cut at 32 tokens",
    (
        Choice("start", "new", "new", _YAML1),
        Choice("steps", 20_000, "4 epochs x 5000 iterations", _YAML1),
        Choice("batch", 12, "3 on each of 4 GPUs", _YAML1),
        *_rates(_YAML1, 1e-4, 8e-5, 500),
        *_shared(_YAML1),
        Choice("text.prompts", "none", "no prompt_path", _YAML1),
        Choice("text.end_symbol", "\n", "\\n, the default end_sym", _MODEL),
        Choice("text.max_tokens", 32, "32, the default max_txt_len", _MODEL, _CUT),
        Choice("checkpoint_every", 500, 5000, _RUNNER, _CHECKPOINTS),
    ),
    (
        Choice(
            "data", "the run's mixture", "MIMIC-CXR, filter_cap.json", _YAML1, "about 1.1 passes over 213,514 pairs"
        ),
        Choice(
            "image tokens",
            "the base's encoder",
            "32 of the Q-Former, 768 numbers each",
            _MODEL,
            "a bundle with Blip2Encoder has these; the paper's MedCLIP has one of 512",
        ),
        Choice(
            "projector",
            "LinearProjector",
            "of 768 -> 4096, from nothing",
            _YAML1,
            "its sizes are those of the base's encoder and LLM",
        ),
        _TRAINER,
    ),
    Wants("Blip2Encoder", "xraygpt-code"),
)

REPOSITORY_STAGE2 = Preset(
    "repository-stage2",
    "stage2",
    "XrayGPT's repository, second stage: 2,501 steps of one pair with a prompt",
    (
        Choice(
            "start",
            "base",
            "ckpt: pretrained_minigpt4_7b.pth",
            _YAML2,
            "the YAML begins at MiniGPT-4's projector and not at stage 1's, as the paper has it; ours goes on from the "
            "base's; start=file with projector.file repeats the YAML",
        ),
        Choice("steps", 2501, "1 epoch x 2501 iterations", _YAML2),
        Choice("batch", 1, "1 on each GPU", _YAML2),
        *_rates(_YAML2, 3e-5, 1e-5, 200),
        *_shared(_YAML2),
        Choice("text.prompts", "many", "prompts/alignment.txt", _YAML2, _ASKED),
        Choice("text.end_symbol", "###", "###", _YAML2),
        Choice("text.max_tokens", 160, 160, _YAML2, _CUT),
        Choice("checkpoint_every", 100, 2501, _RUNNER, _CHECKPOINTS),
    ),
    (
        Choice("data", "the run's mixture", "Open-i, filter_cap.json", _YAML2, "about 0.7 passes over 3,403 pairs"),
        _TRAINER,
    ),
    Wants("Blip2Encoder", "xraygpt-code"),
)

PAPER_STAGE1 = Preset(
    "paper-stage1",
    "stage1",
    "XrayGPT's paper, first stage: 320,000 steps of 128 on MIMIC-CXR",
    (
        Choice("start", "new", "new", _PAPER),
        Choice("steps", 320_000, "320k", _PAPER),
        Choice("batch", 128, "128, on 4 MI250X", _PAPER),
        *_rates(_YAML1, 1e-4, 8e-5, 500, silent=_SILENT),
        *_shared(_YAML1, silent=_SILENT),
        Choice("text.prompts", "many", "###Doctor: <img> <instruction> ###Assistant:", "paper, section 3.1", _ASKED),
        Choice(
            "text.end_symbol",
            "###",
            None,
            _YAML2,
            "the paper does not say; its prompt ends turns with ###, as stage 2 of the repository does (its stage 1 "
            "ends texts with a line break, which a model that was asked would never learn to stop at)",
        ),
        Choice(
            "text.max_tokens",
            160,
            None,
            _YAML2,
            "the paper does not say; the repository's 32 tokens cut nearly every summary, so stage 2's 160 are taken",
        ),
        Choice("checkpoint_every", 1000, None, _RUNNER, _CHECKPOINTS),
    ),
    (
        Choice(
            "data",
            "the run's mixture",
            "213,514 pairs of MIMIC-CXR",
            _PAPER,
            "320k steps of 128 are 192 passes over them",
        ),
        Choice(
            "image tokens",
            "the base's encoder",
            "one of MedCLIP, 512 numbers",
            "paper, section 3.1",
            "MedClipSwin, pooled",
        ),
        Choice("projector", "LinearProjector", "512 -> 4096, from nothing", "paper, section 3.1"),
        _TRAINER,
    ),
    Wants("MedClipSwin", "xraygpt-paper"),
)

PAPER_STAGE2 = Preset(
    "paper-stage2",
    "stage2",
    "XrayGPT's paper, second stage: 5,000 steps of 32 on Open-i",
    (
        Choice("start", "base", "the model of stage 1", _PAPER),
        Choice("steps", 5000, "5k", _PAPER),
        Choice("batch", 32, "32, on one MI250X", _PAPER),
        *_rates(_YAML2, 3e-5, 1e-5, 200, silent=_SILENT),
        *_shared(_YAML2, silent=_SILENT),
        Choice("text.prompts", "many", "###Doctor: <img> <instruction> ###Assistant:", "paper, section 3.2", _ASKED),
        Choice("text.end_symbol", "###", None, _YAML2, _SILENT),
        Choice("text.max_tokens", 160, None, _YAML2, _SILENT),
        Choice("checkpoint_every", 250, None, _RUNNER, _CHECKPOINTS),
    ),
    (
        Choice("data", "the run's mixture", "about 3,000 pairs of Open-i", _PAPER, "5k steps of 32 are some 47 passes"),
        _TRAINER,
    ),
    Wants("MedClipSwin", "xraygpt-paper"),
)
