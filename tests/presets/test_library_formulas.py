"""Presets for other libraries than transformers give exact numbers, which samples show only nearly."""

from __future__ import annotations

from dataclasses import astuple
from math import sqrt
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.stream import Constant, Normal, TruncNormal, Uniform
from tests.planning.tables import checkpoint_of
from tests.presets.test_formulas import laws

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.presets.test_formulas import Law

D = 64


def within(bound: float) -> Uniform:
    return Uniform(-bound, bound)


def cut_at_two(std: float) -> TruncNormal:
    return TruncNormal(0, std, -2 * std, 2 * std)


def xavier(fan_in: int, fan_out: int) -> Uniform:
    return within(sqrt(6 / (fan_in + fan_out)))


NORMS: Mapping[str, tuple[tuple[int, ...], Law]] = {
    "blocks.0.norm1.weight": ((D,), Constant(1)),
    "blocks.0.attn.q_norm.weight": ((16,), Constant(1)),
    "blocks.0.norm1.bias": ((D,), Constant(0)),
    "norm.weight": ((D,), Constant(1)),
    "fc_norm.bias": ((D,), Constant(0)),
    "blocks.0.ls1.gamma": ((D,), Constant(1e-5)),
    "pos_embed": ((1, 17, D), Normal(0, 0.02)),
    "dist_token": ((1, 1, D), Normal(0, 0.02)),
    "cls_token": ((1, 1, D), Normal(0, 1e-6)),
    "reg_token": ((1, 4, D), Normal(0, 1e-6)),
    "attn_pool.latent": ((1, 1, D), cut_at_two(1 / 8)),
}
"""Of timm's ViT, under each of its laws."""
TABLES: Mapping[str, tuple[str, Mapping[str, tuple[tuple[int, ...], Law]]]] = {
    "vit-timm": (
        "vit-timm",
        {
            **NORMS,
            "patch_embed.proj.weight": ((D, 3, 8, 8), within(192**-0.5)),
            "patch_embed.proj.bias": ((D,), within(192**-0.5)),
            "blocks.0.attn.qkv.weight": ((192, D), Normal(0, 0.02)),
            "blocks.0.mlp.fc1.weight": ((256, D), Normal(0, 0.02)),
            "blocks.0.mlp.fc1.bias": ((256,), Constant(0)),
            "blocks.0.mlp.fc1_g.weight": ((256, D), Normal(0, 1e-6)),
            "blocks.0.mlp.fc1_g.bias": ((256,), Constant(1)),
            "blocks.0.attn.lambda_q1": ((16,), Normal(0, 0.1)),
            "head.weight": ((10, D), Normal(0, 0.02)),
        },
    ),
    "vit-timm-jax": (
        "vit-timm-jax",
        {
            **NORMS,
            "patch_embed.proj.weight": ((D, 3, 8, 8), cut_at_two(192**-0.5 / 0.87962566103423978)),
            "patch_embed.proj.bias": ((D,), Constant(0)),
            "blocks.0.attn.qkv.weight": ((192, D), xavier(D, 192)),
            "blocks.0.attn.qkv.bias": ((192,), Constant(0)),
            "blocks.0.mlp.fc2.weight": ((D, 256), xavier(D, 256)),
            "blocks.0.mlp.fc2.bias": ((D,), Normal(0, 1e-6)),
            "blocks.0.mlp.norm.bias": ((256,), Constant(0)),
            "attn_pool.mlp.fc1.bias": ((256,), Normal(0, 1e-6)),
            "head.weight": ((10, D), Constant(0)),
            "head_dist.bias": ((10,), Constant(0)),
        },
    ),
    "vit-timm-moco": (
        "vit-timm-moco",
        {
            **NORMS,
            "patch_embed.proj.weight": ((D, 3, 8, 8), within(192**-0.5)),
            "blocks.0.attn.qkv.weight": ((192, D), xavier(D, D)),
            "attn_pool.kv.weight": ((128, D), xavier(D, 128)),
            "blocks.0.mlp.fc2.bias": ((D,), Constant(0)),
            "head.weight": ((10, D), xavier(D, 10)),
        },
    ),
    "vit-torchvision": (
        "vit-torchvision",
        {
            "class_token": ((1, 1, D), Constant(0)),
            "conv_proj.weight": ((D, 3, 8, 8), Normal(0, 192**-0.5)),
            "conv_proj.bias": ((D,), Constant(0)),
            "encoder.pos_embedding": ((1, 17, D), Normal(0, 0.02)),
            "encoder.layers.encoder_layer_0.self_attention.in_proj_weight": ((192, D), xavier(D, 192)),
            "encoder.layers.encoder_layer_0.self_attention.out_proj.weight": ((D, D), within(1 / 8)),
            "encoder.layers.encoder_layer_0.mlp.0.weight": ((256, D), xavier(D, 256)),
            "encoder.layers.encoder_layer_0.mlp.linear_2.bias": ((D,), Normal(0, 1e-6)),
            "heads.pre_logits.weight": ((40, D), Normal(0, 1 / 8)),
            "heads.head.weight": ((10, 40), Constant(0)),
        },
    ),
    "vit-torchvision with a convolutional stem": (
        "vit-torchvision",
        {
            "conv_proj.conv_bn_relu_0.0.weight": ((24, 3, 3, 3), within(27**-0.5)),
            "conv_proj.conv_bn_relu_0.1.running_var": ((24,), Constant(1)),
            "conv_proj.conv_last.weight": ((D, 24, 1, 1), Normal(0, sqrt(2 / D))),
            "conv_proj.conv_last.bias": ((D,), Constant(0)),
        },
    ),
    "dit": (
        "dit",
        {
            "x_embedder.proj.weight": ((D, 4, 2, 2), xavier(16, D)),
            "x_embedder.proj.bias": ((D,), within(1 / 4)),
            "t_embedder.mlp.0.weight": ((D, 256), Normal(0, 0.02)),
            "t_embedder.mlp.2.bias": ((D,), Constant(0)),
            "y_embedder.embedding_table.weight": ((11, D), Normal(0, 0.02)),
            "blocks.0.attn.qkv.weight": ((192, D), xavier(D, 192)),
            "blocks.0.mlp.fc1.weight": ((256, D), xavier(D, 256)),
            "blocks.0.mlp.fc1.bias": ((256,), Constant(0)),
            "blocks.0.adaLN_modulation.1.weight": ((384, D), Constant(0)),
            "final_layer.adaLN_modulation.1.bias": ((128,), Constant(0)),
            "final_layer.linear.weight": ((32, D), Constant(0)),
        },
    ),
    "dit in the names of diffusers": (
        "dit",
        {
            "pos_embed.proj.weight": ((D, 4, 2, 2), xavier(16, D)),
            "transformer_blocks.0.norm1.emb.timestep_embedder.linear_1.weight": ((D, 256), Normal(0, 0.02)),
            "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight": ((11, D), Normal(0, 0.02)),
            "transformer_blocks.0.norm1.linear.weight": ((384, D), Constant(0)),
            "transformer_blocks.0.attn1.to_q.weight": ((D, D), xavier(D, 192)),
            "transformer_blocks.0.attn1.to_out.0.weight": ((D, D), xavier(D, D)),
            "transformer_blocks.0.ff.net.0.proj.weight": ((256, D), xavier(D, 256)),
            "transformer_blocks.0.ff.net.2.bias": ((D,), Constant(0)),
            "proj_out_1.weight": ((128, D), Constant(0)),
            "proj_out_2.bias": ((32,), Constant(0)),
        },
    ),
    "unet-diffusers": (
        "unet-diffusers",
        {
            "class_embedding.weight": ((10, D), Normal(0, 1)),
            "time_proj.weight": ((32,), Normal(0, 1)),
            "add_embedding.pool.positional_embedding": ((1, D), Normal(0, 1 / 8)),
            "down_blocks.0.resnets.0.conv1.weight": ((D, 4, 3, 3), within(1 / 6)),
            "down_blocks.0.resnets.0.conv1.bias": ((D,), within(1 / 6)),
            "controlnet_mid_block.weight": ((D, D, 1, 1), Constant(0)),
        },
    ),
    "lora-peft-gaussian": (
        "lora-peft-gaussian",
        {
            "base_model.model.q_proj.lora_A.weight": ((16, D), Normal(0, 1 / 16)),
            "base_model.model.q_proj.lora_B.weight": ((D, 16), Constant(0)),
            "base_model.model.embed.lora_embedding_A": ((16, 100), Constant(0)),
            "base_model.model.embed.lora_embedding_B.default": ((D, 16), Normal(0, 1)),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_every_number_is_that_of_the_formula(table: str, tmp_path: Path):
    preset, expected = TABLES[table]
    found = laws(tmp_path, preset, {name: shape for name, (shape, _) in expected.items()})
    for name, (_, law) in expected.items():
        assert type(found[name]) is type(law), name
        assert astuple(found[name]) == pytest.approx(astuple(law), rel=1e-6), name


def test_the_random_frequencies_of_an_unconditional_unet_are_wider(tmp_path: Path):
    config = {"_class_name": "UNet2DModel"}
    assert laws(tmp_path, "unet-diffusers", {"time_proj.weight": (32,)}, config) == {"time_proj.weight": Normal(0, 16)}


@pytest.mark.parametrize("left", ["model.layers.0.q_proj.lora_magnitude_vector", "classifier.weight"])
def test_what_peft_takes_from_the_model_itself_is_left_and_named(left: str, tmp_path: Path):
    table = {
        "base_model.model.model.layers.0.q_proj.lora_A.weight": ("F32", [16, D]),
        "base_model.model.model.layers.0.q_proj.lora_B.weight": ("F32", [D, 16]),
        f"base_model.model.{left}": ("F32", [D]),
    }
    (warning,) = initctl.plan(checkpoint_of(tmp_path, table), preset="lora-peft").warnings
    assert warning.code == "preset.partial"
    assert warning.message.endswith(f" unchanged: base_model.model.{left}")


def test_the_rank_of_an_adapter_of_experts_is_a_variable(tmp_path: Path):
    path = checkpoint_of(tmp_path, {"base_model.model.mlp.experts.lora_A.weight": ("F32", [128, D])})
    recipe = tmp_path / "r.toml"
    recipe.write_text('extends = "preset:lora-peft-gaussian"\noptional = true\n[vars]\nrank = 16\n')
    (action,) = initctl.plan(path, recipes=[recipe]).actions
    assert action.law == Normal(0, 1 / 16)
