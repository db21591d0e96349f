"""A pattern with wildcards leaves masks, tables and schedules, which a model computes, and warns of random averages."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import initctl
from initctl.planning.computed import COMPUTED
from tests.planning.tables import checkpoint_of, codes, decided, planned, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

MASKS = {
    "h.0.attn.bias": [1, 1, 4, 4], "h.0.attn.masked_bias": [], "layers.0.attention.bias": [1, 1, 8, 8],
    "layers.1.attn_mask": [4, 9, 9], "blocks.0.attn.mask": [1, 1, 4, 4], "fc.weight_mask": [4, 4], "tril": [4, 4],
    "attn.causal_mask": [1, 1, 4, 4],
}  # fmt: skip
TABLES = {
    "layers.0.rotary_emb.inv_freq": [4], "rope.freqs": [4], "attn.cos_cached": [1, 1, 8, 4], "freqs_cis": [8, 4],
    "attn.relative_coords_table": [1, 3, 3, 2], "embeddings.position_ids": [1, 8], "alphas_cumprod": [1000],
    "betas": [1000], "posterior_variance": [1000], "model.24.anchors": [3, 3, 2],
    "model.22.dfl.conv.weight": [1, 16, 1, 1],
    "spectrogram.window": [400], "conv.resample_filter": [4, 4], "lpips.scaling_layer.shift": [1, 3, 1, 1],
    "pixel_mean": [3, 1, 1], "fc.activation_post_process.min_val": [], "fc.weight_fake_quant.scale": [8],
    "fc.input_quantizer._amax": [], "criterion.weight": [10], "loss_fn.pos_weight": [10], "encoder.version": [1],
    "layers.0.self_attn.q_proj.input_max": [], "layers.1.self_attn.key_decay": [4, 256, 1],
    "input_conditioner.norm_mean": [3, 1, 1], "output.ln_input_act.x_max": [1],
}  # fmt: skip
LEARNED = {
    "fc.bias": [4], "experts.bias": [4, 4], "attn.biases": [1, 1, 4, 4], "mask_token": [1, 1, 8],
    "class_token": [1, 1, 8],
    "attn.relative_position_bias_table": [9, 4], "logit_scale": [], "body.betas": [1, 10], "criterion.weight": [10, 8],
    "pos_embed": [1, 5, 8], "freqs": [4], "scale": [8], "shift": [8], "window": [8], "decay": [8], "version": [1],
    "dfl.weight": [4], "conv.weight": [1, 16, 1, 1], "min_val": [], "attn.bias": [1, 2, 4, 4], "A_log": [8],
}  # fmt: skip
RUNNING = {"bn.running_mean": [4], "bn.running_var": [4], "vq._codebook.cluster_size": [8], "mapping.w_avg": [4]}


def floats(shapes: dict[str, list[int]]) -> dict[str, tuple[str, Sequence[int]]]:
    return {name: ("F32", shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", [*MASKS, *TABLES])
@pytest.mark.parametrize("rule", ["*=normal", "*=zeros", "?*=perturb:std=1", "re:.*=ones"])
def test_a_pattern_leaves_what_a_model_computes_and_says_so(tmp_path: Path, name: str, rule: str):
    plan = planned(tmp_path, {**floats({name: {**MASKS, **TABLES}[name]}), "w": ("F32", [4])}, rule)
    assert decided(plan) == {"w": "rule 1", name: None}
    (warning,) = plan.warnings
    assert warning.code == "rule.left_alone"
    assert warning.message.startswith(f"rule 1 ({rule}): does not fill {name} (")
    assert warning.message.endswith("): the model computes this and does not learn it")
    assert warning.hint == "name a tensor in full to fill it"


def test_the_causal_masks_of_gpt2_are_left_by_a_pattern_for_biases(tmp_path: Path):
    masks = {f"h.{i}.attn.bias": [1, 1, 4, 4] for i in range(12)}
    (warning,) = planned(tmp_path, floats({**masks, "h.0.mlp.c_fc.bias": [4]}), "*.bias=zeros").warnings
    assert warning.message == (
        "rule 1 (*.bias=zeros): does not fill h.0.attn.bias (a causal mask), h.1.attn.bias (a causal mask), "
        "h.2.attn.bias (a causal mask) and 9 more: the model computes this and does not learn it"
    )


@pytest.mark.parametrize("name", LEARNED)
def test_a_pattern_fills_what_is_only_called_alike(tmp_path: Path, name: str):
    assert decided(planned(tmp_path, floats({name: LEARNED[name]}), "*=ones")) == {name: "rule 1"}


@pytest.mark.parametrize("name", [*MASKS, *TABLES])
def test_a_full_name_fills_it_and_a_pattern_may_keep_it(tmp_path: Path, name: str):
    table = floats({name: {**MASKS, **TABLES}[name]})
    assert decided(planned(tmp_path, table, f"{name}=zeros")) == {name: "rule 1"}
    assert planned(tmp_path, table, "*=keep").warnings == ()


def test_a_rule_that_matches_only_what_a_model_computes_is_refused(tmp_path: Path):
    assert refusal(tmp_path, floats({"rope.freqs": [4]}), "*=normal") == (
        "rule 1 (*=normal): has no effect: it matches only rope.freqs (a rotary table): "
        "the model computes this and does not learn it; name a tensor in full to fill it"
    )


def test_a_pattern_gives_each_reason_for_what_it_leaves(tmp_path: Path):
    table = {
        **floats({"rope.freqs": [4], "w": [4]}), "steps": ("I64", []), "q.weight": ("I8", [4]), "q.SCB": ("F32", [4])
    }  # fmt: skip
    plan = planned(tmp_path, table, "*=normal")
    told = [warning.message.partition("does not fill ")[2] for warning in plan.warnings]
    assert [names.split(maxsplit=1)[0].strip(":") for names in told] == [
        "q.{SCB,weight}", "rope.freqs", "steps",
    ]  # fmt: skip


def test_to_require_all_needs_no_rule_for_what_a_model_computes(tmp_path: Path):
    assert planned(tmp_path, floats({**MASKS, **TABLES, "w": [4]}), "*=normal", require_all=True).actions


@pytest.mark.parametrize("rule", ["*=normal", "*=uniform", "*=perturb:std=0.1", "{bn,vq,mapping}.*=normal"])
def test_random_numbers_for_what_training_measures_are_a_warning(tmp_path: Path, rule: str):
    plan = planned(tmp_path, floats(RUNNING), rule)
    assert set(decided(plan).values()) == {"rule 1"}
    (warning,) = plan.warnings
    assert warning.code == "rule.measured"
    assert str(warning) == (
        f"rule 1 ({rule}): fills bn.running_mean (running statistics), bn.running_var (running statistics), "
        "vq._codebook.cluster_size (moving averages) and 1 more with random numbers; "
        "a negative variance gives NaN: "
        "add a rule that keeps them, or that fills them with a constant (ones for variances, else zeros)"
    )


@pytest.mark.parametrize("rules", [["*=ones"], ["*=normal", "*=keep"], ["*=scale:by=0.5"], ["bn.running_var=uniform"]])
def test_constants_and_full_names_for_what_training_measures_are_none(tmp_path: Path, rules: list[str]):
    assert codes(planned(tmp_path, floats(RUNNING), *rules, allow_unused=True).warnings) in ([], ["rule.overridden"])


def test_a_batch_norm_of_torch_under_a_random_rule_warns(tmp_path: Path):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(model.state_dict(), tmp_path / "m.pt")
    plan = initctl.plan(tmp_path / "m.pt", rules=["*=normal"])
    assert codes(plan.warnings) == ["rule.left_alone", "rule.measured"]


def test_no_ending_is_in_two_rows():
    endings = [ending for row in COMPUTED for ending in row.endings.split()]
    assert len(endings) == len(set(endings))


SHAPES = {"a causal mask": [1, 1, 4, 4]}
ROWS = [row for row in COMPUTED if not row.is_measured]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(ROWS), min_size=1, max_size=4), st.sampled_from(["*", "*.*", "re:.*", "?*"]), st.data())
def test_a_pattern_never_changes_what_a_model_computes_and_always_weights(
    rows: list[object], glob: str, data: st.DataObject
):
    computed = {
        f"m.{number}.x{data.draw(st.sampled_from(row.endings.split()))}": SHAPES.get(row.kind, [8])  # type: ignore[attr-defined]
        for number, row in enumerate(rows)
    }
    learned = {f"w.{number}.{name}": [8] for number in range(3) for name in ("weight", "bias", "scale")}
    with TemporaryDirectory() as folder:
        table = dict(data.draw(st.permutations(list(floats({**computed, **learned}).items()))))
        plan = initctl.plan(checkpoint_of(Path(folder), table), rules=[f"{glob}=normal"])
    assert {action.tensor.name for action in plan.actions} == set(learned)


def test_a_name_that_differs_in_a_digit_from_a_computed_ones_is_no_such_name(tmp_path: Path):
    table = {f"ddpm.posterior_mean_coef{n}": ("F32", [4]) for n in (1, 2, 3)}
    plan = planned(tmp_path, table, "*=ones")
    assert decided(plan) == dict.fromkeys(table) | {"ddpm.posterior_mean_coef3": "rule 1"}
