"""What users of other tools complain about, and that it cannot happen here.

Each test names the complaint: a rule that matches too much, too little, in the wrong order, or silently nothing; values
that something overwrites later; weights that nobody initialized.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.cli.processes import initctl as command

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.planning import Plan

HYBRID = {
    f"layers.{layer}.{name}": torch.ones(4, 4)
    for layer in range(12)
    for name in ("attn.q.weight", "linear_attn.A_log", "linear_attn.dt_bias", "mlp.up.weight")
} | {"bias": torch.ones(4), "in_proj_bias": torch.ones(4), "head.weight": torch.ones(4, 4)}


@pytest.fixture
def hybrid(tmp_path: Path) -> Path:
    save_file(HYBRID, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def filled(plan: Plan) -> set[str]:
    return {action.tensor.name for action in plan.actions}


def refusal(path: Path, *rules: str) -> str:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, rules=rules)
    return str(raised.value)


class TestMatchesTooMuch:
    def test_a_part_of_a_name_matches_no_longer_name_that_contains_it(self, hybrid: Path):  # mergekit 689
        plan = initctl.plan(hybrid, rules=["*.attn.*=zeros"])
        assert filled(plan) == {f"layers.{layer}.attn.q.weight" for layer in range(12)}
        assert "matches no tensor" in refusal(hybrid, "attn=zeros")

    def test_a_layers_number_is_not_the_beginning_of_another(self, hybrid: Path):
        assert filled(initctl.plan(hybrid, rules=["layers.{1..2}.attn.*=zeros"])) == {
            "layers.1.attn.q.weight",
            "layers.2.attn.q.weight",
        }

    def test_a_set_of_characters_is_not_taken_for_a_range_of_numbers(self, hybrid: Path):  # fnmatch
        with pytest.raises(initctl.RuleError, match=r"write \{8\.\.11\}"):
            initctl.plan(hybrid, rules=["layers.[8-11].attn.*=zeros"])

    def test_what_one_pattern_matches_and_another_does_not_is_written_as_an_exception(
        self, hybrid: Path
    ):  # allennlp 1405
        rules = ["layers.*=normal", "layers.*.linear_attn.*=keep"]
        assert filled(initctl.plan(hybrid, rules=rules)) == {name for name in HYBRID if "layers" in name} - {
            name for name in HYBRID if "linear_attn" in name
        }


class TestDoesNothingWithoutAWord:
    @pytest.mark.parametrize("rule", ["layer.*=zeros", "*.Weight=zeros", "layers.{12..14}.*=zeros", "re:attn=zeros"])
    def test_a_rule_that_matches_nothing_is_an_error(self, hybrid: Path, rule: str):  # mmdetection 5209, aprender 669
        assert f"({rule}): matches no tensor" in refusal(hybrid, rule)

    def test_a_rule_that_later_rules_override_wholly_is_an_error(self, hybrid: Path):
        assert "has no effect: rule 2 (*=ones) overrides all its matches" in refusal(hybrid, "head.*=zeros", "*=ones")

    def test_an_initializer_or_a_parameter_with_a_typo_is_an_error(self, hybrid: Path):  # mmsegmentation 695
        for rule in ("*=Normal", "*=nomal", "*=normal:sdt=1", "*=normal:std=fan_inn"):
            with pytest.raises(initctl.RuleError, match="did you mean"):
                initctl.plan(hybrid, rules=[rule])

    def test_the_plan_names_the_rule_that_decides_each_tensor(self, hybrid: Path):  # fever 51
        plan = initctl.plan(hybrid, rules=["layers.*.attn.*=zeros", "head.*=ones"])
        sources = {action.tensor.name: action.rule.source for action in plan.actions}
        assert sources["layers.11.attn.q.weight"] == "rule 1"
        assert sources["head.weight"] == "rule 2"
        assert {kept.tensor.name for kept in plan.kept} == HYBRID.keys() - sources.keys()


class TestOrder:
    def test_the_last_rule_decides_whatever_comes_before(self, hybrid: Path):  # allennlp 199
        for rules, decisive in ((["*=zeros", "head.*=ones"], "ones"), (["head.*=ones", "*=zeros"], None)):
            if decisive is None:
                assert "has no effect" in refusal(hybrid, *rules)
                continue
            plan = initctl.plan(hybrid, rules=rules)
            assert {a.initializer for a in plan.actions if a.tensor.name == "head.weight"} == {decisive}

    def test_the_order_of_other_rules_and_of_names_changes_no_value(self, hybrid: Path, tmp_path: Path):
        rules = ["layers.*.attn.*=normal", "head.*=normal"]
        for number, order in enumerate((rules, rules[::-1], rules[1:])):
            initctl.apply(hybrid, tmp_path / f"{number}.safetensors", rules=order)
        heads = [load_file(tmp_path / f"{number}.safetensors")["head.weight"] for number in range(3)]
        assert torch.equal(heads[0], heads[1])
        assert torch.equal(heads[0], heads[2])

    def test_how_python_hashes_strings_changes_no_byte(self, hybrid: Path, tmp_path: Path):  # mergekit-pytorch
        for seed in ("0", "1", "2"):
            arguments = ["apply", str(hybrid), "-o", str(tmp_path / seed), "-r", "*=normal", "-q"]
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            subprocess.run([sys.executable, "-m", "initctl", *arguments], check=True, env=environment)
        assert len({(tmp_path / seed).read_bytes() for seed in ("0", "1", "2")}) == 1

    def test_applying_the_same_rules_again_gives_the_same_bytes(self, hybrid: Path, tmp_path: Path):  # torchscale
        first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
        initctl.apply(hybrid, first, rules=["*=xavier_normal", "*bias=zeros"])
        initctl.apply(first, second, rules=["*=xavier_normal", "*bias=zeros"])
        assert first.read_bytes() == second.read_bytes()


class TestValues:
    def test_two_tensors_of_one_shape_never_get_the_same_values(self, hybrid: Path, tmp_path: Path):  # keras-hub 352
        initctl.apply(hybrid, tmp_path / "out.safetensors", rules=["*=normal"])
        tensors = load_file(tmp_path / "out.safetensors")
        assert len({tensor.numpy().tobytes() for tensor in tensors.values()}) == len(tensors)

    def test_a_default_gain_never_makes_all_weights_zero(self, hybrid: Path, tmp_path: Path):  # llm-foundry
        for call in ("xavier_normal", "xavier_uniform", "kaiming_normal", "kaiming_uniform", "orthogonal"):
            initctl.apply(hybrid, tmp_path / "out.safetensors", rules=[f"head.weight={call}"])
            assert load_file(tmp_path / "out.safetensors")["head.weight"].abs().min() > 0

    def test_a_tensor_that_nobody_initializes_is_told(self, hybrid: Path):  # transformers 28073, OpenRLHF 186
        done = command("plan", str(hybrid), "-r", "layers.*=normal", "--require-all")
        assert done.status == 4
        assert "no rule decides bias (float32), head.weight (float32), in_proj_bias (float32)" in done.err

    def test_what_is_in_the_file_is_what_a_model_holds_after_loading(self, tmp_path: Path):  # transformers 46620
        from transformers import MambaConfig, MambaForCausalLM

        config = MambaConfig(vocab_size=40, hidden_size=16, state_size=4, num_hidden_layers=2)
        MambaForCausalLM(config).save_pretrained(tmp_path / "model")
        rules = ["*=normal:std=0.3", "*.A_log=constant:val=0.5", "*.dt_proj.bias=uniform:a=-5,b=-4", "*.D=ones"]
        initctl.apply(tmp_path / "model", tmp_path / "out", rules=rules)
        loaded, loading = MambaForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
        assert not any(loading.values())
        stored = load_file(tmp_path / "out" / "model.safetensors")
        held = loaded.state_dict()
        assert all(torch.equal(held[name], tensor) for name, tensor in stored.items())
        assert (stored["backbone.layers.0.mixer.A_log"] == 0.5).all()
