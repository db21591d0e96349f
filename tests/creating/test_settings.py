"""Other values for fields of a configuration: their text, what follows them, and keys that do not exist."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import transformers
from safetensors.torch import load_file

import initctl
from initctl.architecture.kinds import Kind
from initctl.architecture.layers import with_layers
from initctl.architecture.settings import with_fields
from initctl.errors import InputError, UsageError
from tests.presets.fresh import quiet

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}
BERT = {**SMALL, "intermediate_size": 96}
LLAMA = {**BERT, "num_key_value_heads": 2}
VIT = {name: size for name, size in BERT.items() if name != "vocab_size"}
ALIKE = "Qwen2 Qwen3 Gemma2 Gemma3 Olmo2 Mixtral"
TINY: dict[str, dict[str, Any]] = {
    "GPT2LMHeadModel": SMALL,
    "LlamaForCausalLM": LLAMA,
    **{f"{stem}ForCausalLM": LLAMA for stem in ALIKE.split()},
    "Qwen3MoeForCausalLM": {**LLAMA, "num_experts": 4, "moe_intermediate_size": 32},
    "GptOssForCausalLM": {**LLAMA, "num_local_experts": 4},
    "DeepseekV3ForCausalLM": {**LLAMA, "num_key_value_heads": 4, "n_routed_experts": 8, "first_k_dense_replace": 1},
    "BertForMaskedLM": BERT,
    "RobertaForMaskedLM": BERT,
    "T5ForConditionalGeneration": {"d_model": 64, "num_layers": 2, "num_heads": 4, "d_ff": 96, "vocab_size": 100},
    "ViTForImageClassification": VIT,
    "WhisperForConditionalGeneration": {
        **{f"{part}_layers": 2 for part in ("encoder", "decoder")},
        **{f"{part}_attention_heads": 4 for part in ("encoder", "decoder")},
        "d_model": 64,
    },
    "CLIPModel": {
        **{f"text_config.{name}": size for name, size in BERT.items()},
        **{f"vision_config.{name}": size for name, size in VIT.items()},
    },
    "MambaForCausalLM": {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100},
}
"""Small sizes for a full-size configuration of each class."""


def config_of(folder: Path, name: str, **fields: Any) -> Path:
    """The directory of the configuration that the class `name` of transformers has by default, with other `fields`."""
    config = getattr(transformers, name).config_class(**fields)
    config.architectures = [name]
    config.save_pretrained(folder / "config")
    return folder / "config"


def written(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_model_of_each_family_is_one_call_from_the_full_size_configuration(tmp_path: Path, name: str):
    created = initctl.new(tmp_path / "tiny", config=config_of(tmp_path, name), settings=TINY[name])
    assert created.plan.initialized.elements < 20_000_000
    with quiet():
        _, info = getattr(transformers, name).from_pretrained(tmp_path / "tiny", output_loading_info=True)
    assert not {key: found for key, found in info.items() if found}
    assert initctl.verify(tmp_path / "tiny", preset="auto")


@pytest.mark.parametrize(
    ("name", "key", "hint"),
    [
        ("LlamaForCausalLM", "hiden_size", "did you mean hidden_size?"),
        ("LlamaForCausalLM", "text_config.hidden_size", "did you mean"),
        ("CLIPModel", "patch_size", "did you mean vision_config.patch_size?"),
        ("CLIPModel", "vision_config.patchsize", "did you mean vision_config.patch_size?"),
        ("LlamaForCausalLM", "zzzzzz", ""),
    ],
)
def test_an_unknown_field_is_an_error_that_names_the_nearest(tmp_path: Path, name: str, key: str, hint: str):
    with pytest.raises(UsageError) as raised:
        initctl.new(tmp_path / "new", config=config_of(tmp_path, name), settings={key: 1})
    assert f"the configuration has no field {key}" in str(raised.value)
    assert hint in str(raised.value)


def test_a_field_has_the_name_that_all_families_share_too(tmp_path: Path):
    config = config_of(tmp_path, "GPT2LMHeadModel")
    initctl.new(tmp_path / "new", config=config, settings={"hidden_size": 32, "n_layer": 1, "num_attention_heads": 2})
    found = written(tmp_path / "new")
    assert (found["n_embd"], found["n_layer"], found["n_head"]) == (32, 1, 2)
    assert "hidden_size" not in found


def test_lists_of_one_item_a_layer_follow_the_number_of_layers(tmp_path: Path):
    config = config_of(tmp_path, "Gemma3ForCausalLM")
    kinds = written(config)["layer_types"]
    for layers in (2, len(kinds) + 3):
        options = {**TINY["Gemma3ForCausalLM"], "num_hidden_layers": layers}
        initctl.new(tmp_path / "new", config=config, settings=options)
        found = written(tmp_path / "new")["layer_types"]
        assert len(found) == layers
        assert found[: len(kinds)] == kinds[:layers]


@pytest.mark.parametrize(
    ("field", "follows"),
    [
        ("num_hidden_layers", "layer_types"),
        ("n_layer", "layer_types"),
        ("encoder_layers", "encoder_layer_types"),
        ("num_encoder_layers", "encoder_layer_types"),
        ("decoder_num_hidden_layers", "decoder_layer_types"),
        ("num_mtp_layers", "mtp_layer_types"),
        ("max_window_layers", None),
        ("vision_feature_layer", None),
        ("num_kv_shared_layers", None),
    ],
)
@pytest.mark.parametrize("part", ["", "text_config."])
def test_only_lists_of_the_layers_whose_number_is_set_follow_it(part: str, field: str, follows: str | None):
    lists = {f"{of}layer_types": ["a"] * 4 for of in ("", "encoder_", "decoder_", "mtp_")}
    fields = {field: 4, "decoder_layers": 4, **lists}
    config = {part.rstrip("."): fields} if part else fields
    for now in (2, 6):
        settings = {f"{part}{field}": now}
        found = with_layers(with_fields(config, settings, settings, str), config, settings, Kind(None))
        expected: dict[str, Any] = {**fields, field: now}
        if follows:
            expected[follows] = ["a"] * now
        assert (found[part.rstrip(".")] if part else found) == expected


@pytest.mark.parametrize(
    ("name", "layers", "expected"),
    [
        (
            "Gemma3nTextModel",
            30,
            {
                "intermediate_size": [64] * 30,
                "activation_sparsity_pattern": [0.95] * 10 + [0.0] * 20,
            },
        ),
        ("Gemma3nTextModel", 36, {"intermediate_size": [64] * 36}),
        ("Dinov2Model", 2, {"stage_names": ["stem", "stage1", "stage2"], "out_indices": [2]}),
        ("Dinov2Model", 13, {"out_features": ["stage13"], "out_indices": [13]}),
        ("BeitModel", 2, {"stage_names": ["stem", "stage1", "stage2"], "out_features": ["stage2"]}),
    ],
)
def test_what_a_class_derives_from_the_number_of_layers_follows_it(
    tmp_path: Path, name: str, layers: int, expected: dict[str, Any]
):
    sizes = {"vocab_size": 10, "vocab_size_per_layer_input": 10, "intermediate_size": [64] * 35}
    config = config_of(tmp_path, name, **(sizes if name[0] == "G" else {}))
    options = {"settings": {"num_hidden_layers": layers}, "rules": ["*=zeros"]}
    initctl.new(tmp_path / "new", config=config, **options, dtype="float16")
    found = written(tmp_path / "new")
    assert {key: found[key] for key in expected} == expected


def test_layers_of_a_backbone_that_are_gone_are_named_and_may_be_chosen_by_either_field(tmp_path: Path):
    config = config_of(tmp_path, "Dinov2Backbone", out_indices=[3, 12])
    options: dict[str, Any] = {"config": config, "rules": ["*=zeros"], "dry_run": True}
    settings = {"num_hidden_layers": 3}
    with pytest.raises(InputError, match=r"out_features must be a subset of stage_names.* add them to `settings`"):
        initctl.new(tmp_path / "new", **options, settings=settings)
    for chosen in ({"out_indices": [1, 3]}, {"out_features": ["stage1", "stage3"]}):
        made = initctl.new(tmp_path / "new", **options, settings={**settings, **chosen})
        found = made.plan.checkpoint.config() or {}
        assert (found["out_indices"], found["out_features"]) == ([1, 3], ["stage1", "stage3"])


def test_the_layers_of_a_part_are_followed_by_the_lists_of_this_part(tmp_path: Path):
    text = {"num_hidden_layers": 35, "intermediate_size": [64] * 35, "vocab_size": 10, "vocab_size_per_layer_input": 9}
    text["activation_sparsity_pattern"] = [0.5] * 35
    config = config_of(tmp_path, "Gemma3nForConditionalGeneration", text_config=text)
    before = written(config)
    old = Kind.of(before, "config.json")
    new = {**before, "text_config": {**before["text_config"], "num_hidden_layers": 30}}
    found = with_layers(new, before, {"text_config.num_hidden_layers": 30}, old)
    assert found["text_config"]["intermediate_size"] == [64] * 30
    assert found["text_config"]["activation_sparsity_pattern"] == [0.5] * 30


def test_a_list_that_is_set_too_stays_as_it_is_set(tmp_path: Path):
    config = config_of(tmp_path, "Gemma3ForCausalLM")
    options = {**TINY["Gemma3ForCausalLM"], "layer_types": ["full_attention", "full_attention"]}
    initctl.new(tmp_path / "new", config=config, settings=options)
    assert written(tmp_path / "new")["layer_types"] == ["full_attention", "full_attention"]
    with pytest.raises(InputError, match="must be equal to the number of `layer_types`"):
        initctl.new(tmp_path / "new", config=config, settings=options | {"num_hidden_layers": 3})


def test_the_names_of_labels_follow_their_number(tmp_path: Path):
    labels = {number: f"kind {number}" for number in range(3)}
    numbers = {name: number for number, name in labels.items()}
    config = config_of(tmp_path, "BertForSequenceClassification", id2label=labels, label2id=numbers)
    initctl.new(tmp_path / "new", config=config, settings={**BERT, "num_labels": 5})
    assert load_file(tmp_path / "new" / "model.safetensors")["classifier.weight"].shape == (5, 64)
    names = {str(number): f"kind {number}" if number < 3 else f"LABEL_{number}" for number in range(5)}
    assert written(tmp_path / "new")["id2label"] == names
    assert written(tmp_path / "new")["label2id"] == {name: int(number) for number, name in names.items()}
    initctl.new(tmp_path / "new", config=config, settings={**BERT, "num_labels": 2})
    assert written(tmp_path / "new")["id2label"] == {"0": "kind 0", "1": "kind 1"}


def test_sizes_that_do_not_fit_are_one_line_that_says_what_to_do(tmp_path: Path):
    with pytest.raises(InputError) as raised:
        initctl.new(
            tmp_path / "new", config=config_of(tmp_path, "LlamaForCausalLM"), settings={"num_attention_heads": 7}
        )
    assert "is not a multiple of the number of attention heads (7)" in str(raised.value)
    assert str(raised.value).endswith("other fields may have to change, too: add them to `settings`")


def test_settings_need_a_configuration(tmp_path: Path):
    with pytest.raises(UsageError, match="changes a configuration, and needs `config`"):
        initctl.new(tmp_path / "new", like=tmp_path, settings={"hidden_size": 1}, rules=["*=ones"])
