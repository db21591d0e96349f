"""Small models of other libraries than transformers, as these initialize them.

Wide enough that a wrong spread shows. A number that no name and no shape shows is given as a variable or a rule.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.presets.fresh import SAMPLES, spoilt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from torch import Tensor

    from tests.presets.fresh import Saved, Tensors

OPERATORS = ("nms", "qnms")
"""Of torchvision: its import looks them up, and no model here needs them."""


@dataclass(frozen=True)
class Of:
    """What a module of a library calls `name`; with `settings`, what that gives when it is called with them."""

    module: str
    name: str
    settings: Mapping[str, Any] | None = None

    def __call__(self) -> Any:
        found = getattr(imported(self.module), self.name)
        return found if self.settings is None else found(**{key: _made(value) for key, value in self.settings.items()})


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return [_made(item) for item in value]
    return value() if isinstance(value, Of) else value


@dataclass(frozen=True)
class Made:
    """A model of a library, and the `preset` for it, with other `variables` and further `rules`.

    Tensors whose names end with `kept` stay.
    """

    preset: str
    model: Of
    note: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    rules: Sequence[str] = ()
    kept: str | None = None

    def __str__(self) -> str:
        return f"{self.preset}: {self.model.name}{self.note and f' ({self.note})'}"

    @property
    def library(self) -> str:
        return self.model.module.partition(".")[0]

    def build(self, seed: int) -> Tensors:
        """The model's tensors, freshly initialized by the library under `seed`."""
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of libraries about themselves and each other
            imported(self.model.module)
            torch.manual_seed(seed)
            return {name: tensor.contiguous().numpy() for name, tensor in self.state().items()}

    def state(self) -> Mapping[str, Tensor]:
        state: Mapping[str, Tensor] = self.model().state_dict()
        return state

    def saved(self, folder: Path) -> Saved:
        """A checkpoint in `folder`, spoilt but for what the preset keeps. Raises `ImportError` as `imported` does."""
        samples = [self.build(seed) for seed in range(SAMPLES)]
        kept = {name: tensor for name, tensor in samples[0].items() if self.kept and name.endswith(self.kept)}
        decided = [{name: tensor for name, tensor in sample.items() if name not in kept} for sample in samples]
        return spoilt(folder / "decided", *decided).spelled(folder / "in", {}, kept)

    def asked(self, folder: Path) -> dict[str, Any]:
        """How initctl is asked for the preset; a recipe for it is written to `folder`."""
        recipe = folder / "recipe.toml"
        recipe.write_text(self.recipe())
        law = {"recipes": [recipe]} if self.variables else {"preset": self.preset}
        return {**law, "rules": self.rules}

    def recipe(self) -> str:
        """A recipe that gives the preset the model's variables."""
        variables = [f"{name} = {value}" for name, value in self.variables.items()]
        return "\n".join([f'extends = "preset:{self.preset}"', "optional = true", "[vars]", *variables, ""])


@dataclass(frozen=True)
class Diffuser(Made):
    """A model of diffusers, with its config.json."""

    def saved(self, folder: Path) -> Saved:
        checkpoint = super().saved(folder)
        (checkpoint.folder / "config.json").write_text(self.model().to_json_string())
        return checkpoint


@dataclass(frozen=True)
class Adapter(Made):
    """An adapter, as PEFT saves it."""

    def state(self) -> Mapping[str, Tensor]:
        from safetensors.torch import load_file

        with tempfile.TemporaryDirectory() as folder:
            self.model().save_pretrained(folder)
            return load_file(os.path.join(folder, "adapter_model.safetensors"))


@dataclass(frozen=True)
class LiveAdapter(Made):
    """An adapter, as PEFT names it in memory."""

    def state(self) -> Mapping[str, Tensor]:
        return {name: tensor for name, tensor in self.model().state_dict().items() if "lora_" in name}


def imported(module: str) -> ModuleType:
    """The module, of a library that may need torchvision. Raises `ImportError` if it is not installed."""
    if module.startswith(("timm", "torchvision")):
        _torchvision()
    return importlib.import_module(module)


@cache
def _torchvision() -> object:
    """torchvision, even if torch cannot load its operators, as a torch for the CPU alone cannot load those for CUDA."""
    import torch

    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in OPERATORS:
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision"), declared  # is forgotten once nothing refers to it


def libraries() -> Iterator[Made]:
    """All that presets are proven with."""
    yield from of_timm()
    yield from of_torchvision()
    yield from of_diffusers()
    yield from of_peft()


def of_timm() -> Iterator[Made]:
    """Vision transformers under each of their three laws, and ConvNeXts."""
    for mode in ("", "jax", "moco"):
        preset = f"vit-timm-{mode}" if mode else "vit-timm"
        yield _deit(preset, weight_init=mode)
        for note, settings in VITS.items():
            yield _vit(preset, note, **{**settings, "weight_init": mode})
        scaled = {**VITS["register tokens, scaled layers, normed queries"], "init_values": 0.1, "weight_init": mode}
        yield Made(preset, Of(VIT, "VisionTransformer", {**SIZES, **scaled}), "scaled by 0.1", {"init_values": 0.1})
    deeper = ["blocks.*.{attn.proj,mlp.fc2}.weight=normal:std=0.02/sqrt(2*(layer+1))"]
    yield _vit("vit-timm", "fix_init", deeper, fix_init=True)
    packed = {**SIZES, "mlp_layer": Of("timm.layers", "SwiGLUPacked")}
    yield Made("vit-timm", Of(VIT, "VisionTransformer", packed), "packed gates", {"packed_gate": 1})
    yield _vit("vit-timm-jax", "jax_nlhb", ["head.bias=constant:val=-log(numel)"], weight_init="jax_nlhb")
    for note, settings in CONVNEXTS.items():
        yield Made("convnext-timm", Of("timm.models.convnext", "ConvNeXt", {**STAGES, **settings}), note)
    scaled = {**STAGES, "ls_init_value": 0.1, "head_init_scale": 0.5}
    variables = {"ls_init_value": 0.1, "head_init_scale": 0.5}
    yield Made("convnext-timm", Of("timm.models.convnext", "ConvNeXt", scaled), "scaled", variables)


VIT = "timm.models.vision_transformer"
SIZES: dict[str, Any] = {
    "img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 4, "num_classes": 48,
}  # fmt: skip
VITS: dict[str, dict[str, Any]] = {
    "": {},
    "no bias, no class token, averaged": {"qkv_bias": False, "class_token": False, "global_pool": "avg"},
    "register tokens, scaled layers, normed queries": {"reg_tokens": 4, "init_values": 1e-5, "qk_norm": True},
    "norms before and within": {"pre_norm": True, "scale_attn_norm": True, "scale_mlp_norm": True},
    "attention pool": {"class_token": False, "global_pool": "map"},
    "no head, no norm at the end": {"num_classes": 0, "final_norm": False},
    "norms after": {"block_fn": Of(VIT, "ResPostBlock")},
    "side by side": {"block_fn": Of(VIT, "ParallelScalingBlock"), "qkv_bias": False, "init_values": 1e-5},
    "several beside each other": {"block_fn": Of(VIT, "ParallelThingsBlock"), "init_values": 1e-5},
    "gated": {"mlp_layer": Of("timm.layers", "SwiGLU"), "embed_norm_layer": Of("timm.layers", "RmsNorm")},
    "differential attention": {"attn_layer": "diff"},
    "differential attention, side by side": {"block_fn": Of(VIT, "DiffParallelScalingBlock")},
}
STAGES: dict[str, Any] = {"depths": (2, 1, 1, 1), "dims": (16, 24, 32, 64), "num_classes": 48}
CONVNEXTS: dict[str, dict[str, Any]] = {
    "": {},
    "V2": {"use_grn": True, "ls_init_value": None},
    "convolutions alone, overlapping": {"conv_mlp": True, "stem_type": "overlap_tiered", "head_hidden_size": 40},
    "no bias, normed first": {"conv_bias": False, "head_norm_first": True},
}


def _vit(preset: str, note: str = "", rules: Sequence[str] = (), **settings: Any) -> Made:
    return Made(preset, Of(VIT, "VisionTransformer", {**SIZES, **settings}), note, rules=rules)


def _deit(preset: str, **settings: Any) -> Made:
    return Made(preset, Of("timm.models.deit", "VisionTransformerDistilled", {**SIZES, **settings}))


def of_torchvision() -> Iterator[Made]:
    """Vision transformers, ConvNeXts and ResNets."""
    module = "torchvision.models.vision_transformer"
    sizes = {"image_size": 32, "num_layers": 2, "num_heads": 4, "hidden_dim": 64, "mlp_dim": 96, "num_classes": 48}
    stem = [Of(module, "ConvStemConfig", {"out_channels": n, "kernel_size": 3, "stride": 2}) for n in (16, 24, 32)]
    for note, settings in {
        "": {"patch_size": 8},
        "representation": {"patch_size": 4, "representation_size": 40},
        "convolutional stem": {"patch_size": 8, "conv_stem_configs": stem},
    }.items():
        yield Made("vit-torchvision", Of(module, "VisionTransformer", {**sizes, **settings}), note)
    module, widths = "torchvision.models.convnext", (16, 24, 32, 64)
    stages = [
        Of(module, "CNBlockConfig", {"input_channels": width, "out_channels": wider, "num_layers": 2})
        for width, wider in zip(widths, [*widths[1:], None], strict=True)
    ]
    settings = {"block_setting": stages, "num_classes": 48}
    yield Made("convnext-torchvision", Of(module, "ConvNeXt", settings))
    scaled = {**settings, "layer_scale": 0.1}
    yield Made("convnext-torchvision", Of(module, "ConvNeXt", scaled), "scaled by 0.1", {"layer_scale": 0.1})
    module = "torchvision.models.resnet"
    for block, settings in {"BasicBlock": {}, "Bottleneck": {"groups": 2, "width_per_group": 16}}.items():
        blocks = {"block": Of(module, block), "layers": [1, 2, 1, 1], "num_classes": 48, **settings}
        yield Made("resnet-torchvision", Of(module, "ResNet", blocks), block)
    zeroed = {"block": Of(module, "Bottleneck"), "layers": [1, 1, 1, 1], "zero_init_residual": True}
    yield Made("resnet-torchvision", Of(module, "ResNet", zeroed), "zeroed", rules=["layer*.bn3.weight=zeros"])


def of_diffusers() -> Iterator[Diffuser]:
    """UNets and ControlNets, autoencoders, diffusion transformers."""
    for note, settings in UNETS.items():
        yield Diffuser("unet-diffusers", Of("diffusers", "UNet2DConditionModel", {**UNET, **CROSSED, **settings}), note)
    plain = {
        **UNET, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "num_class_embeds": 40,
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "time_embedding_type": "fourier",
    }  # fmt: skip
    yield Diffuser("unet-diffusers", Of("diffusers", "UNet2DModel", plain))
    films = {
        **UNET, "cross_attention_dim": 24, "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
        "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
    }  # fmt: skip
    yield Diffuser("unet-diffusers", Of("diffusers", "UNet3DConditionModel", films))
    films = {
        "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 24, "num_attention_heads": (2, 4),
        "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        "addition_time_embed_dim": 32, "projection_class_embeddings_input_dim": 96,
    }  # fmt: skip
    yield Diffuser("unet-diffusers", Of("diffusers", "UNetSpatioTemporalConditionModel", films))
    control = {key: value for key, value in {**UNET, **CROSSED}.items() if key not in ("sample_size", "up_block_types")}
    control["conditioning_embedding_out_channels"] = (16, 32)
    yield Diffuser("unet-diffusers", Of("diffusers", "ControlNetModel", control))
    coder = {
        "block_out_channels": (32, 64), "norm_num_groups": 8, "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    }  # fmt: skip
    yield Diffuser("vae-diffusers", Of("diffusers", "AutoencoderKL", coder))
    yield Diffuser("vae-diffusers", Of("diffusers", "VQModel", {**coder, "num_vq_embeddings": 64}))
    for name, settings in DITS.items():
        yield Diffuser("dit-diffusers", Of("diffusers", name, {**HEADS, **settings}), kept="pos_embed.pos_embed")


UNET: dict[str, Any] = {
    "sample_size": 8, "block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8,
}  # fmt: skip
CROSSED: dict[str, Any] = {
    "cross_attention_dim": 24, "attention_head_dim": 8, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}  # fmt: skip
UNETS: dict[str, dict[str, Any]] = {
    "Stable Diffusion 1": {},
    "Stable Diffusion 2": {"use_linear_projection": True, "class_embed_type": "timestep"},
    "Stable Diffusion XL": {
        "use_linear_projection": True, "transformer_layers_per_block": 2, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 64,
    },
    "classes": {"num_class_embeds": 40},
    "DeepFloyd": {
        "encoder_hid_dim": 40, "encoder_hid_dim_type": "text_proj", "addition_embed_type": "text",
        "addition_embed_type_num_heads": 8, "time_embedding_type": "fourier",
        "down_block_types": ("SimpleCrossAttnDownBlock2D", "ResnetDownsampleBlock2D"),
        "up_block_types": ("ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    },
}  # fmt: skip
HEADS: dict[str, Any] = {"num_attention_heads": 4, "attention_head_dim": 16, "num_layers": 2, "in_channels": 4}
DITS: dict[str, dict[str, Any]] = {
    "DiTTransformer2DModel": {"sample_size": 8, "out_channels": 8, "num_embeds_ada_norm": 40},
    "PixArtTransformer2DModel": {
        "sample_size": 8, "out_channels": 8, "cross_attention_dim": 64, "caption_channels": 40,
        "use_additional_conditions": True,
    },
    "SD3Transformer2DModel": {
        "sample_size": 8, "joint_attention_dim": 40, "caption_projection_dim": 64, "pooled_projection_dim": 24,
        "pos_embed_max_size": 16, "qk_norm": "rms_norm",
    },
    "FluxTransformer2DModel": {
        "num_single_layers": 2, "joint_attention_dim": 40, "pooled_projection_dim": 24, "axes_dims_rope": (4, 6, 6),
        "guidance_embeds": True,
    },
}  # fmt: skip


def of_peft() -> Iterator[Made]:
    """Adapters of language models with and without experts, and of the convolution of a ViT."""
    decoder = {
        "vocab_size": 384, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }  # fmt: skip
    llama = Of("transformers", "LlamaForCausalLM", {"config": Of("transformers", "LlamaConfig", decoder)})
    experts = {**decoder, "num_local_experts": 4}
    mixtral = Of("transformers", "MixtralForCausalLM", {"config": Of("transformers", "MixtralConfig", experts)})
    vit = Of("transformers", "ViTModel", {"config": Of("transformers", "ViTConfig", {**decoder, "image_size": 32})})
    stacked = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    for preset, weights in {"lora-peft": True, "lora-peft-gaussian": "gaussian"}.items():
        lora = {"r": 16, "init_lora_weights": weights}
        for note, settings in {
            "linear": {"target_modules": "all-linear", "lora_bias": weights is True},
            "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
        }.items():
            adapted = _adapted(llama, **lora, **settings)
            yield Adapter(preset, adapted, f"{note}, saved", kept="base_layer.weight")
            yield LiveAdapter(preset, adapted, f"{note}, in memory")
        yield Adapter(preset, _adapted(vit, **lora, target_modules=["projection"]), "convolution")
        rank = {} if weights is True else {"rank": 16}
        yield Adapter(preset, _adapted(mixtral, **lora, target_modules=[], target_parameters=stacked), "experts", rank)


def _adapted(model: Of, **settings: Any) -> Of:
    return Of("peft", "get_peft_model", {"model": model, "peft_config": Of("peft", "LoraConfig", settings)})
