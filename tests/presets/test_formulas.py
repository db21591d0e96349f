"""Presets of laws that no class of transformers has give the numbers of the source that they name."""

from __future__ import annotations

import json
from math import log, sqrt
from typing import TYPE_CHECKING, Any

import pytest

import initctl
from initctl.stream import Constant, Normal, TruncNormal, Uniform
from tests.planning.tables import checkpoint_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Shapes = Mapping[str, tuple[int, ...]]
    Law = Normal | Uniform | TruncNormal | Constant

D, FF, V, L = 64, 160, 100, 3
"""Width, inner width, vocabulary and layers of every decoder here."""

LLAMA: Shapes = {
    "model.embed_tokens.weight": (V, D),
    **{
        f"model.layers.{layer}.{name}": shape
        for layer in range(L)
        for name, shape in {
            "self_attn.q_proj.weight": (96, D),
            "self_attn.k_proj.weight": (32, D),
            "self_attn.v_proj.weight": (32, D),
            "self_attn.o_proj.weight": (D, 96),
            "self_attn.q_proj.bias": (96,),
            "mlp.gate_proj.weight": (FF, D),
            "mlp.up_proj.weight": (FF, D),
            "mlp.down_proj.weight": (D, FF),
            "input_layernorm.weight": (D,),
        }.items()
    },
    "model.norm.weight": (D,),
    "lm_head.weight": (V, D),
}
IN_LLAMA = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "gate_proj.weight", "up_proj.weight", "lm_head.weight",
            "embed_tokens.weight")  # fmt: skip
OUT_LLAMA = ("o_proj.weight", "down_proj.weight")
NAMES: Mapping[str, tuple[Shapes, tuple[str, ...], tuple[str, ...]]] = {
    "transformers": (LLAMA, IN_LLAMA, OUT_LLAMA),
    "gpt2": (
        {"wte.weight": (V, D), "wpe.weight": (32, D), "ln_f.weight": (D,), "ln_f.bias": (D,)}
        | {f"h.{layer}.attn.c_attn.weight": (D, 3 * D) for layer in range(L)}
        | {f"h.{layer}.attn.c_proj.weight": (D, D) for layer in range(L)}
        | {f"h.{layer}.mlp.c_fc.weight": (D, FF) for layer in range(L)}
        | {f"h.{layer}.mlp.c_proj.weight": (FF, D) for layer in range(L)}
        | {f"h.{layer}.mlp.c_proj.bias": (D,) for layer in range(L)}
        | {f"h.{layer}.attn.bias": (1, 1, 8, 8) for layer in range(L)},
        ("wte.weight", "wpe.weight", "c_attn.weight", "c_fc.weight"),
        ("c_proj.weight",),
    ),
    "gpt-neox": (
        {"gpt_neox.embed_in.weight": (V, D), "gpt_neox.final_layer_norm.weight": (D,), "embed_out.weight": (V, D)}
        | {f"gpt_neox.layers.{layer}.attention.query_key_value.weight": (3 * D, D) for layer in range(L)}
        | {f"gpt_neox.layers.{layer}.attention.dense.weight": (D, D) for layer in range(L)}
        | {f"gpt_neox.layers.{layer}.attention.dense.bias": (D,) for layer in range(L)}
        | {f"gpt_neox.layers.{layer}.mlp.dense_h_to_4h.weight": (FF, D) for layer in range(L)}
        | {f"gpt_neox.layers.{layer}.mlp.dense_4h_to_h.weight": (D, FF) for layer in range(L)},
        ("embed_in.weight", "embed_out.weight", "query_key_value.weight", "dense_h_to_4h.weight"),
        ("attention.dense.weight", "dense_4h_to_h.weight"),
    ),
    "megatron": (
        {"embedding.word_embeddings.weight": (V, D), "decoder.final_layernorm.weight": (D,)}
        | {"output_layer.weight": (V, D)}
        | {f"decoder.layers.{layer}.self_attention.linear_qkv.weight": (3 * D, D) for layer in range(L)}
        | {f"decoder.layers.{layer}.self_attention.linear_qkv.layer_norm_weight": (D,) for layer in range(L)}
        | {f"decoder.layers.{layer}.mlp.linear_fc1.layer_norm_bias": (D,) for layer in range(L)}
        | {f"decoder.layers.{layer}.self_attention.linear_proj.weight": (D, D) for layer in range(L)}
        | {f"decoder.layers.{layer}.mlp.linear_fc1.weight": (2 * FF, D) for layer in range(L)}
        | {f"decoder.layers.{layer}.mlp.linear_fc2.weight": (D, FF) for layer in range(L)},
        ("word_embeddings.weight", "output_layer.weight", "linear_qkv.weight", "linear_fc1.weight"),
        ("linear_proj.weight", "linear_fc2.weight"),
    ),
    "llama": (
        {"tok_embeddings.weight": (V, D), "norm.weight": (D,), "output.weight": (V, D)}
        | {f"layers.{layer}.attention.{w}.weight": (D, D) for layer in range(L) for w in ("wq", "wk", "wv", "wo")}
        | {f"layers.{layer}.feed_forward.{w}.weight": (FF, D) for layer in range(L) for w in ("w1", "w3")}
        | {f"layers.{layer}.feed_forward.w2.weight": (D, FF) for layer in range(L)}
        | {f"layers.{layer}.attention_norm.weight": (D,) for layer in range(L)},
        ("tok_embeddings.weight", "output.weight", "wq.weight", "wk.weight", "wv.weight", "w1.weight", "w3.weight"),
        ("wo.weight", "w2.weight"),
    ),
    "mixtral": (
        {"model.embed_tokens.weight": (V, D)}
        | {f"model.layers.{layer}.block_sparse_moe.gate.weight": (4, D) for layer in range(L)}
        | {f"model.layers.{layer}.block_sparse_moe.experts.1.w1.weight": (FF, D) for layer in range(L)}
        | {f"model.layers.{layer}.block_sparse_moe.experts.1.w2.weight": (D, FF) for layer in range(L)}
        | {f"model.layers.{layer}.block_sparse_moe.experts.1.w3.weight": (FF, D) for layer in range(L)},
        ("embed_tokens.weight", "gate.weight", "w1.weight", "w3.weight"),
        ("w2.weight",),
    ),
    "experts in one": (
        {"model.embed_tokens.weight": (V, D)}
        | {f"model.layers.{layer}.mlp.experts.gate_up_proj": (4, 2 * FF, D) for layer in range(L)}
        | {f"model.layers.{layer}.mlp.experts.down_proj": (4, D, FF) for layer in range(L)},
        ("embed_tokens.weight", "gate_up_proj"),
        ("down_proj",),
    ),
}  # fmt: skip
"""Decoders in several spellings: their tensors; those that read the stream, and those that write to it, by endings."""
decoders = pytest.mark.parametrize("spelling", NAMES)


def laws(folder: Path, preset: str, shapes: Shapes, config: Mapping[str, Any] | None = None) -> dict[str, Law]:
    """The law of each tensor, all of which `preset` must decide."""
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    table = {name: ("F32", list(shape)) for name, shape in shapes.items()}
    plan = initctl.plan(checkpoint_of(folder, table), preset=preset, require_all=True)
    assert not plan.warnings
    return {action.tensor.name: action.law for action in plan.actions}


def spread(law: Law, kind: type[Law] = Normal) -> float:
    """The standard deviation of a normal law, or the bound of a uniform one around 0."""
    assert type(law) is kind
    match law:
        case Normal(mean=0, std=std) | TruncNormal(mean=0, std=std):
            return std
        case Uniform(a=a, b=b) if a == -b:
            return b
    raise AssertionError(law)


def assert_norms_and_biases(found: dict[str, Law], matrices: tuple[str, ...]) -> None:
    """All but `matrices` are ones, or, if they are biases, zeros."""
    for name, law in found.items():
        if not name.endswith(matrices):
            assert law == Constant(0 if name.endswith("bias") else 1), name


@decoders
def test_megatron_scales_what_writes_to_the_stream_by_the_square_root_of_twice_the_layers(
    tmp_path: Path, spelling: str
):
    shapes, reading, writing = NAMES[spelling]
    found = laws(tmp_path, "megatron", shapes)
    assert {spread(law) for name, law in found.items() if name.endswith(reading)} == {0.02}
    assert {spread(law) for name, law in found.items() if name.endswith(writing)} == {0.02 / sqrt(2 * L)}
    assert_norms_and_biases(found, reading + writing)


def test_the_spread_of_megatron_is_a_variable_of_recipes_that_extend_it(tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('extends = ["preset:megatron"]\n[vars]\nstd = 0.006\n')
    plan = initctl.plan(checkpoint_of(tmp_path, {"model.layers.1.up.weight": ("F32", [4, 4])}), recipes=[recipe])
    assert [action.params["std"] for action in plan.actions] == [0.006]


@decoders
def test_small_init_goes_by_the_width_and_wang_init_by_the_depth_too(tmp_path: Path, spelling: str):
    shapes, reading, writing = NAMES[spelling]
    found = laws(tmp_path, "small-wang", shapes, {"hidden_size": D})
    assert {spread(law) for name, law in found.items() if name.endswith(reading)} == {sqrt(2 / (5 * D))}
    assert {spread(law) for name, law in found.items() if name.endswith(writing)} == {2 / (L * sqrt(D))}
    assert_norms_and_biases(found, reading + writing)


@decoders
def test_olmo2_cuts_one_spread_at_three_sigma(tmp_path: Path, spelling: str):
    shapes, reading, writing = NAMES[spelling]
    found = laws(tmp_path, "olmo2", shapes)
    cut = {law for name, law in found.items() if name.endswith(reading + writing)}
    assert cut == {TruncNormal(0, 0.02, -0.06, 0.06)}
    assert_norms_and_biases(found, reading + writing)


@pytest.mark.parametrize("spelling", ["transformers", "llama"])
def test_torchtitan_scales_by_the_depth_of_the_layer_itself(tmp_path: Path, spelling: str):
    found = laws(tmp_path, "torchtitan-llama3", NAMES[spelling][0])
    plain = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "gate_proj.weight", "wq.weight", "wk.weight",
             "wv.weight", "w1.weight")  # fmt: skip
    scaled = ("o_proj.weight", "down_proj.weight", "up_proj.weight", "wo.weight", "w2.weight", "w3.weight")
    ends = ("embed_tokens.weight", "tok_embeddings.weight", "lm_head.weight", "output.weight")
    assert {spread(law) for name, law in found.items() if name.endswith(plain)} == {0.02}
    for layer in range(L):
        within = {law for name, law in found.items() if name.endswith(scaled) and f"layers.{layer}." in name}
        assert {spread(law) for law in within} == {0.02 / sqrt(2 * (layer + 1))}
    (embedding,) = (law for name, law in found.items() if name.endswith(ends[:2]))
    (head,) = (law for name, law in found.items() if name.endswith(ends[2:]))
    assert embedding == Normal(0, 1)
    assert head == TruncNormal(0, D**-0.5, -3 * D**-0.5, 3 * D**-0.5)
    assert_norms_and_biases(found, plain + scaled + ends)


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer"])
@pytest.mark.parametrize(("preset", "std"), [("megatron", 0.02 / sqrt(80)), ("small-wang", 2 / (40 * sqrt(D)))])
def test_of_one_shard_of_several_config_json_tells_the_number_of_layers(
    tmp_path: Path, preset: str, std: float, key: str
):
    found = laws(tmp_path, preset, {"model.layers.7.mlp.down_proj.weight": (D, FF)}, {key: 40})
    assert [spread(law) for law in found.values()] == [std]


STACKED = {
    "decoder.layers.self_attention.linear_qkv.weight": (L, 3 * D, D),
    "decoder.layers.self_attention.linear_proj.weight": (L, D, D),
    "decoder.layers.self_attention.linear_qkv.layer_norm_weight": (L, D),
    "decoder.layers.self_attention.linear_qkv.layer_norm_bias": (L, D),
    "decoder.layers.self_attention.q_layernorm.weight": (L, 8),
    "decoder.layers.mlp.linear_fc2.weight": (L, D, FF),
    "decoder.layers.mlp.linear_fc2.bias": (L, D),
    "decoder.layers.input_layernorm.weight": (L, D),
    "decoder.final_layernorm.weight": (D,),
    "embedding.word_embeddings.weight": (V, D),
}
"""Megatron-core's distributed checkpoints hold all layers in one tensor: sharded_state_dict in
megatron/core/transformer/transformer_block.py, with the layers' offset as the first axis."""


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer"])
def test_of_layers_in_one_tensor_config_json_tells_the_number(tmp_path: Path, key: str):
    found = laws(tmp_path, "megatron", STACKED, {key: L})
    out = ("linear_proj.weight", "linear_fc2.weight")
    assert {spread(law) for name, law in found.items() if name.endswith(out)} == {0.02 / sqrt(2 * L)}
    plain = ("linear_qkv.weight", "word_embeddings.weight")
    assert {spread(law) for name, law in found.items() if name.endswith(plain)} == {0.02}
    assert_norms_and_biases(found, plain + out)


@pytest.mark.parametrize("preset", ["megatron", "small-wang", "gpt2", "mamba"])
def test_a_recipe_tells_the_number_of_layers_where_nothing_else_does(tmp_path: Path, preset: str):
    name = "h.mixer.out_proj.weight" if preset == "mamba" else "h.attn.c_proj.weight"
    key = "n_layer" if preset == "gpt2" else "num_hidden_layers"
    path = checkpoint_of(tmp_path, {name: ("F32", [D, D])})
    more = "rescale_prenorm_residual = true\n" if preset == "mamba" else ""
    recipe = tmp_path / "r.toml"
    for text in (f"[config]\n{key} = 50\n{more}", f"[vars]\nL = 50\n[config]\n{more}"):
        recipe.write_text(f'extends = "preset:{preset}"\n{text}')
        assert len(initctl.plan(path, recipes=[recipe]).actions) == 1
    recipe.write_text(f'extends = "preset:{preset}"\n[config]\n{more}')
    hint = f'write a recipe with extends = "preset:{preset}" and, under [config], {key} = …'
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, recipes=[recipe])
    assert str(raised.value).endswith(f"there is no config.json beside the checkpoint; {hint}")


def test_config_json_counts_more_than_names(tmp_path: Path):
    shapes = {f"h.{layer}.attn.c_proj.weight": (D, D) for layer in range(30)}
    found = laws(tmp_path, "megatron", shapes, {"n_layer": 24})
    assert {spread(law) for law in found.values()} == {0.02 / sqrt(48)}


def test_small_init_leaves_layers_in_one_tensor_alone_but_for_norms(tmp_path: Path):
    path = checkpoint_of(tmp_path, {name: ("F32", shape) for name, shape in STACKED.items()})
    found = {a.tensor.name: a.law for a in initctl.plan(path, preset="small-wang", allow_partial=True).actions}
    assert "decoder.layers.mlp.linear_fc2.weight" not in found
    assert found["decoder.layers.self_attention.linear_qkv.layer_norm_weight"] == Constant(1)


def test_the_layer_of_deepseek_that_predicts_a_further_token_is_as_the_others(tmp_path: Path):
    shapes = {
        "model.layers.61.embed_tokens.weight": (V, D),
        "model.layers.61.eh_proj.weight": (D, 2 * D),
        "model.layers.61.shared_head.head.weight": (V, D),
        "model.layers.61.shared_head.norm.weight": (D,),
        "model.layers.61.enorm.weight": (D,),
        "model.layers.61.hnorm.weight": (D,),
    }
    found = laws(tmp_path, "deepseek_v3", shapes, {"initializer_range": 0.006})
    assert list(found.values()) == [Normal(0, 0.006)] * 3 + [Constant(1)] * 3


W, T, E = 48, 32, 24
"""Widths of CLIP's vision and text, and of what both are projected to."""


def residual_blocks(prefix: str, width: int, layers: int) -> Shapes:
    """The transformer of OpenAI's CLIP."""
    return {
        f"{prefix}transformer.resblocks.{layer}.{name}": shape
        for layer in range(layers)
        for name, shape in {
            "attn.in_proj_weight": (3 * width, width),
            "attn.in_proj_bias": (3 * width,),
            "attn.out_proj.weight": (width, width),
            "attn.out_proj.bias": (width,),
            "ln_1.weight": (width,),
            "ln_1.bias": (width,),
            "mlp.c_fc.weight": (4 * width, width),
            "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (width, 4 * width),
            "mlp.c_proj.bias": (width,),
            "ln_2.weight": (width,),
            "ln_2.bias": (width,),
        }.items()
    }


TEXT: Shapes = {
    "token_embedding.weight": (V, T),
    "positional_embedding": (16, T),
    "text_projection": (T, E),
    "ln_final.weight": (T,),
    "ln_final.bias": (T,),
    "logit_scale": (),
    **residual_blocks("", T, 2),
}


def test_openai_initializes_the_text_of_clip_by_width_and_what_writes_by_depth(tmp_path: Path):
    found = laws(tmp_path, "clip-openai", TEXT)
    block = "transformer.resblocks.1."
    stds = {
        "token_embedding.weight": 0.02,
        "positional_embedding": 0.01,
        "text_projection": T**-0.5,
        f"{block}attn.in_proj_weight": T**-0.5,
        f"{block}attn.out_proj.weight": T**-0.5 * (2 * 2) ** -0.5,
        f"{block}mlp.c_fc.weight": (2 * T) ** -0.5,
        f"{block}mlp.c_proj.weight": T**-0.5 * (2 * 2) ** -0.5,
    }
    assert {name: spread(found[name]) for name in stds} == pytest.approx(stds)
    bounds = {f"{block}mlp.c_fc.bias": T**-0.5, f"{block}mlp.c_proj.bias": (4 * T) ** -0.5}
    assert {name: spread(found[name], Uniform) for name in bounds} == pytest.approx(bounds)
    assert found["logit_scale"] == Constant(pytest.approx(log(1 / 0.07)))
    for name in ("attn.in_proj_bias", "attn.out_proj.bias", "ln_1.bias"):
        assert found[block + name] == Constant(0)
    assert found[f"{block}ln_1.weight"] == found["ln_final.weight"] == Constant(1)


def test_openai_leaves_the_vision_of_clip_at_the_defaults_of_torch(tmp_path: Path):
    shapes: Shapes = {
        "visual.class_embedding": (W,),
        "visual.positional_embedding": (17, W),
        "visual.proj": (W, E),
        "visual.conv1.weight": (W, 3, 8, 8),
        "visual.ln_pre.weight": (W,),
        "visual.ln_post.bias": (W,),
        **residual_blocks("visual.", W, 3),
    }
    found = laws(tmp_path, "clip-openai", shapes)
    for name in ("visual.class_embedding", "visual.positional_embedding", "visual.proj"):
        assert spread(found[name]) == pytest.approx(W**-0.5)
    block = "visual.transformer.resblocks.2."
    bounds = {
        "visual.conv1.weight": (3 * 64) ** -0.5,
        f"{block}attn.in_proj_weight": sqrt(6 / (4 * W)),
        f"{block}attn.out_proj.weight": W**-0.5,
        f"{block}mlp.c_fc.weight": W**-0.5,
        f"{block}mlp.c_fc.bias": W**-0.5,
        f"{block}mlp.c_proj.weight": (4 * W) ** -0.5,
        f"{block}mlp.c_proj.bias": (4 * W) ** -0.5,
    }
    assert {name: spread(found[name], Uniform) for name in bounds} == pytest.approx(bounds)
    assert found[f"{block}attn.out_proj.bias"] == found["visual.ln_post.bias"] == Constant(0)
    assert found["visual.ln_pre.weight"] == Constant(1)


def test_openai_begins_the_blocks_of_clips_resnet_as_the_identity(tmp_path: Path):
    shapes: Shapes = {
        "visual.conv3.weight": (32, 16, 3, 3),
        "visual.bn3.weight": (32,),
        "visual.bn3.running_var": (32,),
        "visual.layer4.1.conv3.weight": (64, 16, 1, 1),
        "visual.layer4.1.bn3.weight": (64,),
        "visual.layer4.1.bn3.bias": (64,),
        "visual.layer1.0.downsample.0.weight": (64, 32, 1, 1),
        "visual.layer1.0.downsample.1.weight": (64,),
        "visual.attnpool.positional_embedding": (50, 64),
        "visual.attnpool.q_proj.weight": (64, 64),
        "visual.attnpool.c_proj.weight": (E, 64),
        "visual.attnpool.c_proj.bias": (E,),
    }
    found = laws(tmp_path, "clip-openai", shapes)
    assert found["visual.layer4.1.bn3.weight"] == found["visual.layer4.1.bn3.bias"] == Constant(0)
    for name in ("visual.bn3.weight", "visual.bn3.running_var", "visual.layer1.0.downsample.1.weight"):
        assert found[name] == Constant(1)
    stds = ("positional_embedding", "q_proj.weight", "c_proj.weight")
    assert [spread(found[f"visual.attnpool.{name}"]) for name in stds] == [pytest.approx(1 / 8)] * 3
    bounds = {
        "visual.conv3.weight": 1 / 12,
        "visual.layer4.1.conv3.weight": 1 / 4,
        "visual.layer1.0.downsample.0.weight": 32**-0.5,
        "visual.attnpool.c_proj.bias": 1 / 8,
    }
    assert {name: spread(found[name], Uniform) for name in bounds} == pytest.approx(bounds)


def test_the_law_of_openai_is_the_same_in_the_names_of_transformers(tmp_path: Path):
    text, vision = "text_model.encoder.layers.", "vision_model.encoder.layers."
    tower: Shapes = {
        "self_attn.q_proj.weight": (W, W),
        "self_attn.v_proj.bias": (W,),
        "self_attn.out_proj.weight": (W, W),
        "mlp.fc1.weight": (4 * W, W),
        "mlp.fc1.bias": (4 * W,),
        "mlp.fc2.weight": (W, 4 * W),
        "layer_norm2.weight": (W,),
    }
    shapes: Shapes = {
        **{
            f"{prefix}{layer}.{name}": s for prefix in (text, vision) for layer in range(2) for name, s in tower.items()
        },
        "text_model.embeddings.token_embedding.weight": (V, W),
        "text_model.embeddings.position_embedding.weight": (16, W),
        "vision_model.embeddings.position_embedding.weight": (17, W),
        "vision_model.embeddings.class_embedding": (W,),
        "vision_model.embeddings.patch_embedding.weight": (W, 3, 8, 8),
        "vision_model.pre_layrnorm.weight": (W,),
        "vision_model.post_layernorm.bias": (W,),
        "text_model.final_layer_norm.weight": (W,),
        "text_projection.weight": (E, W),
        "visual_projection.weight": (E, W),
    }
    found = laws(tmp_path, "clip-openai", shapes)
    stds = {
        f"{text}0.self_attn.q_proj.weight": W**-0.5,
        f"{text}0.self_attn.out_proj.weight": W**-0.5 / 2,
        f"{text}0.mlp.fc1.weight": (2 * W) ** -0.5,
        f"{text}0.mlp.fc2.weight": W**-0.5 / 2,
        "text_model.embeddings.token_embedding.weight": 0.02,
        "text_model.embeddings.position_embedding.weight": 0.01,
        "vision_model.embeddings.position_embedding.weight": W**-0.5,
        "vision_model.embeddings.class_embedding": W**-0.5,
        "text_projection.weight": W**-0.5,
        "visual_projection.weight": W**-0.5,
    }
    assert {name: spread(found[name]) for name in stds} == pytest.approx(stds)
    bounds = {
        f"{vision}1.self_attn.q_proj.weight": sqrt(6 / (4 * W)),
        f"{vision}1.self_attn.out_proj.weight": W**-0.5,
        f"{vision}1.mlp.fc1.weight": W**-0.5,
        f"{vision}1.mlp.fc1.bias": W**-0.5,
        f"{vision}1.mlp.fc2.weight": (4 * W) ** -0.5,
        f"{text}1.mlp.fc1.bias": W**-0.5,
        "vision_model.embeddings.patch_embedding.weight": (3 * 64) ** -0.5,
    }
    assert {name: spread(found[name], Uniform) for name in bounds} == pytest.approx(bounds)
    for prefix in (text, vision):
        assert found[f"{prefix}0.self_attn.v_proj.bias"] == Constant(0)
        assert found[f"{prefix}0.layer_norm2.weight"] == Constant(1)


def test_torchvision_initializes_convolutions_by_fan_out_and_the_classifier_as_torch(tmp_path: Path):
    shapes: Shapes = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.weight": (64,),
        "bn1.running_mean": (64,),
        "layer1.0.conv2.weight": (64, 4, 3, 3),
        "layer1.0.bn2.bias": (64,),
        "layer1.0.bn2.running_var": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.weight": (256,),
        "fc.weight": (10, 256),
        "fc.bias": (10,),
    }
    found = laws(tmp_path, "resnet-torchvision", shapes)
    stds = {
        "conv1.weight": sqrt(2 / (64 * 49)),
        "layer1.0.conv2.weight": sqrt(2 / (64 * 9)),
        "layer1.0.downsample.0.weight": sqrt(2 / 256),
    }
    assert {name: spread(found[name]) for name in stds} == pytest.approx(stds)
    for name in ("fc.weight", "fc.bias"):
        assert spread(found[name], Uniform) == pytest.approx(1 / 16)
    for name in ("bn1.weight", "layer1.0.bn2.running_var", "layer1.0.downsample.1.weight"):
        assert found[name] == Constant(1)
    assert found["layer1.0.bn2.bias"] == found["bn1.running_mean"] == Constant(0)


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("resnet-torchvision", ("bn1", "layer4.2.bn3", "layer1.0.downsample.1")),
        ("clip-openai", ("visual.bn2", "visual.layer3.22.bn3", "visual.layer1.0.downsample.1")),
    ],
)
def test_a_fresh_resnet_has_counted_no_batches(tmp_path: Path, preset: str, names: tuple[str, ...]):
    table = {f"{name}.num_batches_tracked": ("I64", []) for name in names}
    plan = initctl.plan(checkpoint_of(tmp_path, table), preset=preset)
    assert {action.tensor.name: action.law for action in plan.actions} == dict.fromkeys(table, Constant(0))
