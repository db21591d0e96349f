"""Small models of other libraries than transformers, as these initialize them.

Wide enough that a wrong spread shows. A number that no name and no shape shows is given as a variable or a rule.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from tests.presets.fresh import Tensors

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
    """A model of a library, and the `preset` for it, with other `variables` and further `rules`."""

    preset: str
    model: Of
    note: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    rules: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.preset}: {self.model.name}{self.note and f' ({self.note})'}"

    def build(self, seed: int) -> Tensors:
        """The model's tensors, freshly initialized by the library under `seed`."""
        import torch

        imported(self.model.module)
        torch.manual_seed(seed)
        return {name: tensor.contiguous().numpy() for name, tensor in self.model().state_dict().items()}

    def recipe(self) -> str:
        """A recipe that gives the preset the model's variables."""
        variables = [f"{name} = {value}" for name, value in self.variables.items()]
        return "\n".join([f'extends = "preset:{self.preset}"', "optional = true", "[vars]", *variables, ""])


def imported(module: str) -> ModuleType:
    """The module, of a library that may need torchvision. Raises `ImportError` if it is not installed."""
    if module.partition(".")[0] in ("timm", "torchvision"):
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
    "gated, normed patches": {"mlp_layer": Of("timm.layers", "SwiGLU"), "embed_norm_layer": Of("timm.layers", "RmsNorm")},
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
