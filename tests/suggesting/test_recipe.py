"""A suggested recipe does to each tensor what is suggested, in any checkpoint."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import initctl
from initctl.rules import parse_call
from tests.cli.checkpoints import checkpoint
from tests.hostile import PLANTED, TEXTS, is_safe
from tests.presets.fresh import quiet
from tests.presets.models import models

HERE = Path(__file__).parent.parent
FAMILIES = {model.preset: model for model in reversed(list(models()))}
"""One model of transformers for each preset."""
WITHOUT_ROLE = (".sinks", ".layer_scalar", ".correct_output_scale", ".per_dim_scale", ".std_scale")
"""Endings of tensors that only their family uses, so that no role is known for them."""


def planned(path, folder, **asked):
    """What is suggested for a checkpoint, and the plan of the recipe, which must decide all of it."""
    found = initctl.suggest(path, **asked)
    (folder / "r.toml").write_text(found.recipe(), encoding="utf-8")
    plan = initctl.plan(path, recipes=[folder / "r.toml"], require_all=True)
    asked_for = {}
    for each in found.tensors:
        call = parse_call(each.initializer)
        asked_for[each.tensor.name, each.rows] = None if call.name == "keep" else call
    done = {(action.tensor.name, None): action.rule.call for action in plan.actions if not action.rows}
    done |= {(kept.tensor.name, None): None for kept in plan.kept if kept.rule and not kept.rows}
    assert {key: call for key, call in asked_for.items() if key in done} == done
    assert {name for name, _ in done.keys() ^ asked_for.keys()} == {
        each.tensor.name for each in found.tensors if each.rows
    }
    return found, plan


@pytest.mark.parametrize("model", FAMILIES.values(), ids=FAMILIES)
def test_a_model_with_a_preset_gets_exactly_what_the_preset_does(model, tmp_path):
    with quiet():
        model.build(0).save_pretrained(tmp_path / "m")
    found, plan = planned(tmp_path / "m", tmp_path)
    assert found.preset == model.preset
    expected = initctl.plan(tmp_path / "m", preset="auto", require_all=True)
    floating = [action for action in expected.actions if action.tensor.dtype.is_floating]
    laws = {(action.tensor.name, action.rows): (action.law, action.value_name) for action in floating}
    assert {(action.tensor.name, action.rows): (action.law, action.value_name) for action in plan.actions} == laws
    assert plan.warnings == ()


@pytest.mark.parametrize("model", FAMILIES.values(), ids=FAMILIES)
def test_the_same_model_without_its_config_json_gets_laws_by_role_for_all_of_it(model, tmp_path):
    with quiet():
        model.build(0).save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "config.json").unlink()
    found, plan = planned(tmp_path / "m", tmp_path, activation="gelu")
    assert found.preset is None
    assert plan.warnings == ()
    assert {each.tensor.name for each in found.tensors if each.role == "unknown"} == {
        each.tensor.name for each in found.tensors if each.tensor.name.endswith(WITHOUT_ROLE)
    }


def test_what_a_preset_leaves_is_suggested_by_role(tmp_path):
    with quiet():
        model = FAMILIES["gpt2"].build(0)
        model.save_pretrained(tmp_path / "m")
    state = {name: tensor.clone() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file({**state, "value_head.weight": torch.zeros(1, 64)}, tmp_path / "m" / "model.safetensors")
    found, _ = planned(tmp_path / "m", tmp_path)
    by_role = {each.tensor.name: each for each in found.tensors if each.preset is None}
    assert by_role.keys() == {"value_head.weight"}
    assert by_role["value_head.weight"].role == "head"
    assert "# The preset leaves some tensors.\n# Each of them is initialized by its role, " in found.recipe()


def test_a_tensor_that_is_tied_to_one_of_the_preset_gets_the_same(tmp_path):
    with quiet():
        FAMILIES["gpt2"].build(0).save_pretrained(tmp_path)
    table = torch.zeros(384, 64)
    torch.save({"transformer.wte.weight": table, "aside.weight": table}, tmp_path / "m.pt")
    found, _ = planned(tmp_path / "m.pt", tmp_path)
    assert [(each.role, each.initializer, each.preset) for each in found.tensors] == [
        ("embedding", "normal:std=0.03", "gpt2"),
        ("embedding", "normal:std=0.03", "gpt2"),
    ]


def test_formulas_of_a_preset_are_beside_their_numbers(tmp_path):
    with quiet():
        FAMILIES["gpt2"].build(0).save_pretrained(tmp_path / "m")
    comments = initctl.suggest(tmp_path / "m").recipe().replace("\n# ", " ")
    assert "std = R / sqrt(2 * L), R = config.initializer_range, L = first(config.n_layer, layers).\n" in comments


def test_padding_rows_have_rules_of_their_own_behind_that_of_the_table(tmp_path):
    with quiet():
        FAMILIES["llama"].build(0).save_pretrained(tmp_path / "m")
    rules = tomllib.loads(initctl.suggest(tmp_path / "m").recipe())["rule"]
    assert rules[-1] == {"match": "embed_tokens.weight[5:6]", "init": "zeros"}


QUANTIZED = sorted((HERE / "planning" / "quantized").glob("*.safetensors"))


@pytest.mark.parametrize("path", QUANTIZED, ids=lambda path: path.stem)
def test_quantized_weights_stay_whole(path, tmp_path):
    found, plan = planned(path, tmp_path)
    assert {each.initializer for each in found.tensors if each.role == "quantized"} == {"keep"}
    assert plan.warnings == ()


@pytest.mark.parametrize(
    "library", ["timm", "torchvision", "peft", "lightning", "ultralytics", "megatron_core", "fairseq"]
)
def test_what_other_libraries_write_is_decided_whole(library, tmp_path):
    folders = sorted({path.parent for path in (HERE / "field" / "files" / library).rglob("*") if path.is_file()})
    found = 0
    for folder in folders:
        try:
            planned(folder, tmp_path)
            found += 1
        except initctl.InputError:  # one that holds no checkpoint
            pass
    assert found


def test_tied_and_computed_and_unreadable_tensors_have_their_place(tmp_path):
    embedding, head = nn.Embedding(100, 8), nn.Linear(8, 100, bias=False)
    head.weight = embedding.weight
    state = {
        "head.weight": head.weight,
        "wte.weight": embedding.weight,
        "attn.mask": torch.ones(4, 4),
        "rotary.inv_freq": torch.ones(4),
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.empty(3, 3, device="meta"),
        "complex": torch.zeros(4, 4, dtype=torch.complex64),
        "float8": torch.zeros(4, 4).to(torch.float8_e4m3fn),
        "steps": torch.tensor(3),
    }
    torch.save(state, tmp_path / "m.pt")
    found, _ = planned(tmp_path / "m.pt", tmp_path)
    assert {each.tensor.name: (each.role, each.initializer) for each in found.tensors} == {
        "head.weight": ("embedding", "normal:std=0.02"),
        "wte.weight": ("embedding", "normal:std=0.02"),
        "attn.mask": ("computed", "keep"),
        "rotary.inv_freq": ("computed", "keep"),
        "sparse": ("unwritable", "keep"),
        "meta": ("unwritable", "keep"),
        "complex": ("linear", "kaiming_normal:nonlinearity=relu"),
        "float8": ("linear", "kaiming_normal:nonlinearity=relu"),
    }


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("fc.weight", torch.ones(1).expand(4, 4), "kaiming_normal does not fit: it is expanded"),
        ("rnn.weight_hh_l0", torch.zeros(16, 4, dtype=torch.complex64), "orthogonal does not fit: it is complex"),
        ("lora_A.weight", torch.zeros(4), "kaiming_uniform does not fit: it needs at least 2 dims"),
        ("fc.weight", torch.zeros(0, 4), "It has no elements."),
    ],
    ids=["expanded", "complex", "vector", "empty"],
)
def test_a_tensor_that_the_law_of_its_role_does_not_fit_is_kept(name, tensor, reason, tmp_path):
    torch.save({"head.weight": torch.zeros(2, 4), name: tensor}, tmp_path / "m.pt")
    found, _ = planned(tmp_path / "m.pt", tmp_path)
    (kept,) = (each for each in found.tensors if each.tensor.name == name)
    assert kept.initializer == "keep"
    assert kept.reason.startswith(reason)


def test_names_of_every_kind_are_decided_each_by_itself(tmp_path):
    texts = [text for text in {**TEXTS, **PLANTED}.values() if "\ud800" not in text]
    names = [
        *texts,
        "*",
        "?",
        "{a,b}",
        "[ab]",
        "a[0:1]",
        "re:.*",
        '"',
        "'''",
        "#",
        "a=b",
        "\\",
        "-r",
        " x",
        "a.*.b",
        ".",
    ]
    tensors = {}
    for number, name in enumerate(names):
        tensors |= {name: ("F32", (2,)), f"{name}.weight": ("F32", (4, 2)), f"{name}.{number}.bias": ("F32", (4,))}
    path = checkpoint(tmp_path / "m.safetensors", tensors)
    found, _ = planned(path, tmp_path)
    assert [each.tensor.name for each in found.tensors] == list(tensors)
    assert is_safe(found.recipe())


def test_a_name_that_is_not_a_text_is_kept(tmp_path):
    torch.save({"a\ud800.weight": torch.zeros(3, 3), "b.weight": torch.zeros(3, 3)}, tmp_path / "m.pt")
    found, _ = planned(tmp_path / "m.pt", tmp_path)
    assert [each.role for each in found.tensors] == ["unwritable", "head"]


def test_a_path_of_any_kind_is_a_comment(tmp_path):
    folder = tmp_path / 'a\n[[rule]]\nmatch = "*"'
    folder.mkdir()
    save_file({"b.bias": torch.zeros(3)}, folder / "m.safetensors")
    assert len(tomllib.loads(initctl.suggest(folder / "m.safetensors").recipe())["rule"]) == 1


def test_the_rule_of_a_suggestion_does_the_same_alone(tmp_path):
    save_file({"a{b}.weight": torch.zeros(3, 3), "c.weight": torch.zeros(3, 3)}, tmp_path / "m.safetensors")
    each, other = initctl.suggest(tmp_path / "m.safetensors").tensors
    plan = initctl.plan(tmp_path / "m.safetensors", rules=[each.rule])
    assert [(action.tensor.name, str(action.rule.call)) for action in plan.actions] == [
        ("a{b}.weight", each.initializer)
    ]
    assert [kept.tensor.name for kept in plan.kept] == [other.tensor.name]


def test_twenty_thousand_tensors_are_a_few_rules(tmp_path):
    shapes = {"fc.weight": (2, 2), "fc.bias": (2,), "norm.weight": (2,), "attn.q.weight": (2, 2)}
    tensors = {f"h.{number}.{name}": ("F32", shape) for number in range(5_000) for name, shape in shapes.items()}
    found = initctl.suggest(checkpoint(tmp_path / "m.safetensors", tensors))
    rules = tomllib.loads(found.recipe())["rule"]
    assert {rule["match"] for rule in rules} == {"*.fc.weight", "*.bias", "*.norm.weight", "*.q.weight"}


def test_a_table_shows_roles(tmp_path):
    save_file({"norm.weight": torch.ones(3)}, tmp_path / "m.safetensors")
    heading, row = str(initctl.suggest(tmp_path / "m.safetensors")).split("\n")
    assert heading.split() == ["tensor", "role", "initializer", "source"]
    assert row.split() == ["norm.weight", "norm", "ones", "torch.nn.LayerNorm.reset_parameters"]
