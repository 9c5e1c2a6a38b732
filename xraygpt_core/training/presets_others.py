"""Recipes that train the LLM together with the projector: MAIRA-1's, and LLaVA-Rad's two."""

from xraygpt_core.training.preset import Choice, Preset, Wants

_MAIRA = "arXiv 2311.13668"
_SETUP = "arXiv 2311.13668, section on training"
_HUGGING = "the defaults of Hugging Face's Trainer, which LLaVA's code trains with"
_ALIGN = "LLaVA-Rad, scripts/pretrain.sh"
_TUNE = "LLaVA-Rad, scripts/finetune_lora.sh"
_EPOCHS = "the last checkpoint counts in the original; ours saves more often, so that a run can be stopped"
_SECONDARY = "from secondary sources; the paper's own text could not be reached"

_TRAINER = (
    Choice("schedule", "cosine", "cosine", _SETUP),
    Choice("min_lr", 0.0, 0.0, _HUGGING),
    Choice("warmup_lr", 0.0, 0.0, _HUGGING),
    Choice("warmup_share", 0.03, 0.03, _SETUP),
    Choice("weight_decay", 0.0, 0.0, _HUGGING),
    Choice("beta2", 0.999, 0.999, _HUGGING),
    Choice("clip", 1.0, 1.0, _HUGGING),
    Choice("seed", 42, 42, _HUGGING),
    Choice("align_steps", 0, "none", _SETUP),
)
_BFLOAT16 = Choice(
    "precision",
    "float32",
    "bf16",
    _SETUP,
    "float32 gives the same weights on every machine; on a GPU set precision=bfloat16, as the original trains",
)
_NO_INDICATION = (
    "the question is the original's (its wording is that of LLaVA-Rad's code); where a pair has no indication, the "
    "clause is left out"
)

MAIRA_1 = Preset(
    "maira-1",
    "stage1",
    "MAIRA-1: patch tokens of RAD-DINO, an MLP of four layers, projector and LLM trained together",
    (
        Choice("start", "new", "random", _MAIRA),
        Choice("epochs", 3.0, 3, _SETUP, _SECONDARY),
        Choice("batch", 128, 128, _SETUP, _SECONDARY),
        Choice("lr", 2e-5, 2e-5, _SETUP, _SECONDARY),
        *_TRAINER,
        _BFLOAT16,
        Choice("projector.kind", "MlpProjector", "MLP with GELU", _MAIRA),
        Choice("projector.layers", 4, 4, _MAIRA),
        Choice("projector.width", 1024, 1024, _MAIRA, _SECONDARY),
        Choice("llm.tune", "full", "full", _MAIRA),
        Choice("llm.gradient_checkpointing", True, "on", _SETUP, "the same gradients with less memory"),
        Choice("text.prompts", "bundle", "one", _MAIRA),
        Choice(
            "text.indication", True, "given the following indication: …", "LLaVA-Rad, llava/utils.py", _NO_INDICATION
        ),
        Choice("text.end_symbol", "</s>", "</s>", "Vicuna v1.5"),
        Choice("text.max_tokens", 150, "at most 150 new tokens", _MAIRA, "texts are cut where decoding would stop"),
        Choice(
            "text.paraphrases",
            0.47,
            "131,558 paraphrases beside 146,909 reports",
            _MAIRA,
            "the same share; the original has GPT-3.5's, ours are a pair's own or made by rules that change no finding",
        ),
        Choice("checkpoint_every", 500, "each epoch", _SETUP, _EPOCHS),
    ),
    (
        Choice("data", "the run's mixture", "146,909 frontal films of MIMIC-CXR with Findings and Indication", _MAIRA),
        Choice(
            "image tokens",
            "the base's encoder",
            "1369 patches of RAD-DINO, 768 numbers each",
            _MAIRA,
            "RadDino, 518 px",
        ),
        Choice("decoding", "the base's", "greedy, at most 150 new tokens", _MAIRA),
    ),
    Wants("RadDino", "maira-1"),
)

LLAVA_RAD_ALIGN = Preset(
    "llava-rad-align",
    "stage1",
    "LLaVA-Rad, alignment: an MLP of two layers before a frozen LLM",
    (
        Choice("start", "new", "random", _ALIGN),
        Choice("epochs", 1.0, 1, _ALIGN),
        Choice("batch", 256, 256, _ALIGN),
        Choice("lr", 1e-3, 1e-3, _ALIGN),
        *_TRAINER,
        _BFLOAT16,
        Choice("projector.kind", "MlpProjector", "mlp2x_gelu", _ALIGN),
        Choice("projector.layers", 2, 2, _ALIGN),
        Choice("projector.width", 4096, "the LLM's width", _ALIGN, "that of a 7B LLM; set it for another"),
        Choice("llm.tune", "none", "frozen", _ALIGN),
        Choice(
            "text.indication", True, "given the following indication: …", "LLaVA-Rad, llava/utils.py", _NO_INDICATION
        ),
        Choice("text.end_symbol", "</s>", "</s>", "Vicuna v1.5"),
        Choice(
            "text.max_tokens", 512, "2048 with the prompt", _ALIGN, "no report is as long; the image takes the rest"
        ),
        Choice("checkpoint_every", 500, "each epoch", _ALIGN, _EPOCHS),
    ),
    (
        Choice(
            "image tokens",
            "the base's encoder",
            "BiomedCLIP-CXR at 518 px, layer -2",
            _ALIGN,
            "BiomedClipCxr",
        ),
    ),
    Wants("BiomedClipCxr", "maira-1"),
)

LLAVA_RAD_TUNE = Preset(
    "llava-rad-tune",
    "stage2",
    "LLaVA-Rad, tuning: the aligned projector and a LoRA adapter of the LLM together",
    (
        Choice("start", "base", "the aligned projector", _TUNE),
        Choice("epochs", 3.0, 3, _TUNE),
        Choice("batch", 64, "16 on each of 4 GPUs", _TUNE),
        Choice("lr", 1e-4, 1e-4, _TUNE),
        *_TRAINER,
        _BFLOAT16,
        Choice("llm.tune", "lora", "LoRA", _TUNE),
        Choice("llm.rank", 64, 64, "LLaVA-Rad, the default of its code"),
        Choice("llm.alpha", 128, 128, _TUNE),
        Choice("llm.gradient_checkpointing", True, "on", _TUNE, "the same gradients with less memory"),
        Choice(
            "text.indication", True, "given the following indication: …", "LLaVA-Rad, llava/utils.py", _NO_INDICATION
        ),
        Choice("text.end_symbol", "</s>", "</s>", "Vicuna v1.5"),
        Choice("text.max_tokens", 512, "2048 with the prompt", _TUNE, "no report is as long; the image takes the rest"),
        Choice("checkpoint_every", 500, "each epoch", _TUNE, _EPOCHS),
    ),
    (),
    Wants("BiomedClipCxr", "maira-1"),
)
