"""MAIRA-2, LLaVA-Rad and Libra as they lie on disk after download: their files and key names, narrow and seeded.

Where each layout was read:

* MAIRA-2: ``configuration_maira2.py``, ``modeling_maira2.py`` and ``processing_maira2.py`` of microsoft/maira-2. 522
  tensors: 291 of the LLM, 223 of the encoder (Dinov2Backbone), 8 of the projector. 32,207 rows of vocabulary.
* LLaVA-Rad: ``llava/model/builder.py`` and ``llava/model/multimodal_encoder/open_clip_encoder`` of microsoft/LLaVA-Rad.
  No weights of the LLM: 448 tensors of LoRA (r 64, alpha 128) over Vicuna 7B v1.5, a projector, and a training
  checkpoint of open_clip with a timm ``vit_base_patch14_dinov2`` at 518 pixels under ``module.visual.trunk``.
* Libra: ``libra/model/builder.py``, ``libra/model/multimodal_projector/builder.py`` and ``libra/train/train.py`` of
  X-iZhang/Libra. One folder with ``model.mm_projector.*`` beside the LLM; the encoder is microsoft/rad-dino.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tests.support.layout_files import (
    NARROW_LIBRA,
    PREPROCESSOR,
    dino_config,
    llama_settings,
    save_shards,
    write_json,
    write_sentencepiece,
)
from tests.support.layout_shapes import (
    PATCH,
    Sizes,
    connector_shapes,
    dino_shapes,
    drawn,
    llama_shapes,
    mlp_shapes,
    timm_shapes,
)
from tests.support.published_parts import VOCABULARY

MAIRA_TOKENS = (
    *("<obj>", "</obj>", "<box>", "</box>"),
    *(f"<x{number}>" for number in range(100)),
    *(f"<y{number}>" for number in range(100)),
    *("<image>", "<image1>", "<image2>"),  # the last two hold places; their published names are not known here
)
MEDITRON_TOKENS = ("<CLS>", "<SEP>", "<EOD>", "<MASK>", "<PAD>")
MEDITRON_ROWS = 17  # of the embedding beyond SentencePiece's vocabulary; fewer have a token
LLAMA3_TOKENS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


NARROW = Sizes()
NARROW_LIBRA_3B = Sizes(blocks=12, kv_heads=2)


def write_maira2(folder: Path, sizes: Sizes = NARROW, shards: int = 6) -> Path:
    """``folder/maira-2``: one checkpoint in float32 with everything in it."""
    target = folder / "maira-2"
    target.mkdir(parents=True)
    rows = VOCABULARY + len(MAIRA_TOKENS)
    write_json(target / "config.json", maira_config(sizes, rows))
    write_json(target / "preprocessor_config.json", PREPROCESSOR)
    write_json(target / "generation_config.json", {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2})
    write_sentencepiece(target, MAIRA_TOKENS)
    shapes = {f"language_model.{name}": shape for name, shape in llama_shapes(sizes, rows).items()}
    shapes |= {f"vision_tower.{name}": shape for name, shape in dino_shapes(sizes).items()}
    shapes |= mlp_shapes("multi_modal_projector.layers", 4, sizes.width, sizes.hidden)
    save_shards(target, drawn(shapes), shards)
    return target


def maira_config(sizes: Sizes, rows: int) -> dict[str, Any]:
    """``config.json`` of MAIRA-2: rotary positions scaled by 1.5, features of the normed last layer without CLS."""
    backbone = {"apply_layernorm": True, "out_features": [f"stage{sizes.blocks}"], "reshape_hidden_states": False}
    text = llama_settings(sizes, rows) | {"model_type": "llama", "pad_token_id": 0}
    return {
        "architectures": ["Maira2ForConditionalGeneration"],
        "model_type": "maira2",
        "auto_map": {"AutoConfig": "configuration_maira2.Maira2Config"},
        "hidden_size": sizes.hidden,
        "image_token_index": VOCABULARY + MAIRA_TOKENS.index("<image>"),
        "pad_token_id": 0,
        "projector_hidden_act": "gelu",
        "projector_n_layers": 4,
        "multimodal_projector_bias": True,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "text_config": text | {"rope_scaling": {"factor": 1.5, "type": "linear"}},
        "vision_config": dino_config(sizes) | backbone,
        "torch_dtype": "float32",
    }


LLAVA_RAD_LORA: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "lmsys/vicuna-7b-v1.5",
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layers_pattern": None,
    "layers_to_transform": None,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "target_modules": list(LORA_TARGETS),
}


def write_vicuna_v15(folder: Path, sizes: Sizes = NARROW) -> Path:
    """``folder/vicuna-7b-v1.5``: two pickles in float16 with rotary buffers, as lmsys/vicuna-7b-v1.5."""
    target = folder / "vicuna-7b-v1.5"
    target.mkdir(parents=True)
    config = llama_settings(sizes, VOCABULARY) | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    write_json(target / "config.json", config | {"torch_dtype": "float16", "pad_token_id": 0})
    write_sentencepiece(target)
    state = drawn(llama_shapes(sizes, VOCABULARY), torch.float16)
    for layer in range(sizes.layers):
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(sizes.hidden // sizes.heads // 2)
    places: dict[str, str] = {}
    for number in (1, 2):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        held = {name: state[name] for name in sorted(state)[number - 1 :: 2]}
        torch.save(held, target / file)
        places |= dict.fromkeys(held, file)
    write_json(target / "pytorch_model.bin.index.json", {"metadata": {"total_size": 0}, "weight_map": places})
    return target


def write_llava_rad(folder: Path, sizes: Sizes = NARROW) -> Path:
    """``folder/llava-rad``: LoRA, projector and encoder without an LLM, which :func:`write_vicuna_v15` writes."""
    target = folder / "llava-rad"
    target.mkdir(parents=True)
    write_json(target / "config.json", llava_rad_config(sizes))
    write_json(target / "adapter_config.json", LLAVA_RAD_LORA | {"r": sizes.rank, "lora_alpha": 2 * sizes.rank})
    torch.save(drawn(lora_shapes(sizes), torch.bfloat16), target / "adapter_model.bin")
    projector = mlp_shapes("base_model.model.model.mm_projector", 2, sizes.width, sizes.hidden)
    torch.save(drawn(projector, torch.bfloat16), target / "non_lora_trainables.bin")
    vision = {"timm_model_name": "vit_base_patch14_dinov2", "timm_model_pretrained": False, "timm_pool": ""}
    vision |= {"timm_proj": "linear", "image_size": sizes.side * PATCH}
    write_json(target / "biomedclipcxr_518.json", {"embed_dim": 512, "vision_cfg": vision, "text_cfg": {}})
    state = drawn({f"module.visual.trunk.{name}": shape for name, shape in timm_shapes(sizes).items()})
    state |= drawn({"module.visual.head.proj.weight": (512, sizes.width), "module.text.proj.0.weight": (8, 8)})
    state["module.logit_scale"] = torch.tensor(4.6)
    optimizer = {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    content = {"epoch": 32, "name": "biomedclip_cxr_518", "state_dict": state, "optimizer": optimizer}
    torch.save(content, target / "biomedclipcxr_518_checkpoint.pt")
    return target


def lora_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """A and B of every linear map in every layer, under PEFT's names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in llama_shapes(sizes, VOCABULARY).items():
        if name.split(".")[-2] in LORA_TARGETS:
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            shapes[f"{stem}.lora_A.weight"] = (sizes.rank, shape[1])
            shapes[f"{stem}.lora_B.weight"] = (shape[0], sizes.rank)
    return shapes


def llava_rad_config(sizes: Sizes) -> dict[str, Any]:
    """``config.json`` of LLaVA-Rad: its encoder's last layer but one, without CLS."""
    return llama_settings(sizes, VOCABULARY) | {
        "_name_or_path": "lmsys/vicuna-7b-v1.5",
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava",
        "pad_token_id": 0,
        "mm_vision_tower": "biomedclip_cxr_518",
        "mm_vision_tower_config": "biomedclipcxr_518.json",
        "mm_vision_tower_checkpoint": "biomedclipcxr_518_checkpoint.pt",
        "mm_projector_type": "mlp2x_gelu",
        "mm_hidden_size": sizes.width,
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "image_aspect_ratio": "square",
        "torch_dtype": "bfloat16",
    }


def write_libra(folder: Path, sizes: Sizes = NARROW_LIBRA, *, shards: int = 3) -> Path:
    """``folder/libra-v1.0-7b``: Meditron with the connector; its encoder is RAD-DINO, a folder of its own."""
    target = folder / "libra-v1.0-7b"
    target.mkdir(parents=True)
    rows = VOCABULARY + MEDITRON_ROWS
    write_json(target / "config.json", llama_settings(sizes, rows) | libra_settings(sizes))
    write_sentencepiece(target, MEDITRON_TOKENS)
    _write_libra_weights(target, sizes, llama_shapes(sizes, rows), shards)
    return target


def write_libra_3b(folder: Path, sizes: Sizes = NARROW_LIBRA_3B, *, shards: int = 2) -> Path:
    """``folder/libra-v1.0-3b``: Llama 3.2 with tied embeddings, fewer keys than heads, and scaled rotary positions."""
    target = folder / "libra-v1.0-3b"
    target.mkdir(parents=True)
    tokenizer = llama3_tokenizer()
    rows = tokenizer.get_vocab_size()
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling["original_max_position_embeddings"] = 8192
    config = llama_settings(sizes, rows) | libra_settings(sizes) | {"tie_word_embeddings": True}
    config |= {"rope_theta": 500000.0, "rope_scaling": scaling, "max_position_embeddings": 131072}
    ends = [tokenizer.token_to_id(text) for text in ("<|end_of_text|>", "<|eot_id|>")]
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    write_json(target / "config.json", config | {"bos_token_id": begin, "eos_token_id": ends})
    write_json(target / "generation_config.json", {"bos_token_id": begin, "eos_token_id": ends})
    tokenizer.save(str(target / "tokenizer.json"))
    special = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|end_of_text|>"}
    write_json(target / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"} | special)
    write_json(target / "special_tokens_map.json", special)
    _write_libra_weights(target, sizes, llama_shapes(sizes, rows, tied=True), shards)
    return target


def _write_libra_weights(target: Path, sizes: Sizes, llama: Mapping[str, tuple[int, ...]], shards: int) -> None:
    state = drawn({**llama, **connector_shapes(sizes)}, torch.bfloat16)
    save_shards(target, state, shards)
    alone = {name: tensor for name, tensor in state.items() if "mm_projector" in name}
    torch.save(alone, target / "mm_tac_projector.bin")  # published beside the model, for other trainings


def libra_settings(sizes: Sizes) -> dict[str, Any]:
    """What Libra's ``config.json`` says beyond LLaMA's: all layers of RAD-DINO, without CLS."""
    return {
        "architectures": ["LibraLlamaForCausalLM"],
        "model_type": "libra",
        "mm_vision_tower": "microsoft/rad-dino",
        "mm_projector_type": "TAC",
        "mm_hidden_size": sizes.width,
        "mm_vision_select_layer": "all",
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "use_mm_proj": True,
        "image_aspect_ratio": "pad",
        "tokenizer_padding_side": "right",
        "torch_dtype": "bfloat16",
    }


def llama3_tokenizer() -> Any:
    """Byte pairs (here: bytes alone) with Llama 3's special tokens behind them, as its ``tokenizer.json``."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={sign: index for index, sign in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in LLAMA3_TOKENS])
    return tokenizer
