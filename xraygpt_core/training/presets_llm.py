"""Recipes for the medical LLM: FastChat's for Vicuna, and ChatDoctor's two.

XrayGPT's authors tuned Vicuna-7B twice in a row, on about 100,000 dialogues of patients and doctors and then on those
about radiology; their settings were never published, and their README points to FastChat's recipe.
"""

from xraygpt_core.training.preset import Choice, Preset, Wants

_FASTCHAT = "FastChat, README, fine-tuning with local GPUs (f34f28c, the version XrayGPT pins)"
_CHATDOCTOR = "ChatDoctor, README, fine-tuning"
_LORA = "ChatDoctor, README, fine-tuning with LoRA"
_LORA_CODE = "ChatDoctor, train_lora.py"
_HUGGING = "the defaults of Hugging Face's Trainer, which the original trains with"
_MASKED = "only what the assistant says is learned, as in FastChat"

_TRAINER = (
    Choice("schedule", "cosine", "cosine", _HUGGING),
    Choice("min_lr", 0.0, 0.0, _HUGGING),
    Choice("warmup_lr", 0.0, 0.0, _HUGGING),
    Choice("weight_decay", 0.0, 0.0, _HUGGING),
    Choice("beta2", 0.999, 0.999, _HUGGING),
    Choice("clip", 1.0, 1.0, _HUGGING),
    Choice("seed", 42, 42, _HUGGING),
)
_PRECISION = (
    "on a CPU that does not multiply it, set precision=float32; weights and moments that learn are float32 in ours"
)
_SHARD = "with one process nothing is cut; start several with torchrun"
_KEYWORDS = Choice(
    "conversations.keywords",
    None,
    "a subset by radiology terms in XrayGPT's second run",
    "XrayGPT, an author answering a user",
    "the terms were not published; for that run set conversations.keywords=radiology, which is our list",
)
_NAMES = Choice(
    "names", "taken out", "taken out", "XrayGPT, an author answering a user", "Chat Doctor and its courtesies"
)

FASTCHAT_VICUNA_7B = Preset(
    "fastchat-vicuna-7b",
    "medical-llm",
    "Every weight on dialogues, as FastChat makes Vicuna: what XrayGPT's README points to",
    (
        Choice("llm.tune", "full", "full", _FASTCHAT),
        Choice("llm.strategy", "shard", "FSDP, full_shard auto_wrap", _FASTCHAT, _SHARD),
        Choice("llm.gradient_checkpointing", True, "on", _FASTCHAT),
        Choice("precision", "bfloat16", "bf16", _FASTCHAT, _PRECISION),
        Choice("epochs", 3.0, 3, _FASTCHAT),
        Choice("batch", 128, 128, "FastChat, README, table of hyper-parameters", "8 GPUs of 4 and 4 steps summed"),
        Choice("micro_batch", 4, 4, _FASTCHAT),
        Choice("lr", 2e-5, 2e-5, _FASTCHAT),
        Choice("warmup_share", 0.03, 0.03, _FASTCHAT),
        *_TRAINER,
        Choice("conversations.max_tokens", 2048, 2048, _FASTCHAT),
        _KEYWORDS,
        Choice("checkpoint_every", 1200, 1200, _FASTCHAT),
    ),
    (
        Choice("batch of the command", "128", "32", _FASTCHAT, "its command sums up nothing; its table says 128"),
        Choice("padding", "none", "to 2048 tokens", "FastChat, train/train.py", "ours computes no padding"),
        _NAMES,
    ),
    Wants(template="vicuna-v0"),
)

CHATDOCTOR_FULL = Preset(
    "chatdoctor-full",
    "medical-llm",
    "Every weight on ChatDoctor's dialogues, gently and once",
    (
        Choice("llm.tune", "full", "full", _CHATDOCTOR),
        Choice("llm.strategy", "shard", "FSDP, full_shard auto_wrap", _CHATDOCTOR, _SHARD),
        Choice("llm.gradient_checkpointing", False, "off", _CHATDOCTOR),
        Choice("precision", "bfloat16", "bf16", _CHATDOCTOR, _PRECISION),
        Choice("epochs", 1.0, 1, _CHATDOCTOR),
        Choice("batch", 128, "4 GPUs, 4 each, 8 steps summed", _CHATDOCTOR),
        Choice("micro_batch", 4, 4, _CHATDOCTOR),
        Choice("lr", 2e-6, 2e-6, _CHATDOCTOR),
        Choice("warmup_share", 0.03, 0.03, _CHATDOCTOR),
        *_TRAINER,
        Choice("conversations.max_tokens", 512, 512, "ChatDoctor, train.py"),
        _KEYWORDS,
        Choice("checkpoint_every", 500, 2000, _CHATDOCTOR, "an epoch has 876 steps: the original would keep none"),
    ),
    (
        Choice("layout", "the bundle's", "### Instruction/### Input/### Response", _CHATDOCTOR, "as it is served"),
        Choice("data before", "none", "Alpaca's", _CHATDOCTOR, "XrayGPT begins with Vicuna, which can converse"),
        _NAMES,
    ),
)

CHATDOCTOR_LORA = Preset(
    "chatdoctor-lora",
    "medical-llm",
    "An adapter on ChatDoctor's dialogues: for one card",
    (
        Choice("llm.tune", "lora", "lora", _LORA),
        Choice("llm.strategy", "replicate", "DDP", _LORA),
        Choice("llm.rank", 8, 8, _LORA_CODE),
        Choice("llm.alpha", 16, 16, _LORA_CODE),
        Choice("llm.gradient_checkpointing", False, False, _LORA_CODE),
        Choice("precision", "bfloat16", "fp16 over int8 weights", _LORA_CODE, "bfloat16 needs no loss scaling"),
        Choice("epochs", 1.0, 1, _LORA),
        Choice("batch", 32, 32, _LORA),
        Choice("micro_batch", 4, 4, _LORA),
        Choice("lr", 3e-5, 3e-5, _LORA),
        Choice("warmup", 100, 100, _LORA_CODE),
        Choice("schedule", "cosine", "linear", _HUGGING, "as in the other recipes: the loop has no linear one"),
        *_TRAINER[1:],
        Choice("conversations.max_tokens", 256, 256, _LORA),
        _KEYWORDS,
        Choice("checkpoint_every", 200, 200, _LORA_CODE),
    ),
    (
        Choice("dropout", 0.0, 0.05, _LORA_CODE, "a resumed run must draw the same; one epoch does not overfit"),
        Choice("what is learned", "answers", "questions too (train_on_inputs)", _LORA_CODE, _MASKED),
        Choice("matrices", "q, k, v, o", "q, v (peft's choice for LLaMA)", _LORA_CODE, "as the demo's adapter"),
        _NAMES,
    ),
)
