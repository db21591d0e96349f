"""A preset that leaves weights undecided says which and how many; one that leaves most of them is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import initctl
from tests.planning.tables import checkpoint_of, codes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.planning.tables import Table

Q = "model.layers.0.self_attn.q_proj"
LLAMA: Table = {
    "model.embed_tokens.weight": ("F32", [64, 32]), "model.norm.weight": ("F32", [32]),
    "lm_head.weight": ("F32", [64, 32]), f"{Q}.weight": ("F32", [32, 32]),
}  # fmt: skip
WITHOUT_Q: Table = {name: row for name, row in LLAMA.items() if not name.startswith(Q)}
FP8: Table = {**WITHOUT_Q, f"{Q}.weight": ("F8_E4M3", [32, 32]), f"{Q}.weight_scale_inv": ("F32", [1, 1])}
GPTQ: Table = {
    **WITHOUT_Q, f"{Q}.qweight": ("I32", [4, 32]), f"{Q}.qzeros": ("I32", [1, 4]), f"{Q}.scales": ("F16", [1, 32]),
}  # fmt: skip
TIMM: Table = {
    "cls_token": ("F32", [1, 1, 8]), "pos_embed": ("F32", [1, 5, 8]), "patch_embed.proj.weight": ("F32", [8, 3, 4, 4]),
    "patch_embed.proj.bias": ("F32", [8]), "norm.weight": ("F32", [8]), "norm.bias": ("F32", [8]),
    "head.weight": ("F32", [5, 8]), "head.bias": ("F32", [5]),
    **{
        f"blocks.{layer}.{name}": ("F32", shape)
        for layer in (0, 1)
        for name, shape in {
            "norm1.weight": [8], "norm1.bias": [8], "attn.qkv.weight": [24, 8], "attn.qkv.bias": [24],
            "attn.proj.weight": [8, 8], "attn.proj.bias": [8], "mlp.fc1.weight": [16, 8], "mlp.fc1.bias": [16],
            "mlp.fc2.weight": [8, 16], "mlp.fc2.bias": [8],
        }.items()
    },
}  # fmt: skip
RESNET: Table = {
    "conv1.weight": ("F32", [8, 3, 7, 7]), "bn1.weight": ("F32", [8]), "bn1.bias": ("F32", [8]),
    "layer1.0.conv1.weight": ("F32", [8, 8, 3, 3]), "fc.weight": ("F32", [5, 8]), "fc.bias": ("F32", [5]),
}  # fmt: skip
GPT2: Table = {
    "wte.weight": ("F32", [16, 8]), "wpe.weight": ("F32", [8, 8]), "h.0.ln_1.weight": ("F32", [8]),
    "h.0.ln_1.bias": ("F32", [8]), "h.0.attn.c_attn.weight": ("F32", [8, 24]), "h.0.attn.c_attn.bias": ("F32", [24]),
    "h.0.attn.bias": ("F32", [1, 1, 8, 8]), "h.0.attn.masked_bias": ("F32", []),
}  # fmt: skip


def saved(folder: Path, table: Table, **config: object) -> Path:
    """A directory with the tensors of `table` and, if anything is in it, a config.json."""
    checkpoint_of(folder, table)
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def warned(folder: Path, **asked: object) -> str:
    (warning,) = initctl.plan(folder, **asked).warnings  # type: ignore[arg-type]
    assert warning.code == "preset.partial"
    return str(warning)


def refused(folder: Path, **asked: object) -> str:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(folder, **asked)  # type: ignore[arg-type]
    (problem,) = raised.value.problems
    assert problem.code == "preset.partial"
    return str(problem)


def test_a_preset_that_decides_all_weights_says_nothing(tmp_path: Path):
    assert initctl.plan(saved(tmp_path, LLAMA), preset="llama").warnings == ()


def test_buffers_that_a_preset_leaves_are_no_weights(tmp_path: Path):
    buffers: Table = {"rope.freqs": ("F32", [512, 64]), "model.position_ids": ("I64", [1, 512])}
    assert initctl.plan(saved(tmp_path, {**LLAMA, **buffers}), preset="llama").warnings == ()
    assert initctl.plan(saved(tmp_path, GPT2), preset="gpt2").warnings == ()


def test_what_a_preset_leaves_because_it_is_quantized_is_named(tmp_path: Path):
    saved(tmp_path, FP8, model_type="llama", quantization_config={"quant_method": "fp8"})
    assert warned(tmp_path, preset="auto") == (
        "preset llama: leaves 2 of 5 floating-point and quantized tensors (20% of the elements) unchanged: "
        f"{Q}.{{weight,weight_scale_inv}}: they make up a quantized weight (fp8); "
        "dequantize the model first, or pass --require-all to refuse this"
    )


def test_integer_codes_that_a_preset_leaves_are_named_too(tmp_path: Path):
    saved(tmp_path, GPTQ, model_type="llama", quantization_config={"quant_method": "gptq"})
    assert f"{Q}.{{qweight,qzeros,scales}}: they make up a quantized weight (GPTQ)" in warned(tmp_path, preset="auto")
    with pytest.raises(initctl.FitError, match=r"no rule decides .*q_proj\.{qweight,qzeros,scales}: they make up"):
        initctl.plan(tmp_path, preset="auto", require_all=True)


def test_a_model_that_is_mostly_quantized_is_refused(tmp_path: Path):
    small: Table = {"model.embed_tokens.weight": ("F32", [8, 8]), "model.norm.weight": ("F32", [8])}
    quantized: Table = {name: row for name, row in FP8.items() if name.startswith(Q)}
    saved(tmp_path, {**small, **quantized}, model_type="llama")
    assert refused(tmp_path, preset="auto") == (
        "preset llama: leaves 2 of 4 floating-point and quantized tensors (93% of the elements) unchanged: "
        f"{Q}.{{weight,weight_scale_inv}}: they make up a quantized weight (float8_e4m3fn with a scale); "
        "dequantize the model first, or pass --allow-partial"
    )


def test_a_preset_of_other_names_that_fits_in_part_is_refused(tmp_path: Path):
    assert refused(saved(tmp_path, TIMM), preset="vit") == (
        "preset vit: leaves 11 of 28 floating-point tensors (60% of the elements) unchanged: "
        "cls_token, pos_embed, patch_embed.proj.weight and 8 more; "
        "choose a preset for this model (likely: vit-timm-jax, vit-timm-moco, vit-timm), "
        "add rules for the rest, or pass --allow-partial"
    )


def test_if_no_preset_fits_better_the_list_of_all_is_named(tmp_path: Path):
    assert "choose a preset for this model (`initctl presets` lists them)," in refused(
        saved(tmp_path, {**LLAMA, "base.table": ("F32", [512, 64])}), preset="gpt2"
    )


@pytest.mark.parametrize(
    ("table", "preset", "better"),
    [(RESNET, "bert", "resnet-torchvision)"), (LLAMA, "gpt2", "gemma2, lfm2, "), (GPT2, "vit", "gpt2)")],
)
def test_presets_whose_names_fit_better_are_proposed(tmp_path: Path, table: Table, preset: str, better: str):
    assert f"choose a preset for this model (likely: {better}" in refused(saved(tmp_path, table), preset=preset)


def test_the_preset_for_the_model_type_of_config_json_is_proposed(tmp_path: Path):
    assert "choose a preset for this model (qwen2)," in refused(
        saved(tmp_path, LLAMA, model_type="qwen2"), preset="gpt2"
    )


def test_with_allow_partial_it_is_a_warning(tmp_path: Path):
    assert warned(saved(tmp_path, RESNET), preset="bert", allow_partial=True).startswith(
        "preset bert: leaves 4 of 6 floating-point tensors (more than 99% of the elements) unchanged: "
    )


def test_it_is_refused_with_status_4(tmp_path: Path):
    saved(tmp_path, RESNET)
    with pytest.raises(initctl.FitError) as raised:
        initctl.apply(tmp_path, tmp_path / "out", preset="bert")
    assert raised.value.exit_status == 4
    assert not (tmp_path / "out").exists()


def test_a_few_weights_that_are_left_are_a_warning(tmp_path: Path):
    table: Table = {**LLAMA, "adapter.scale": ("F32", [8]), "adapter.shift": ("F32", [8])}
    assert warned(saved(tmp_path, table), preset="llama") == (
        "preset llama: leaves 2 of 6 floating-point tensors (less than 1% of the elements) unchanged: "
        "adapter.scale, adapter.shift; add rules for the rest, or pass --require-all to refuse this"
    )


def test_layers_that_are_left_may_have_the_names_of_another_library(tmp_path: Path):
    told = warned(saved(tmp_path, {**LLAMA, "model.layers.0.mixer.weight": ("F32", [8, 8])}), preset="llama")
    assert told.endswith(
        "layers.0.mixer.weight; the preset does not know all layers, which may have the names of another library; "
        "let `initctl suggest` make a recipe, add rules for the rest, or pass --require-all to refuse this"
    )


def test_the_presets_that_know_the_layers_that_are_left_are_proposed(tmp_path: Path):
    wide: Table = {f"blocks.{layer}.mlp.fc1.weight": ("F32", [128, 8]) for layer in (0, 1)}
    told = warned(saved(tmp_path, {**TIMM, **wide}), preset="vit")
    assert told.endswith(
        " and 8 more; the preset does not know all layers, which may have the names of another library; "
        "choose a preset for this model (likely: vit-timm-jax, vit-timm-moco, vit-timm), "
        "add rules for the rest, or pass --require-all to refuse this"
    )


@pytest.mark.parametrize("rule", ["adapter.*=ones", "*.scale=keep", "*=keep"])
def test_rules_for_the_rest_decide_it_and_keep_is_one(tmp_path: Path, rule: str):
    saved(tmp_path, {**LLAMA, "adapter.scale": ("F32", [8])})
    assert "preset.partial" not in codes(
        initctl.plan(tmp_path, preset="llama", rules=[rule], allow_unused=True).warnings
    )


def test_rows_that_are_left_count(tmp_path: Path):
    saved(tmp_path, {**LLAMA, "head.out": ("F32", [300, 32])})
    told = warned(tmp_path, preset="llama", rules=["head.out[:200]=ones"])
    assert "leaves 1 of 5 floating-point tensors (22% of the elements) unchanged: head.out;" in told
    assert "head.out" in refused(tmp_path, preset="llama", rules=["head.out[:1]=ones"])


def test_rules_alone_never_refuse_what_they_leave(tmp_path: Path):
    assert initctl.plan(saved(tmp_path, RESNET), rules=["bn1.*=ones"]).warnings == ()


def test_a_recipe_that_extends_a_preset_is_held_to_the_same(tmp_path: Path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('extends = "preset:llama"\n[[rule]]\nmatch = "model.norm.weight"\ninit = "zeros"\n')
    assert initctl.plan(saved(tmp_path, LLAMA), recipes=[recipe]).warnings == ()
    saved(tmp_path, {**LLAMA, "adapter.scale": ("F32", [8])})
    assert warned(tmp_path, recipes=[recipe]).startswith(
        f"{recipe}: leaves 1 of 5 floating-point tensors (less than 1%"
    )


def test_to_require_all_says_it_once(tmp_path: Path):
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(saved(tmp_path, RESNET), preset="bert", require_all=True)
    assert codes(raised.value.problems) == ["tensor.undecided"]


def test_tied_weights_count_once(tmp_path: Path):
    import torch

    tied = torch.ones(64, 32)
    state = {"model.embed_tokens.weight": tied, "lm_head.weight": tied, "model.norm.weight": torch.ones(32)}
    torch.save({**state, "extra.weight": torch.ones(32, 32)}, tmp_path / "m.pt")
    assert "leaves 1 of 4 floating-point tensors (33% of the elements)" in warned(tmp_path / "m.pt", preset="llama")
