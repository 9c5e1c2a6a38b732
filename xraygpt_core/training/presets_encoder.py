"""Recipes for stage 0: MedCLIP's (Wang et al. 2022, arXiv 2210.10163), as its repository has it, and the demo's own."""

from xraygpt_core.training.preset import Choice, Preset, Wants

_SCRIPT = "MedCLIP, examples/run_medclip_pretrain.py"
_TRAINER = "MedCLIP, medclip/trainer.py"
_LOSSES = "MedCLIP, medclip/losses.py"
_MODEL = "MedCLIP, medclip/modeling_medclip.py"
_RECIPE = "training_jobs/recipe/demo.toml"
_OURS = "there is no original: these blocks, films and minutes are the demo's"

MEDCLIP_ENCODER = Preset(
    "medclip-encoder",
    "encoder",
    "MedCLIP: ten passes over films with labels, which texts shall match",
    (
        Choice("epochs", 10.0, 10, _SCRIPT),
        Choice("batch", 100, 100, _SCRIPT),
        Choice("lr", 2e-5, 2e-5, _SCRIPT),
        Choice("warmup_share", 0.1, 0.1, _SCRIPT),
        Choice("weight_decay", 1e-4, 1e-4, _SCRIPT),
        Choice("schedule", "cosine", "WarmupCosine", _TRAINER),
        Choice("min_lr", 0.0, 0, _TRAINER),
        Choice("beta2", 0.999, "AdamW's default", _TRAINER),
        Choice("clip", 1.0, 1, _TRAINER),
        Choice(
            "precision",
            "float32",
            "use_amp=True",
            _SCRIPT,
            "float32 gives the same weights on every machine and after every resume",
        ),
        Choice("seed", 42, 42, _SCRIPT),
        Choice(
            "encoder.last",
            12,
            "every weight",
            _MODEL,
            "all twelve blocks learn; the patch embedding below them stays as it is, so that each film is read once. "
            "A film's tokens at this cut take 0.6 MB, with last=2 they take 75 kB",
        ),
        Choice(
            "encoder.matching",
            1.0,
            "the only loss",
            _LOSSES,
            "labels are read off the features as well, so that places are learned that texts do not name",
        ),
        Choice(
            "checkpoint_every",
            1000,
            1000,
            _SCRIPT,
        ),
    ),
    (
        Choice("data", "the run's mixture", "CheXpert and MIMIC-CXR, training splits", _SCRIPT),
        Choice("start", "the base's encoder", "a Swin transformer of ImageNet (MedCLIP-ViT)", _MODEL),
        Choice(
            "augmentation",
            "variants of a set",
            "flip, jitter 0.2, 10 degrees, scale 0.8-1.1, shift 0.0625, crop 224 of 256",
            _SCRIPT,
            "a film is never flipped: it would change sides",
        ),
        Choice(
            "text tower",
            "the base's LLM, frozen; 128 shared dimensions",
            "Bio_ClinicalBERT, trained; 512 shared dimensions",
            _MODEL,
            "the head of the comparison is thrown away; the encoder keeps its own projection of 512",
        ),
        Choice("temperature", "0.07, learned", "0.07, learned", _MODEL),
        Choice(
            "likeness of labels",
            "the cosine",
            "the product of label vectors",
            _LOSSES,
            "a film of many findings is not more like everything",
        ),
    ),
    Wants("MedClipSwin"),
)

DEMO_ENCODER = Preset(
    "demo-encoder",
    "encoder",
    "The demo, stage 0: the last five blocks of EfficientNet-lite0 on labels and texts",
    (
        Choice("steps", 700, 700, _RECIPE, _OURS),
        Choice("batch", 64, 64, _RECIPE),
        Choice("lr", 4e-4, 4e-4, _RECIPE),
        Choice("warmup", 20, 20, _RECIPE),
        Choice("weight_decay", 0.05, 0.05, _RECIPE),
        Choice("encoder.last", 5, 5, _RECIPE),
        Choice("encoder.layers", ("block10", "head"), "block10, head", _RECIPE),
        Choice("encoder.matching", 0.2, 0.2, _RECIPE, "beside the labels; MedCLIP has nothing else"),
        Choice("checkpoint_every", 100, 100, _RECIPE),
    ),
    (Choice("data", "the recipe's drawn, painted and free films", "the same", _RECIPE),),
    Wants("EfficientNetLite0Maps"),
)
