"""A new checkpoint after a config.json is what transformers would have saved and initctl would have filled."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

import initctl
from initctl.errors import FitError, InputError, StorageError, UsageError
from tests.presets.fresh import quiet
from tests.presets.models import Model, models

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = (
    "GPT2LMHeadModel",
    "GPTNeoXForCausalLM",
    "LlamaForCausalLM",
    "LlamaForCausalLM (tied)",
    "MixtralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3MoeForCausalLM",
    "GptOssForCausalLM",
    "BertForPreTraining",
    "BertForSequenceClassification",
    "T5ForConditionalGeneration",
    "T5ForConditionalGeneration (1.1)",
    "ViTForImageClassification",
    "WhisperForConditionalGeneration",
    "CLIPModel",
    "DeepseekV3ForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "MambaForCausalLM",
    "Mamba2ForCausalLM",
    "ResNetForImageClassification",
)
"""Models of `tests/presets`, by their names there."""
CHOSEN = {name: m for m in models() if (name := str(m).partition(": ")[2]) in FAMILIES}


def config_of(model: Model, folder: Path) -> Path:
    """The directory with the `config.json` of `model`."""
    config = model.config()
    config.architectures = [model.name]
    config.save_pretrained(folder / "config")
    return folder / "config"


def saved(model: Model, folder: Path, dtype: torch.dtype | None = None) -> Path:
    """What transformers saves for the `config.json` in `folder`."""
    kind = getattr(transformers, model.name)
    config = kind.config_class.from_pretrained(folder)
    with quiet():
        kind._from_config(config, **({"dtype": dtype} if dtype else {})).save_pretrained(folder.parent / "saved")
    return folder.parent / "saved"


def tensors(folder: Path) -> dict[str, tuple[torch.dtype, tuple[int, ...], bytes]]:
    read = load_file(folder / "model.safetensors")
    bytes_of = {name: tensor.reshape(-1).view(torch.uint8).numpy().tobytes() for name, tensor in read.items()}
    return {name: (tensor.dtype, tuple(tensor.shape), bytes_of[name]) for name, tensor in read.items()}


def loaded(model: Model, folder: Path) -> dict[str, Any]:
    """What transformers says of the keys in `folder`."""
    with quiet():
        _, info = getattr(transformers, model.name).from_pretrained(folder, output_loading_info=True)
    return {key: found for key, found in info.items() if found}


def test_the_families_are_all_there():
    assert CHOSEN.keys() == {*FAMILIES}


@pytest.mark.parametrize("model", CHOSEN.values(), ids=CHOSEN)
def test_a_new_model_has_the_bytes_that_apply_gives_the_saved_one_and_loads(tmp_path: Path, model: Model):
    config = config_of(model, tmp_path)
    created = initctl.new(tmp_path / "new", config=config)
    initctl.apply(saved(model, config), tmp_path / "applied", preset="auto")
    assert tensors(tmp_path / "new") == tensors(tmp_path / "applied")
    for name in ("config.json", "generation_config.json"):
        paths = [tmp_path / folder / name for folder in ("new", "saved")]
        assert len({path.read_text() if path.exists() else None for path in paths}) == 1
    assert sorted(created.files) == sorted(path.name for path in (tmp_path / "new").iterdir())
    assert loaded(model, tmp_path / "new") == {}
    assert initctl.verify(tmp_path / "new", preset="auto")
    assert initctl.verify(created.plan, tmp_path / "new")


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "DeepseekV3ForCausalLM", "BertForPreTraining"])
def test_another_dtype_is_what_transformers_makes_of_it(tmp_path: Path, name: str):
    model = CHOSEN[name]
    config = config_of(model, tmp_path)
    initctl.new(tmp_path / "new", config=config, dtype="bfloat16")
    initctl.apply(saved(model, config, torch.bfloat16), tmp_path / "applied", preset="auto")
    assert tensors(tmp_path / "new") == tensors(tmp_path / "applied")
    assert json.loads((tmp_path / "new" / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_dtype_of_the_configuration_counts_and_else_it_is_float32_whatever_is_torchs_default(tmp_path: Path):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    torch.set_default_dtype(torch.float64)
    try:
        created = initctl.new(tmp_path / "new", config=config, dry_run=True)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {tensor.dtype.name for tensor in created.plan.checkpoint.tensors} == {"float32"}
    created = initctl.new(tmp_path / "new", config=config, settings={"dtype": "float16"}, dry_run=True)
    assert {tensor.dtype.name for tensor in created.plan.checkpoint.tensors} == {"float16"}


def test_without_architectures_the_model_has_no_head(tmp_path: Path):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    created = initctl.new(tmp_path / "new", config=config, settings={"architectures": None})
    assert json.loads((tmp_path / "new" / "config.json").read_text())["architectures"] == ["LlamaModel"]
    assert "lm_head.weight" not in created.plan.checkpoint.by_name


def test_shards_have_an_index_and_load(tmp_path: Path):
    model = CHOSEN["MixtralForCausalLM"]
    created = initctl.new(tmp_path / "new", config=config_of(model, tmp_path), max_shard_size="100KB")
    assert "model.safetensors.index.json" in created.files
    assert loaded(model, tmp_path / "new") == {}
    assert initctl.verify(tmp_path / "new", preset="auto")


def test_other_files_of_a_directory_go_along_but_weights_and_states_of_training_do_not(tmp_path: Path):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    for name in ("tokenizer.json", "model.safetensors", "pytorch_model.bin", "optimizer.pt", "original/a.pth"):
        (config / name).parent.mkdir(exist_ok=True)
        (config / name).write_text("{}")
    created = initctl.new(tmp_path / "new", config=config)
    named = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert set(created.files) == named == {path.name for path in (tmp_path / "new").iterdir()}
    assert (tmp_path / "new" / "tokenizer.json").read_text() == "{}"
    assert load_file(tmp_path / "new" / "model.safetensors")
    assert initctl.verify(created.plan, tmp_path / "new")
    assert set(initctl.new(tmp_path / "alone", config=config / "config.json").files) == named - {"tokenizer.json"}


def test_rules_come_after_the_preset_auto_and_a_recipe_takes_its_place(tmp_path: Path):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    initctl.new(tmp_path / "a", config=config, rules=["lm_head.weight=zeros"])
    assert not load_file(tmp_path / "a" / "model.safetensors")["lm_head.weight"].any()
    (tmp_path / "all.toml").write_text('[[rule]]\nmatch = "*"\ninit = "ones"\n')
    initctl.new(tmp_path / "b", config=config, recipes=[tmp_path / "all.toml"])
    assert all(bool((tensor == 1).all()) for tensor in load_file(tmp_path / "b" / "model.safetensors").values())


def test_rules_may_override_all_of_the_preset_that_is_the_default_but_not_of_one_that_is_asked_for(tmp_path: Path):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    initctl.new(tmp_path / "new", config=config, rules=["*=constant:val=2"])
    assert all(bool((tensor == 2).all()) for tensor in load_file(tmp_path / "new" / "model.safetensors").values())
    with pytest.raises(FitError, match="preset llama: fills no tensor"):
        initctl.new(tmp_path / "new", config=config, rules=["*=ones"], preset="auto")
    with pytest.raises(FitError, match=r"lm_head\.weight=zeros\): has no effect: rule 2"):
        initctl.new(tmp_path / "new", config=config, rules=["lm_head.weight=zeros", "*=ones"])


def test_rules_suffice_for_a_model_without_a_preset(tmp_path: Path):
    fnet = transformers.FNetConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1)
    fnet.save_pretrained(config := tmp_path / "config")
    with pytest.raises(UsageError, match="no preset for model_type fnet"):
        initctl.new(tmp_path / "new", config=config)
    initctl.new(tmp_path / "new", config=config, rules=["*=normal:std=0.02"])
    assert load_file(tmp_path / "new" / "model.safetensors")


SMALL = {
    **dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size"), 16),
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads", "num_key_value_heads"), 2),
    "head_dim": 8,
}
TOKENS = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 1)


def written(folder: Path, **fields: Any) -> Path:
    """A directory with a `config.json` of these `fields`."""
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "config.json").write_text(json.dumps(fields))
    return folder / "config"


@pytest.mark.parametrize("kind", ["exaone", "internlm3", "iquestcoder"])
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "OfThisFamilyForCausalLM"])
def test_a_family_whose_models_are_of_another_one_is_built_as_transformers_builds_it(
    tmp_path: Path, kind: str, name: str
):
    fields = {"model_type": kind, "architectures": [name], "auto_map": {"AutoModelForCausalLM": "m.M"}}
    config = written(tmp_path, **fields, **SMALL, **TOKENS)
    with quiet():
        rules = ["*=normal:std=0.02"] if kind == "exaone" else []  # whose tensors have other names on disk
        created = initctl.new(tmp_path / "new", config=config, rules=rules)
        model, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.config.model_type == kind
    assert not {key: found for key, found in info.items() if found}
    assert {problem.code for problem in created.plan.warnings} == (
        {"config.architectures"} if name[0] == "O" else set()
    )


def test_a_model_of_the_text_alone_takes_the_text_part_of_its_configuration(tmp_path: Path):
    text = {**SMALL, "linear_num_key_heads": 2, "linear_num_value_heads": 2}
    parts = {"text_config": {**text, "layer_types": ["full_attention"] * 2}, "vision_config": {"depth": 1}}
    config = written(tmp_path, model_type="qwen3_5", architectures=["Qwen3_5ForCausalLM"], **parts)
    created = initctl.new(tmp_path / "new", config=config, rules=["*=normal:std=0.02"])
    assert created.plan.checkpoint.by_name["lm_head.weight"].shape == (16, 16)
    with quiet():
        made = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not {key: found for key, found in made[1].items() if found}


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"model_type": "pix2struct"}, "no model without a head for pix2struct", "Pix2StructForConditionalGeneration"),
        (
            {"model_type": "sam_mask_decoder"},
            "no model without a head for sam_mask_decoder",
            "if this is not a part of",
        ),
        (
            {"model_type": "llama", "architectures": ["LamaForCausalLM"]},
            "not a model of transformers for llama",
            'architectures=["LlamaForCausalLM"]',
        ),
        (
            {"model_type": "llama", "dtype": "float8_e5m2", **SMALL},
            "no model in dtype float8_e5m2",
            "with --dtype: float16, ",
        ),
        ({"model_type": "bert", "num_labels": 10**9}, "num_labels is 1000000000: more than 1,000,000", ""),
        ({"model_type": "clip", "text_config": {"num_labels": 10**9}}, "num_labels is 1000000000", ""),
        ({"model_type": "llama", "num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000: more than 10,000", ""),
    ],
)
def test_a_configuration_that_gives_no_model_is_refused_with_what_to_write(
    tmp_path: Path, fields: dict[str, Any], message: str, hint: str
):
    with pytest.raises(InputError) as raised:
        initctl.new(tmp_path / "new", config=written(tmp_path, **fields))
    (problem,) = raised.value.problems
    assert problem.code == "config.refused"
    assert message in problem.message
    assert hint in (problem.hint or "")


@pytest.mark.parametrize("settings", [{}, {"hidden_size": 0}])
def test_a_size_of_zero_is_named_if_no_tensor_has_elements(tmp_path: Path, settings: dict[str, Any]):
    sizes = {} if settings else {"hidden_size": 0}
    config = written(tmp_path, model_type="llama", **{**SMALL, **sizes})
    with pytest.raises(InputError, match="no tensor of this model has elements") as raised:
        initctl.new(tmp_path / "new", config=config, settings=settings)
    assert "ZeRO" not in str(raised.value)
    assert ("set hidden_size=0 makes" if settings else "a size in it is 0") in (raised.value.problems[0].hint or "")


def test_a_rule_for_empty_tensors_alone_is_refused_without_a_word_of_zero_3(tmp_path: Path):
    (tmp_path / "t.json").write_text(
        json.dumps({"tensors": [{"name": name, "dtype": "float32", "shape": [0]} for name in "ab"]})
    )
    with pytest.raises(FitError, match="a size of 0 makes a tensor empty"):
        initctl.new(tmp_path / "new", table=tmp_path / "t.json", rules=["*=ones"])


@pytest.mark.filterwarnings("ignore::initctl.InitctlWarning")
def test_float8_is_for_the_files_alone_and_the_model_keeps_its_dtype(tmp_path: Path):
    model = CHOSEN["LlamaForCausalLM"]
    config = config_of(model, tmp_path)
    initctl.new(tmp_path / "new", config=config, dtype="float8_e5m2")
    initctl.new(tmp_path / "like", like=saved(model, config), dtype="float8_e5m2", preset="auto")
    assert tensors(tmp_path / "new") == tensors(tmp_path / "like")
    assert {dtype for dtype, _, _ in tensors(tmp_path / "new").values()} == {torch.float8_e5m2}
    for folder in ("new", "like"):
        assert json.loads((tmp_path / folder / "config.json").read_text())["dtype"] == "float32"
        assert loaded(model, tmp_path / folder) == {}


def test_a_parameter_that_no_rule_fills_is_named(tmp_path: Path):
    (tmp_path / "one.toml").write_text('[[rule]]\nmatch = "*norm*"\ninit = "ones"\n')
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    with pytest.raises(FitError, match=r"no rule fills model\.embed_tokens\.weight") as raised:
        initctl.new(tmp_path / "new", config=config, recipes=[tmp_path / "one.toml"])
    (problem,) = raised.value.problems
    assert problem.code == "new.unfilled"
    assert problem.hint == "use -p auto (preset llama), or add a rule that fills them"
    with pytest.raises(FitError, match=r"use preset='auto' \(preset llama\), or add"):
        initctl.new(tmp_path / "new", config=config, preset="gpt2", allow_unused=True)
    initctl.new(tmp_path / "new", config=config, preset="auto", recipes=[tmp_path / "one.toml"])


def test_buffers_have_the_values_that_the_model_computes_and_a_rule_may_change_them(tmp_path: Path):
    config = transformers.ClapConfig(
        text_config={"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16},
        audio_config={
            "depths": [1, 1],
            "num_attention_heads": [1, 2],
            "patch_embeds_hidden_size": 8,
            "hidden_size": 16,
        },
    )
    config.architectures = ["ClapModel"]
    config.save_pretrained(tmp_path / "config")
    name = "text_model.embeddings.position_ids"
    options: dict[str, Any] = {"config": tmp_path / "config", "rules": ["*=normal:std=0.02"]}
    created = initctl.new(tmp_path / "a", **options)
    found, expected = load_file(tmp_path / "a" / "model.safetensors"), transformers.ClapModel(config).state_dict()
    integers = {name for name, tensor in expected.items() if not tensor.is_floating_point()} & found.keys()
    assert name in integers
    assert "audio_model.audio_encoder.layers.0.blocks.0.attention.self.relative_position_index" in integers
    assert all(torch.equal(found[name], expected[name]) for name in integers)
    assert "as the model computes them" in created.summary()[0]
    options["rules"] = [*options["rules"], f"{name}=zeros"]
    initctl.new(tmp_path / "b", **options)
    assert not load_file(tmp_path / "b" / "model.safetensors")[name].any()


def test_a_buffer_with_random_values_must_be_filled(tmp_path: Path):
    config = transformers.Sam2Config()
    config.architectures = ["Sam2Model"]
    config.save_pretrained(tmp_path / "config")
    (tmp_path / "r.toml").write_text('[[rule]]\nmatch = "nothing"\ninit = "ones"\n')
    with pytest.raises(FitError) as raised:
        initctl.new(tmp_path / "new", config=tmp_path / "config", recipes=[tmp_path / "r.toml"], allow_unused=True)
    (problem,) = raised.value.problems
    assert problem.code == "new.unfilled"
    options: dict[str, Any] = {"config": tmp_path / "config", "rules": ["*=normal:std=0.02"]}
    created = initctl.new(tmp_path / "new", **options, dry_run=True)
    assert "shared_image_embedding.positional_embedding" in {action.tensor.name for action in created.plan.actions}


def test_torchs_random_numbers_and_loggers_are_as_they_were(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    config = config_of(CHOSEN["ResNetForImageClassification"], tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    before = logging.root.manager.disable
    initctl.new(tmp_path / "new", config=config, settings={"num_labels": 3})
    assert torch.equal(torch.rand(3), expected)
    assert logging.root.manager.disable == before
    assert capfd.readouterr() == ("", "")


def test_nothing_is_asked_of_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a network was asked")

    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    text = json.loads((config / "config.json").read_text())
    kernels = {"attn_implementation": "org/kernel", "_attn_implementation": "org/kernel"}
    (config / "config.json").write_text(json.dumps({**text, **kernels, "_name_or_path": "org/model"}))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    initctl.new(tmp_path / "new", config=config)
    assert "org/kernel" not in (tmp_path / "new" / "config.json").read_text()
    import huggingface_hub

    assert not huggingface_hub.is_offline_mode()


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"model_type": None}, "has no model_type", "use `like` or `table`"),
        ({"model_type": "lama"}, "does not know model_type lama", "did you mean llama?"),
        ({"model_type": "mine", "auto_map": {"AutoModel": "m.M"}}, "code of its own (auto_map)", "use `like`"),
        ({"model_type": ["a"]}, "does not know model_type ['a']", None),
        ({"architectures": ["MineForCausalLM"]}, "architectures names MineForCausalLM", "chooses another one"),
        ({"architectures": ["BertModel"]}, "architectures names BertModel", "chooses another one"),
        ({"architectures": ["__name__"]}, "architectures names __name__", "chooses another one"),
        ({"architectures": 3}, "architectures is not a list of names", "write a list, such as"),
        ({"architectures": "LlamaForCausalLM"}, "architectures is not a list of names", "write a list, such as"),
        ({"num_attention_heads": 7}, "not a multiple of the number of attention heads", None),
        ({"hidden_size": "wide"}, "cannot build this model", None),
        ({"hidden_size": -8}, "cannot build this model", None),
        ({"vocab_size": 2**62}, "cannot build this model", None),
        ({"dtype": "float99"}, "cannot build this model", None),
        ({"dtype": "int8"}, "transformers builds no model in dtype int8", "with `dtype`: float16, bfloat16"),
        ({"rope_parameters": "none"}, "cannot build this model", None),
    ],
)
def test_a_configuration_that_transformers_refuses_is_one_line(
    tmp_path: Path, fields: dict[str, Any], message: str, hint: str | None
):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    text = json.loads((config / "config.json").read_text()) | fields
    (config / "config.json").write_text(json.dumps({key: value for key, value in text.items() if value is not None}))
    with pytest.raises(InputError) as raised:
        initctl.new(tmp_path / "new", config=config)
    (problem,) = raised.value.problems
    assert message in problem.message
    assert (hint or "") in str(raised.value)
    assert "\n" not in str(problem)
    assert problem.code == "config.refused"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"a": 1, "a": 2}', "appears twice"),
        ('{"a": 1e999}', "a number is too large"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_config_json_that_is_not_valid_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        initctl.new(tmp_path / "new", config=tmp_path)


def test_infinities_in_a_configuration_are_read_and_written_as_transformers_writes_them(tmp_path: Path):
    config = config_of(CHOSEN["Mamba2ForCausalLM"], tmp_path)
    text = json.loads((config / "config.json").read_text()) | {"time_step_limit": [0.0, float("inf")]}
    (config / "config.json").write_text(json.dumps(text))
    assert "Infinity]" in (config / "config.json").read_text()
    initctl.new(tmp_path / "new", config=config)
    saved(CHOSEN["Mamba2ForCausalLM"], config)
    assert (tmp_path / "new" / "config.json").read_text() == (tmp_path / "saved" / "config.json").read_text()
    assert loaded(CHOSEN["Mamba2ForCausalLM"], tmp_path / "new") == {}
    made = getattr(transformers, "Mamba2ForCausalLM").from_pretrained(tmp_path / "new")  # noqa: B009
    assert list(made.config.time_step_limit) == [0.0, float("inf")]


def test_infinities_beside_a_checkpoint_stay_as_they_are_written(tmp_path: Path):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    source = saved(CHOSEN["LlamaForCausalLM"], config)
    text = (source / "config.json").read_text().replace("{", '{\n  "limits": [-Infinity, Infinity, NaN],', 1)
    (source / "config.json").write_text(text)
    initctl.apply(source, tmp_path / "a", preset="auto")
    assert (tmp_path / "a" / "config.json").read_text() == text
    initctl.new(tmp_path / "b", like=source, preset="auto", dtype="bfloat16")
    assert (tmp_path / "b" / "config.json").read_text() == text.replace("float32", "bfloat16")
    initctl.apply(source, tmp_path / "c", preset="auto", set_config={"extra": 1})
    assert '"limits": [-Infinity, Infinity, NaN],' in (tmp_path / "c" / "config.json").read_text()


def test_a_missing_config_json_says_what_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: has no config\.json; name a directory that has one"):
        initctl.new("new", config="empty")
    with pytest.raises(InputError, match=r"run hf download meta/llama config\.json first"):
        initctl.new("new", config="meta/llama")
    with pytest.raises(InputError, match=r"hf download meta/llama config\.json$"):
        initctl.new("new", config="https://huggingface.co/meta/llama")
    with pytest.raises(InputError, match="name it hf://meta/llama"):
        initctl.new("new", like="meta/llama", rules=["*=ones"])
    with pytest.raises(InputError, match=r"c\.json: no such file"):
        initctl.new("new", config="c.json")


def test_a_quantized_original_gives_weights_that_are_not_and_a_warning(tmp_path: Path):
    config = config_of(CHOSEN["DeepseekV3ForCausalLM"], tmp_path)
    text = json.loads((config / "config.json").read_text())
    text["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    (config / "config.json").write_text(json.dumps(text))
    with pytest.warns(initctl.InitctlWarning, match=r"quantization_config \(fp8\) is left out"):
        created = initctl.new(tmp_path / "new", config=config)
    assert [warning.code for warning in created.plan.warnings] == ["config.quantized"]
    assert "quantization_config" not in (tmp_path / "new" / "config.json").read_text()
    assert loaded(CHOSEN["DeepseekV3ForCausalLM"], tmp_path / "new") == {}


def test_without_transformers_the_error_names_the_extra(tmp_path: Path):
    config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    code = (
        "import sys; sys.modules['transformers'] = None\nimport initctl\n"
        "try: initctl.new('new', config='config')\nexcept initctl.StorageError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "`config` needs transformers 5.24 or later" in run.stdout
    assert run.stdout.rstrip().endswith("pip install 'initctl[transformers]'")
    assert issubclass(StorageError, initctl.InitctlError)


HOSTILE = "import os; os.write(1, b'hostile'); os._exit(3)"
NEW = """
import sys
begin = sys.path.pop(0)
import json, pathlib
import initctl.creating  # the process of the caller imports what it needs from where it always does
sys.path[:0] = [begin, ".", pathlib.Path("a path is not a string"), sys.argv[1]]
try: print(initctl.new("new", config="config").files)
except initctl.StorageError as error: print(error.problems[0].code, error)
"""


def test_no_module_of_the_working_directory_is_run(tmp_path: Path):
    config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    for name in ("transformers", "torch", "json", "dataclasses"):
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    command = [sys.executable, "-c", NEW, str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "('model.safetensors', 'config.json', 'generation_config.json')\n"


def test_a_process_that_dies_is_an_error_with_its_status_and_last_line(tmp_path: Path):
    config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    (tmp_path / "elsewhere").mkdir()
    dying = "import os; os.write(2, b'a\\nout of \\x1b memory\\n'); os._exit(3)"
    (tmp_path / "elsewhere" / "torch.py").write_text(dying)
    command = [sys.executable, "-c", NEW, str(tmp_path / "elsewhere")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    fault = "the process that builds the model ended with status 3: out of \\x1b memory"
    assert run.stdout == f"config.process config/config.json: {fault}\n"
    assert not (tmp_path / "new").exists()


def test_the_directory_of_the_configuration_is_not_replaced(tmp_path: Path):
    config = config_of(CHOSEN["LlamaForCausalLM"], tmp_path)
    for source in (config, config / "config.json"):
        with pytest.raises(UsageError, match="is the directory of the source"):
            initctl.new(config, config=source)


def test_a_configuration_without_architectures_gives_the_model_without_a_head_and_a_warning(tmp_path: Path):
    config = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 9, "intermediate_size": 8}))
    made = initctl.new(tmp_path / "out", config=tmp_path / "config.json", dry_run=True)
    (warning,) = made.plan.warnings
    assert warning.code == "config.architectures"
    assert warning.message.endswith("so this is the model without a head: LlamaModel")
    with_head = {"architectures": ["LlamaForCausalLM"]}
    assert not initctl.new(
        tmp_path / "out", config=tmp_path / "config.json", settings=with_head, dry_run=True
    ).plan.warnings
    with pytest.raises(initctl.InputError, match="architectures is not a list of names"):
        initctl.new(tmp_path / "out", config=tmp_path / "config.json", settings={"architectures": "LlamaForCausalLM"})
