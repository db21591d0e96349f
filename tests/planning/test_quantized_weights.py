"""A pattern with wildcards leaves the codes of a quantized weight and all that belongs to them, and fills the rest."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import initctl
from initctl.planning.quantization_schemes import SCHEMES, Scheme
from tests.planning.tables import checkpoint_of, codes, decided, planned, refusal, refused

if TYPE_CHECKING:
    from tests.planning.tables import Table

WRITTEN = sorted((Path(__file__).parent / "quantized").glob("*.safetensors"))
PLAIN = {"embed.weight", "fc1.bias", "norm.weight", "norm.bias"}
"""What the models in these files have besides quantized weights."""
Q = "layers.0.q."
LAYOUTS: dict[str, Table] = {
    "fp8 in blocks, as DeepSeek has it": {Q + "weight": ("F8_E4M3", [8, 8]), Q + "weight_scale_inv": ("F32", [1, 1])},
    "fp8 with one scale, and of activations": {
        Q + "weight": ("F8_E4M3", [8, 8]), Q + "weight_scale": ("F32", []), Q + "input_scale": ("F32", []),
        Q + "output_scale": ("F32", []),
    },
    "fbgemm fp8": {
        Q + "weight": ("F8_E4M3", [8, 8]), Q + "weight_scale": ("F32", [8, 1]), Q + "input_scale_ub": ("F32", [1])
    },
    "transformers' fp8 experts": {
        "layers.0.experts.up": ("F8_E4M3", [2, 8, 8]), "layers.0.experts.up_scale_inv": ("F32", [2, 1, 1]),
        "layers.0.experts.up_activation_scale": ("F32", [2]),
    },
    "DeepSeek's own names": {Q + "weight": ("F8_E4M3", [8, 8]), Q + "scale": ("F32", [1, 1])},
    "Mistral's own names": {
        Q + "weight": ("F8_E4M3", [8, 8]), Q + "qscale_weight": ("BF16", []), Q + "qscale_act": ("BF16", []),
    },
    "ComfyUI": {
        Q + "weight": ("F8_E4M3", [8, 8]), Q + "scale_weight": ("F32", [1]), Q + "scale_input": ("F32", [1]),
    },
    "GPTQ": {
        Q + "qweight": ("I32", [4, 32]), Q + "qzeros": ("I32", [1, 4]), Q + "scales": ("F16", [1, 32]),
        Q + "g_idx": ("I32", [32]),
    },
    "AWQ": {Q + "qweight": ("I32", [4, 32]), Q + "qzeros": ("I32", [1, 4]), Q + "scales": ("F16", [1, 32])},
    "nunchaku": {
        Q + "qweight": ("I8", [8, 4]), Q + "wscales": ("BF16", [1, 8]), Q + "smooth_factor": ("BF16", [8]),
        Q + "proj_down": ("BF16", [8, 2]), Q + "proj_up": ("BF16", [8, 2]),
    },
    "MLX": {Q + "weight": ("U32", [8, 4]), Q + "scales": ("F16", [8, 1]), Q + "biases": ("F16", [8, 1])},
    "metal": {Q + "weight": ("U32", [8, 4]), Q + "scales": ("F16", [8, 1]), Q + "qbiases": ("F16", [8, 1])},
    "gpt-oss": {
        "layers.0.experts.up_blocks": ("U8", [2, 8, 1, 16]), "layers.0.experts.up_scales": ("U8", [2, 8, 1]),
    },
    "ModelOpt's NVFP4": {
        Q + "weight": ("U8", [8, 4]), Q + "weight_scale": ("F8_E4M3", [8, 1]), Q + "weight_scale_2": ("F32", []),
        Q + "input_scale": ("F32", []),
    },
    "ModelOpt's SmoothQuant": {
        Q + "weight": ("I8", [8, 8]), Q + "weight_scale": ("F32", [8]), Q + "pre_quant_scale": ("BF16", [8]),
    },
    "EETQ": {Q + "weight": ("I8", [8, 8]), Q + "weight_scales": ("F16", [8])},
    "BitNet": {Q + "weight": ("U8", [2, 8]), Q + "weight_scale": ("BF16", [1])},
    "AQLM": {
        Q + "codes": ("I16", [8, 1, 1]), Q + "codebooks": ("F16", [1, 256, 1, 8]), Q + "scales": ("F16", [8, 1, 1, 1]),
    },
    "VPTQ": {
        Q + "indices": ("I16", [1, 1, 8]), Q + "centroids.weight": ("BF16", [1, 64]), Q + "perm": ("I16", [8]),
        Q + "weight_scale": ("BF16", [8]), Q + "weight_bias": ("BF16", [8]),
        Q + "res_centroids.weight": ("BF16", [1, 8]),
    },
    "SpQR": {
        Q + "dense_weights": ("I64", [8]), Q + "row_offsets": ("I32", [9]), Q + "col_vals": ("I32", [4]),
    },
    "QuIP#": {Q + "Qidxs": ("I64", [8, 1]), Q + "SU": ("F16", [8]), Q + "SV": ("F16", [8]), Q + "Wscale": ("F32", [])},
    "EXL3": {Q + "trellis": ("I16", [1, 1, 64]), Q + "suh": ("F16", [8]), Q + "svh": ("F16", [8])},
    "EXL2": {Q + "q_weight": ("I32", [8, 8]), Q + "q_scale_max": ("F16", [1]), Q + "q_scale": ("I32", [1, 1])},
    "Marlin": {Q + "B": ("I32", [1, 16]), Q + "s": ("F16", [1, 8])},
    "HIGGS": {Q + "weight": ("I16", [8, 1]), Q + "scales": ("F16", [8]), Q + "tables": ("F16", [4, 2])},
    "TensorRT-LLM": {
        Q + "weight": ("I8", [8, 8]), Q + "weights_scaling_factor": ("F32", [1]),
        Q + "activation_scaling_factor": ("F32", [1]), Q + "prequant_scaling_factor": ("F16", [8]),
    },
    "an 8-bit key-value cache": {
        Q + "k_proj.weight": ("F8_E4M3", [8, 8]), Q + "k_proj.weight_scale": ("F32", []), Q + "k_scale": ("F32", []),
        Q + "v_scale": ("F32", []),
    },
    "sparse": {
        Q + "weight.compressed": ("BF16", [12]), Q + "weight.bitmask": ("U8", [8, 1]), Q + "weight.shape": ("I64", [2]),
    },
    "gpt-fast": {Q + "weight": ("I32", [1, 1, 8]), Q + "scales_and_zeros": ("BF16", [1, 8, 2])},
    "nobody's that is known": {Q + "weight": ("I8", [8, 8]), Q + "row_scale": ("F32", [8]), Q + "col_zp": ("F32", [8])},
}  # fmt: skip


def raw(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", ["*=normal", "*fc*=zeros", "*=perturb:std=0.1,rel=true", "re:.*=ones"])
def test_what_quantizers_write_stays_to_the_byte_but_for_plain_weights(tmp_path: Path, path: Path, rule: str):
    applied = initctl.apply(path, tmp_path / "out.safetensors", rules=[rule])
    old, new = load_file(path), load_file(tmp_path / "out.safetensors")
    filled = {action.tensor.name for action in applied.plan.actions}
    assert filled == {name for name in PLAIN if "fc" not in rule or "fc" in name}
    changed = [name for name in old if not raw(new[name]).equal(raw(old[name]))]
    assert filled - set(changed) <= {"norm.weight", "norm.bias"}  # which may be what they were
    assert set(changed) <= filled
    assert codes(applied.plan.warnings) == ["rule.left_alone"]


def test_each_quantizer_that_files_were_written_by_is_named():
    titles = {
        warning.message.rpartition("(")[2].removesuffix(")")
        for path in WRITTEN
        for warning in initctl.plan(path, rules=["*=normal"]).warnings
    }
    known = {"bitsandbytes 4-bit", "bitsandbytes 8-bit", "compressed-tensors", "HQQ", "quanto", "torchao"}
    assert titles == {*known, "int8 with a scale"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_codes_and_companions_of_a_layout_stay_and_the_bias_beside_them_is_filled(tmp_path: Path, layout: str):
    plain = {Q + "bias": ("F16", [8]), "layers.0.norm.weight": ("F16", [8]), "layers.0.o.weight": ("F16", [8, 8])}
    plan = planned(tmp_path, {**LAYOUTS[layout], **plain}, "*=ones")
    assert {action.tensor.name for action in plan.actions} == set(plain)
    (warning,) = plan.warnings
    assert warning.code == "rule.left_alone"
    assert all(name.rpartition(".")[2] in warning.message for name in LAYOUTS[layout])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_part_of_a_layout_is_filled_by_its_full_name(tmp_path: Path, layout: str):
    for name, (tag, _) in LAYOUTS[layout].items():
        if tag != "F8_E8M0":
            assert decided(planned(tmp_path, LAYOUTS[layout], f"{name}=zeros"))[name] == "rule 1"


PLAIN_MODELS: dict[str, Table] = {
    "layer scale": {"ls1.gamma": ("F32", [8]), "ls1.scale": ("F32", [8]), "attn.scales": ("F32", [4])},
    "norms": {"norm.weight": ("F32", [8]), "norm.scale": ("F32", [8]), "norm.zero": ("F32", [8])},
    "scaled attention": {
        "attn.k_scale": ("F32", [4]), "attn.v_scale": ("F32", [4]), "attn.k_proj.weight": ("BF16", [8, 8]),
        "logit_scale": ("F32", []),
    },
    "names of companions without codes": {
        "a.scales": ("F32", [4]), "a.biases": ("F32", [4]), "a.zeros": ("F32", [4]), "a.meta": ("F32", [4]),
        "a.weight_scale": ("F32", [4]), "a.absmax": ("F32", [4]), "a.SU": ("F32", [4]), "a.codebooks": ("F32", [4]),
        "a.input_scale": ("F32", []), "a.perm": ("F32", [4]), "a.s": ("F32", [4]), "a.A": ("F32", [4]),
    },
    "codes of another module": {
        "steps": ("I64", []), "scale": ("F32", []), "a.scale": ("F32", [4]), "b.weight": ("U8", [4, 4]),
        "a.weight": ("F32", [4, 4]),
    },
    "masks and counters beside scales": {
        "attn.mask_bits": ("U8", [4, 4]), "attn.scale": ("F32", [4]), "attn.index": ("I32", [4]),
        "attn.zero": ("F32", [4]),
    },
    "float8 without any scale": {"a.weight": ("F8_E4M3", [8, 8]), "a.bias": ("BF16", [8]), "b.scale": ("BF16", [8])},
}  # fmt: skip


@pytest.mark.parametrize("model", PLAIN_MODELS)
def test_plain_models_with_parameters_that_are_called_as_companions_are_filled_as_ever(tmp_path: Path, model: str):
    table = PLAIN_MODELS[model]
    plan = planned(tmp_path, table, "*=ones")
    assert {action.tensor.name for action in plan.actions} == {
        name for name, (tag, _) in table.items() if tag[0] in "FB"
    }


def quantized_by(folder: Path, method: str, table: Table) -> initctl.Plan:
    """The plan of `*=ones` beside a config.json that names a quantization method."""
    (folder / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": method}}))
    return planned(folder, table, "*=ones")


@pytest.mark.parametrize(
    ("method", "name", "tag"),
    [
        ("gptq", "a.scales", "F16"), ("awq", "mlp.act.scales", "F16"), ("fp8", "a.weight_scale_inv", "F32"),
        ("fp8", "a.weight", "F8_E4M3"), ("bitsandbytes", "a.weight.absmax", "F32"), ("fp8", "attn.k_scale", "F32"),
        ("compressed-tensors", "a.weight_scale", "BF16"), ("compressed-tensors", "attn.v_scale", "BF16"),
        ("fbgemm_fp8", "a.weight_scale", "F32"), ("quanto", "norm.input_scale", "F32"), ("aqlm", "a.codebooks", "F16"),
        ("torchao", "a._weight_scale", "F32"), ("vptq", "a.centroids.weight", "F16"), ("ours", "a.weight", "F8_E4M3"),
    ],
)  # fmt: skip
def test_of_a_shard_config_json_says_what_belongs_to_codes_in_another(tmp_path: Path, method: str, name: str, tag: str):
    plan = quantized_by(tmp_path, method, {name: (tag, [8]), "norm.weight": ("F32", [8])})
    assert decided(plan) == {"norm.weight": "rule 1", name: None}


def test_config_json_does_not_make_companions_of_what_stands_by_a_plain_weight(tmp_path: Path):
    table = {"a.weight": ("F32", [8, 8]), "a.scales": ("F32", [8]), "a.weight_scale": ("F32", [8])}
    assert set(decided(quantized_by(tmp_path, "gptq", table)).values()) == {"rule 1"}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"quantization_config": 3}', '{"quantization_config": {"quant_method": 3}}']
)
def test_a_config_json_that_does_not_say_so_changes_nothing(tmp_path: Path, text: str):
    (tmp_path / "config.json").write_text(text)
    plan = planned(tmp_path, {"a.weight_scale_inv": ("F32", [8]), "w": ("F8_E4M3", [8])}, "*=ones")
    assert set(decided(plan).values()) == {"rule 1"}


@pytest.mark.parametrize(
    ("config", "title"),
    [
        ({"quantization_config": {"quant_method": "awq"}}, "AWQ"),
        ({"quantization_config": {"quant_method": "gptq"}}, "GPTQ"),
        ({"text_config": {"quantization_config": {"quant_method": "gptq"}}}, "GPTQ"),
        ({}, "AWQ"),
    ],
)
def test_the_warning_names_the_method_of_config_json(tmp_path: Path, config: dict[str, Any], title: str):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (warning,) = planned(tmp_path, {**LAYOUTS["AWQ"], "norm.weight": ("F32", [8])}, "*=ones").warnings
    assert warning.message.endswith(f"they make up a quantized weight ({title})")


def test_one_warning_lists_all_weights_of_a_model_shortly(tmp_path: Path):
    table: dict[str, tuple[str, list[int]]] = {"norm.weight": ("F32", [8])}
    for layer in range(4):
        for name, (tag, shape) in LAYOUTS["GPTQ"].items():
            for module in ("q_proj", "k_proj", "v_proj", "o_proj"):
                table[name.replace("layers.0.q", f"layers.{layer}.attn.{module}")] = (tag, list(shape))
    (warning,) = planned(tmp_path, table, "*=normal").warnings
    assert str(warning) == (
        "rule 1 (*=normal): does not fill {q_proj,k_proj,v_proj,…}.{g_idx,qweight,qzeros,scales} ×16: "
        "they make up quantized weights (GPTQ); dequantize the model first, or name a tensor in full to fill it"
    )


def test_weights_in_a_sequence_keep_the_numbers_of_their_modules(tmp_path: Path):
    table = {f"{n}.{last}": tag for n in (0, 2) for last, tag in (("weight", ("I8", [8])), ("SCB", ("F32", [8])))}
    (warning,) = planned(tmp_path, {**table, "1.weight": ("F32", [8])}, "*=normal").warnings
    assert warning.message.startswith("rule 1 (*=normal): does not fill {0,2}.{SCB,weight} ×2: they make")


def test_a_rule_that_matches_only_quantized_weights_is_refused_and_says_what_they_are(tmp_path: Path):
    expert = "model.layers.0.mlp.experts.0.up_proj"
    table = {
        f"{expert}.weight": ("F8_E4M3", [8, 8]), f"{expert}.weight_scale_inv": ("F32", [1, 1]),
        "model.layers.0.mlp.gate.weight": ("F32", [2, 8]),
    }  # fmt: skip
    assert refusal(tmp_path, table, "*.experts.*=perturb:std=0.1,rel=true", "*.gate.weight=normal:std=0.02") == (
        "rule 1 (*.experts.*=perturb:std=0.1,rel=true): has no effect: it matches only "
        f"{expert}.{{weight,weight_scale_inv}}: they make up a quantized weight (float8_e4m3fn with a scale); "
        "dequantize the model first, or name a tensor in full to fill it"
    )


def test_a_rule_that_fills_one_part_of_a_weight_warns_of_the_others(tmp_path: Path):
    plan = planned(tmp_path, LAYOUTS["fp8 in blocks, as DeepSeek has it"], f"{Q}weight=normal:std=0.02")
    (warning,) = plan.warnings
    assert str(warning) == (
        f"rule 1 ({Q}weight=normal:std=0.02): fills {Q}weight, but not weight_scale_inv; "
        "the weight's values depend on all of these parts (float8_e4m3fn with a scale): dequantize the model first"
    )


def test_a_rule_that_fills_all_parts_of_a_weight_does_not_warn(tmp_path: Path):
    rule = f"{Q}{{weight,weight_scale_inv}}=ones"
    assert planned(tmp_path, LAYOUTS["fp8 in blocks, as DeepSeek has it"], rule).warnings == ()


def test_to_require_all_names_quantized_weights_with_their_codes(tmp_path: Path):
    table = {**LAYOUTS["GPTQ"], "norm.weight": ("F32", [8]), "steps": ("I64", [])}
    (problem,) = refused(tmp_path, table, "*=ones", require_all=True)
    assert problem.code == "tensor.undecided"
    assert str(problem) == (
        "no rule decides layers.0.q.{g_idx,qweight,qzeros,scales}: they make up a quantized weight (GPTQ); "
        "dequantize the model first, or add a rule that keeps them"
    )
    assert planned(tmp_path, table, "*=ones", "*.q.*=keep", require_all=True).actions


@pytest.mark.filterwarnings("ignore")  # torch deprecates this way to quantize; its files remain
@pytest.mark.parametrize("preparing", [torch.ao.quantization.quantize_dynamic, None])
def test_modules_that_torch_quantizes_keep_their_scales(tmp_path: Path, preparing: Any):
    model = torch.nn.Sequential(torch.ao.quantization.QuantStub(), torch.nn.Linear(8, 8), torch.nn.LayerNorm(8))
    if preparing:
        model = preparing(model, dtype=torch.qint8)
    else:
        model.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
        torch.ao.quantization.prepare(model, inplace=True)(torch.randn(2, 8))
        torch.ao.quantization.convert(model, inplace=True)
    torch.save(model.state_dict(), tmp_path / "m.pt")
    plan = initctl.plan(tmp_path / "m.pt", rules=["*=normal"])
    filled = {action.tensor.name for action in plan.actions}
    assert filled >= {"2.weight", "2.bias"}
    assert not any("scale" in name or "zero_point" in name for name in filled)


@pytest.mark.filterwarnings("ignore")
def test_observers_and_fake_quantization_stay(tmp_path: Path):
    model = torch.nn.Sequential(torch.nn.Linear(8, 8))
    model.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    torch.ao.quantization.prepare_qat(model.train(), inplace=True)(torch.randn(2, 8))
    torch.save(model.state_dict(), tmp_path / "m.pt")
    plan = initctl.plan(tmp_path / "m.pt", rules=["*=normal"])
    assert {action.tensor.name for action in plan.actions} == {"0.weight", "0.bias"}


def test_a_tensor_that_is_called_as_two_schemes_have_it_belongs_to_one_weight(tmp_path: Path):
    save_file({"a.weight": torch.ones(4, dtype=torch.int8), "a.scales": torch.ones(4)}, tmp_path / "m.safetensors")
    with pytest.raises(initctl.FitError, match=r"it matches only a\.{scales,weight}: they make up a quantized weight"):
        initctl.plan(tmp_path / "m.safetensors", rules=["*=ones"])


# --- on random checkpoints

CODES = st.sampled_from(["U8", "I8", "I16", "U32", "I32", "F8_E4M3", "F8_E5M2"])
STORED_AS_FLOATS = st.sampled_from(["U8", "I32", "F32", "BF16"])
SCALES = st.sampled_from(["F32", "F16", "BF16", "U8", "I32"])
FLOATS = st.sampled_from(["F32", "F16", "BF16", "F64"])
NAMES_OF_COMPANIONS = ["scale", "scales", "zero", "zeros", "biases", "meta", "k_scale", "absmax", "gamma", "bias"]
PATTERNS = st.sampled_from(["*", "*.*", "?*", "re:.*", "{a,b}*", "[a-z]*"])


@st.composite
def quantized_modules(draw: st.DrawFn, number: int) -> tuple[dict[str, str], dict[str, str]]:
    """Tags of the parts of one quantized weight, in some scheme of the table, and of what is plain beside them."""
    scheme: Scheme = draw(st.sampled_from(SCHEMES))
    module = f"a{number}.{draw(st.sampled_from(['attn', 'mlp.0', 'experts.3.up']))}"
    ending = draw(st.sampled_from(scheme.codes.split(" ")))
    stem = module if ending.startswith(".") else f"{module}.weight"
    codes = f"{module}.w1" if ending == ".*" else stem + ending
    kinds = st.just("F8_E4M3") if ending == ".*" else STORED_AS_FLOATS if scheme.any_dtype else CODES
    companions = draw(st.lists(st.sampled_from(scheme.companions.replace("!", "").split()), min_size=1, unique=True))
    parts = {codes: draw(kinds)}
    for companion in companions:
        parts.setdefault(stem + companion.replace("*", "odd"), draw(SCALES))
    return parts, {f"{codes.rpartition('.')[0]}.bias": draw(FLOATS)}


@st.composite
def plain_modules(draw: st.DrawFn, number: int) -> dict[str, str]:
    """Tags of a weight, and of others in its module, which may be called as companions are."""
    others = draw(st.lists(st.sampled_from(NAMES_OF_COMPANIONS), unique=True))
    return {f"b{number}.{name}": draw(FLOATS) for name in ("weight", *others)}


@settings(max_examples=150, deadline=None)
@given(st.data(), PATTERNS)
def test_a_pattern_never_changes_a_part_of_a_quantized_weight_and_always_plain_weights(data: st.DataObject, glob: str):
    parts: dict[str, str] = {}
    plain = data.draw(plain_modules(0))
    for number in range(data.draw(st.integers(1, 3))):
        drawn, beside = data.draw(quantized_modules(number))
        parts |= drawn
        plain |= beside | data.draw(plain_modules(number + 1))
    tags = data.draw(st.permutations(list({**plain, **parts}.items())))
    with TemporaryDirectory() as folder:
        path = checkpoint_of(Path(folder), {name: (tag, [4, 4]) for name, tag in tags})
        plan = initctl.plan(path, rules=[f"{glob}=ones"])
        assert {action.tensor.name for action in plan.actions} == plain.keys() - parts.keys()
        named = data.draw(st.sampled_from(sorted(parts)))
        named_plan = initctl.plan(path, rules=[f"{glob}=ones", f"{named}=zeros"])
        filled = {action.tensor.name for action in named_plan.actions}
        assert filled == {named} | (plain.keys() - parts.keys())
