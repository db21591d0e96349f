"""Models of transformers in memory have the values of the file that `save_pretrained` writes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers.initialization import no_init_weights

import initctl
from tests.live.files import assert_same_bits, bits

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 50,
}
T5 = {"d_model": 16, "d_kv": 8, "num_layers": 2, "num_heads": 2, "d_ff": 32, "vocab_size": 50}
DECODER = {**SMALL, "num_key_value_heads": 2}
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", DECODER),
    "llama, tied": ("LlamaConfig", "LlamaForCausalLM", {**DECODER, "tie_word_embeddings": True}),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"vocab_size": 50, "n_layer": 2, "n_embd": 16, "n_head": 2}),
    "bert": ("BertConfig", "BertForMaskedLM", SMALL),
    "bert classifier": ("BertConfig", "BertForSequenceClassification", SMALL),
    "t5": ("T5Config", "T5ForConditionalGeneration", T5),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", {**DECODER, "num_local_experts": 4}),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", {**DECODER, "num_experts": 4, "moe_intermediate_size": 8}),
}  # fmt: skip
FUSED = "mixtral", "qwen3_moe"


def model(family: str) -> transformers.PreTrainedModel:
    config, kind, arguments = FAMILIES[family]
    return getattr(transformers, kind)(getattr(transformers, config)(**arguments))


def saved(net: transformers.PreTrainedModel, folder: Path) -> dict[str, torch.Tensor]:
    net.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_preset_gives_a_model_the_tensors_of_its_file(family: str, dtype: torch.dtype, tmp_path: Path):
    net = model(family).to(dtype)
    net.save_pretrained(tmp_path / "before")
    initctl.apply(tmp_path / "before", tmp_path / "after", preset="auto", seed=3)
    initctl.init_(net, preset="auto", seed=3)
    assert_same_bits(load_file(tmp_path / "after" / "model.safetensors"), saved(net, tmp_path / "memory"))
    assert initctl.verify(tmp_path / "memory", preset="auto", seed=3)


@pytest.mark.parametrize("family", FUSED)
def test_fused_experts_have_the_values_of_the_many_tensors_of_a_file(family: str, tmp_path: Path):
    net, rules = model(family), ["*=ones", "*=normal:std=0.02/sqrt(fan_in) where ndim >= 2"]
    plan = initctl.init_(net, rules=rules)
    names = {action.tensor.name for action in plan.actions}
    assert len(names) > len(net.state_dict())
    assert names == saved(net, tmp_path).keys()
    assert initctl.verify(tmp_path, rules=rules)


def test_fused_experts_that_are_transposed_or_have_gaps_are_filled_too(tmp_path: Path):
    net, plain = model("mixtral"), model("mixtral")
    for layer in net.model.layers:
        for name in ("gate_up_proj", "down_proj"):
            old = getattr(layer.mlp.experts, name)
            setattr(layer.mlp.experts, name, torch.nn.Parameter(torch.empty(old.mT.shape).mT))
    for one in (net, plain):
        initctl.init_(one, preset="auto")
    assert not net.model.layers[0].mlp.experts.down_proj.is_contiguous()
    assert_same_bits(plain.state_dict(), net.state_dict())


def test_parameters_that_are_joined_when_they_are_saved_keep_their_names_in_memory():
    sizes = {**SMALL, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14}
    del sizes["vocab_size"]
    net = transformers.Step3p7VisionModel(transformers.Step3p7VisionConfig(**sizes))
    with pytest.warns(initctl.InitctlWarning, match=r"layers\.0\.self_attn\..*names in memory count"):
        plan = initctl.init_(net, rules=["*.weight=normal", "*.bias=zeros"])
    state = {"layers.0.self_attn.q_proj.weight": torch.zeros(16, 16)}
    initctl.init_(state, rules=["*=normal"])
    assert torch.equal(net.layers[0].self_attn.q_proj.weight, state["layers.0.self_attn.q_proj.weight"])
    assert [problem.code for problem in plan.warnings if problem.code.startswith("live.")] == ["live.names"]


def test_a_model_that_transformers_cannot_save_keeps_its_names_in_memory_with_a_warning():
    net = model("mixtral")
    experts = net.model.layers[0].mlp.experts
    experts.gate_up_proj = torch.nn.Parameter(torch.tensor(0.0))
    with pytest.raises((RuntimeError, ValueError)):
        transformers.core_model_loading.revert_weight_conversion(net, net.state_dict())
    with pytest.warns(initctl.InitctlWarning, match="names in memory count"):
        plan = initctl.init_(net, rules=["*=ones"])
    assert {action.tensor.name for action in plan.actions} == net.state_dict().keys()


def test_a_state_dict_has_names_of_its_own(tmp_path: Path):
    net, state = model("llama, tied"), model("llama, tied").state_dict()
    initctl.init_(net, rules=["model.embed_tokens.weight=normal"])
    initctl.init_(state, rules=["{model.embed_tokens,lm_head}.weight=normal"])
    assert not torch.equal(net.lm_head.weight, state["lm_head.weight"])
    torch.save(state, tmp_path / "model.pt")
    assert initctl.verify(tmp_path / "model.pt", rules=["{model.embed_tokens,lm_head}.weight=normal"])


def test_what_loading_reports_missing_is_filled(tmp_path: Path):
    body = model("bert")
    saved(body, tmp_path)
    kind = transformers.BertForSequenceClassification
    net, found = kind.from_pretrained(tmp_path, num_labels=3, output_loading_info=True)
    loaded = net.bert.encoder.layer[0].output.dense.weight.clone()
    plan = initctl.init_(net, preset="auto", missing=found, seed=5)
    assert {action.tensor.name for action in plan.actions} == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
        "classifier.weight",
        "classifier.bias",
    }
    assert torch.equal(net.bert.encoder.layer[0].output.dense.weight, loaded)
    fresh = kind(net.config)
    initctl.init_(fresh, preset="auto", seed=5)
    assert torch.equal(fresh.classifier.weight, net.classifier.weight)


def empty_gpt2() -> transformers.PreTrainedModel:
    """A model whose tied tensors have memory of their own."""
    with torch.device("meta"):
        net = model("gpt2")
    return net.to_empty(device="cpu")


TIED = "lm_head.weight", "transformer.wte.weight"


@pytest.mark.parametrize("name", TIED)
def test_a_tensor_that_was_loaded_under_either_of_its_tied_names_is_not_missing(name: str):
    net = model("gpt2")
    loaded = torch.full_like(net.lm_head.weight, 5)
    result = net.load_state_dict({name: loaded}, strict=False)
    plan = initctl.init_(net, preset="auto", missing=result)
    assert torch.equal(net.transformer.wte.weight, loaded)
    assert net.lm_head.weight is net.transformer.wte.weight
    assert "transformer.h.0.attn.c_attn.weight" in {action.tensor.name for action in plan.actions}


def test_a_tensor_that_is_missing_under_all_of_its_tied_names_is_filled():
    for net in (model("gpt2"), empty_gpt2()):
        plan = initctl.init_(net, preset="auto", missing=TIED)
        assert [action.tensor.name for action in plan.actions] == ["transformer.wte.weight"]
        assert torch.equal(net.transformer.wte.weight, net.lm_head.weight)


def test_a_value_that_was_loaded_into_one_of_two_tensors_that_should_be_tied_is_not_overwritten():
    net = empty_gpt2()
    loaded = torch.full_like(net.lm_head.weight, 5)
    result = net.load_state_dict({"lm_head.weight": loaded}, strict=False)
    message = r"transformer\.wte\.weight is missing and lm_head\.weight is not; they should be one tensor"
    with pytest.raises(initctl.FitError, match=message):
        initctl.init_(net, preset="auto", missing=result)
    assert torch.equal(net.lm_head.weight, loaded)


def test_missing_experts_are_named_as_in_memory_or_as_in_a_file():
    for missing in (
        ["model.layers.0.mlp.experts.down_proj"],
        [f"model.layers.0.block_sparse_moe.experts.{n}.w2.weight" for n in range(4)],
    ):
        plan = initctl.init_(model("mixtral"), preset="auto", missing=missing)
        assert len(plan.actions) == 4


@pytest.mark.parametrize("family", ["llama, tied", "t5"])
def test_a_model_from_the_meta_device_runs_and_equals_one_that_never_was_there(family: str):
    fresh = model(family)
    with torch.device("meta"):
        net = model(family)
    net.to_empty(device="cpu")
    net.init_weights()  # what no file has: tables of positions, ties
    for one in (fresh, net):
        initctl.init_(one, preset="auto")
    assert_same_bits(fresh.state_dict(), net.state_dict())
    ids = {"input_ids": torch.tensor([[1, 2, 3]])}
    if family == "t5":
        ids["decoder_input_ids"] = torch.tensor([[1]])
    assert torch.equal(fresh.eval()(**ids).logits, net.eval()(**ids).logits)


def test_a_model_without_its_own_initialization_runs():
    with no_init_weights():
        net = model("llama")
    initctl.init_(net, preset="auto")
    fresh = model("llama")
    initctl.init_(fresh, preset="auto")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(fresh.eval()(ids).logits, net.eval()(ids).logits)


def test_ties_that_to_empty_broke_get_equal_values_and_a_warning(tmp_path: Path):
    with torch.device("meta"):
        net = model("llama, tied")
    net.to_empty(device="cpu")
    assert net.lm_head.weight is not net.model.embed_tokens.weight
    with pytest.warns(initctl.InitctlWarning, match=r"call model\.tie_weights\(\)"):
        initctl.init_(net, preset="auto")
    assert torch.equal(net.lm_head.weight, net.model.embed_tokens.weight)
    net.tie_weights()
    saved(net, tmp_path)
    assert initctl.verify(tmp_path, preset="auto")


def test_a_function_for_modules_gives_fused_and_tied_tensors_the_same_values():
    for family in ("mixtral", "llama, tied"):
        whole = model(family)
        initctl.init_(whole, preset="auto")
        with torch.device("meta"):
            net = model(family)
        function = initctl.param_init_fn(net, preset="auto", device="cpu")
        for module in net.modules():
            function(module)
        assert_same_bits(whole.state_dict(), net.state_dict())


def test_a_compiled_model_has_the_values_of_its_file(tmp_path: Path):
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        compiled = torch.compile(model("mixtral"), backend="eager")
    initctl.init_(compiled, preset="auto")
    saved(compiled._orig_mod, tmp_path)
    assert initctl.verify(tmp_path, preset="auto")


def test_shards_of_an_initialized_model_are_verified(tmp_path: Path):
    net = model("llama")
    initctl.init_(net, preset="auto")
    net.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert initctl.verify(tmp_path, preset="auto")


def test_names_in_config_are_those_of_config_json(tmp_path: Path):
    net = model("llama")
    rules = ["*.weight=normal:std=config.initializer_range"]
    net.save_pretrained(tmp_path / "before")
    initctl.apply(tmp_path / "before", tmp_path / "after", rules=rules)
    initctl.init_(net, rules=rules)
    expected = load_file(tmp_path / "after" / "model.safetensors")["model.norm.weight"]
    assert bits(net.model.norm.weight) == bits(expected)
    with pytest.raises(initctl.UsageError, match="preset auto: the model has no config of transformers"):
        initctl.init_(torch.nn.Linear(2, 2), preset="auto")
