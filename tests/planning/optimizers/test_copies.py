"""Copies of parameters, which resuming copies over what is filled: warned of, refused to reset, or filled alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {"body.weight": (8, 6), "head.weight": (3, 8)}
RULES = ["head.weight=normal:std=0.02"]


def weights(dtype: torch.dtype = torch.bfloat16) -> dict[str, torch.Tensor]:
    return {name: torch.rand(shape).to(dtype) for name, shape in SHAPES.items()}


def states() -> dict[str, Any]:
    moments = {i: {"exp_avg": torch.rand(shape), "step": 3} for i, shape in enumerate(SHAPES.values())}
    return {"state": moments, "param_groups": [{"params": [0, 1]}]}


def copies() -> list[torch.Tensor]:
    return list(weights(torch.float32).values())


def in_one_piece() -> torch.Tensor:
    return torch.cat([copy.flatten() for copy in copies()])


INSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "Megatron-LM": (
        {"optimizer": {"optimizer": states(), "fp32_from_fp16_params": [copies()]}},
        "optimizer.fp32_from_fp16_params",
    ),
    "Apex FP16_Optimizer": (
        {"optimizer": {"optimizer_state_dict": states(), "fp32_from_fp16": [copies()]}},
        "optimizer.fp32_from_fp16",
    ),
    "DeepSpeed FP16_Optimizer": (
        {"optimizer": {"optimizer_state_dict": states(), "fp32_groups_flat": [in_one_piece()]}},
        "optimizer.fp32_groups_flat",
    ),
    "DeepSpeed FP16_UnfusedOptimizer": (
        {"optimizer": {"optimizer_state_dict": states(), "fp32_groups": [copies()]}},
        "optimizer.fp32_groups",
    ),
    "diffusers EMAModel, torch_ema": (
        {"optimizer": states(), "ema": {"shadow_params": copies(), "decay": 0.9}},
        "ema.shadow_params",
    ),
}


def told(path: Path) -> str:
    plan = initctl.plan(path, rules=RULES)
    return next(str(w) for w in plan.warnings if w.code == "optimizer.copies")


def refusal(path: Path, *rules: str) -> str:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, rules=rules or RULES, reset_optimizer=True)
    return str(raised.value.problems[0])


@pytest.mark.parametrize("writer", INSIDE)
def test_copies_inside_are_warned_of_and_refused(tmp_path: Path, writer: str):
    beside, place = INSIDE[writer]
    path = tmp_path / "in.pt"
    torch.save({"model": weights(), **beside}, path)
    assert told(path) == (
        f"{path}: copies of parameters are in {place} ({writer}): "
        "resuming overwrites what is initialized here with them; "
        "load the weights alone, and start training with a new optimizer"
    )
    assert refusal(path).startswith(
        f"--reset-optimizer: {place}: holds copies of parameters ({writer}), which resuming"
    )
    assert not initctl.plan(path, rules=["*=keep"]).warnings


@pytest.fixture
def averaged(tmp_path: Path) -> Path:
    """As Lightning's WeightAveraging saves a module."""
    average, current = weights(torch.float32), weights(torch.float32)
    held = {"state_dict": average, "optimizer_states": [states()], "current_model_state": current}
    torch.save({**held, "averaging_state": {"n_averaged": torch.tensor(3)}}, tmp_path / "ema.ckpt")
    return tmp_path / "ema.ckpt"


def test_an_average_is_warned_of_with_the_weights_that_lightning_resumes_from(averaged: Path):
    (warning,) = (w for w in initctl.plan(averaged, rules=RULES).warnings if w.code.startswith("root."))
    assert str(warning) == (
        f"{averaged}: state_dict is an average of the weights; Lightning resumes from current_model_state; "
        "to fill both, apply the rules again to the result with --root current_model_state"
    )


@pytest.mark.parametrize("root", [None, "state_dict"])
def test_an_average_alone_does_not_reset_the_optimizer_of_the_weights(averaged: Path, root: str | None):
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(averaged, rules=RULES, root=root, reset_optimizer=True)
    assert str(raised.value.problems[0]) == (
        "--reset-optimizer: Lightning resumes from the weights at current_model_state, which no rule reaches; leave "
        "the flag out, then apply the rules again to the result with --root current_model_state and --reset-optimizer"
    )
    assert "with root='current_model_state' and reset_optimizer=True" in str(raised.value)


def test_an_average_and_the_weights_are_filled_alike_in_two_runs(averaged: Path):
    between, out = averaged.with_name("average.ckpt"), averaged.with_name("out.ckpt")
    initctl.apply(averaged, between, rules=RULES)
    initctl.apply(between, out, rules=RULES, root="current_model_state", reset_optimizer=True)
    before, after = torch.load(averaged), torch.load(out)
    average, current = after["state_dict"], after["current_model_state"]
    assert torch.equal(average["head.weight"], current["head.weight"])
    assert torch.equal(current["body.weight"], before["current_model_state"]["body.weight"])
    assert [after["optimizer_states"][0]["state"][i]["step"] for i in (0, 1)] == [3, 0]


BESIDE = {
    "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt": (
        {"optimizer_state_dict": {"zero_stage": 1, "single_partition_of_fp32_groups": [in_one_piece()]}},
        "DeepSpeed ZeRO-1 and ZeRO-2",
    ),
    "zero_pp_rank_0_mp_rank_00_optim_states.pt": (
        {"optimizer_state_dict": {"zero_stage": 3, "fp32_flat_groups": [in_one_piece()]}},
        "DeepSpeed ZeRO-3",
    ),
    "distrib_optim.pt": ({0: {("bf16", "f32"): [{"param": in_one_piece()}]}}, "Megatron-LM"),
    "custom_checkpoint_0.pkl": ({"shadow_params": copies()}, "diffusers EMAModel, torch_ema"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_copies_beside_are_warned_of_and_refused(tmp_path: Path, name: str):
    held, writer = BESIDE[name]
    path = tmp_path / "mp_rank_00_model_states.pt"
    torch.save({"module": weights()}, path)
    torch.save(held, tmp_path / name)
    assert f"copies of parameters are in {tmp_path / name} ({writer}): resuming overwrites what" in told(path)
    assert f"{tmp_path / name}: holds copies of parameters ({writer}), which resuming loads" in refusal(path)
    assert f"remove {name} from the result, and start training with a new optimizer" in refusal(path)


def test_copies_that_deepspeed_keeps_below_a_trainers_checkpoint_are_warned_of(tmp_path: Path):
    folder = tmp_path / "checkpoint-500"
    (folder / "global_step500").mkdir(parents=True)
    save_file(weights(), folder / "model.safetensors")
    for rank in range(12):
        held, _ = BESIDE["bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"]
        torch.save(held, folder / "global_step500" / f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")
    assert "global_step500/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt, " in told(folder)


def megatron(path: Path, dtype: torch.dtype = torch.bfloat16, **others: torch.Tensor) -> Path:
    """As Megatron-core names what it keeps for each parameter."""
    kinds = ("exp_avg", "exp_avg_sq", "fp32_param")
    held = {f"optimizer.state.{kind}.{name}": torch.rand(shape) for kind in kinds for name, shape in SHAPES.items()}
    save_file({**weights(dtype), **held, **others}, path)
    return path


@pytest.mark.parametrize("init", ["normal:std=0.02", "orthogonal", "kaiming_uniform", "constant:val=0.3"])
def test_a_copy_of_the_same_name_gets_the_values_that_the_parameter_is_rounded_from(tmp_path: Path, init: str):
    path, out, plain = megatron(tmp_path / "in.safetensors"), tmp_path / "out.safetensors", tmp_path / "f32.safetensors"
    options: dict[str, Any] = {"rules": [f"head.weight={init}"], "seed": 5}
    initctl.apply(path, out, reset_optimizer=True, **options)
    before, after = load_file(path), load_file(out)
    copy = after["optimizer.state.fp32_param.head.weight"]
    save_file(weights(torch.float32), tmp_path / "w.safetensors")
    initctl.apply(tmp_path / "w.safetensors", plain, **options)
    assert torch.equal(copy, load_file(plain)["head.weight"])
    assert torch.equal(copy.bfloat16(), after["head.weight"])
    assert not after["optimizer.state.exp_avg_sq.head.weight"].any()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", *(name for name in before if name.endswith(".head.weight"))}
    assert initctl.verify(path, out, reset_optimizer=True, **options).holds
    initctl.plan(path, reset_optimizer=True, **options).save(tmp_path / "plan.json")
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", path), out).holds


def test_rows_of_a_copy_are_filled_with_the_rows_of_the_parameter(tmp_path: Path):
    path, out = megatron(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    initctl.apply(path, out, rules=["head.weight[1:]=normal"], reset_optimizer=True)
    before, after = (load_file(p)["optimizer.state.fp32_param.head.weight"] for p in (path, out))
    assert torch.equal(before[:1], after[:1])
    assert torch.equal(after[1:].bfloat16(), load_file(out)["head.weight"][1:])


def test_a_copy_of_what_torch_draws_is_refused_and_one_of_constants_is_filled(tmp_path: Path):
    path, options = megatron(tmp_path / "in.safetensors", torch.float32), {"reset_optimizer": True, "rng": "torch"}
    with pytest.raises(
        initctl.FitError, match=r"the optimizer's copy of head\.weight, but rng='torch' cannot draw the same"
    ):
        initctl.plan(path, rules=["head.weight=normal"], **options)
    initctl.apply(path, tmp_path / "out.safetensors", rules=["head.weight=ones"], **options)
    assert (load_file(tmp_path / "out.safetensors")["optimizer.state.fp32_param.head.weight"] == 1).all()


def test_a_copy_that_is_not_certain_is_refused(tmp_path: Path):
    path = megatron(tmp_path / "in.safetensors")
    assert "fp32_param is its copy, but scale depends on the old values" in refusal(path, "head.weight=scale:by=2")
    other = {"optimizer.state.fp32_param.head.weight": torch.rand(3, 8).half()}
    assert "fp32_param may not be its copy in float32" in refusal(megatron(path, **other))


@pytest.mark.parametrize("kind", ["z", "p0", "x0", "slow_buffer", "lookahead_slow_buff"])
def test_a_copy_that_an_optimizer_begins_with_is_refused(tmp_path: Path, kind: str):
    """Schedule-free optimizers, Prodigy, D-Adaptation, Lookahead."""
    state = {i: {kind: copy, "exp_avg_sq": torch.ones_like(copy)} for i, copy in enumerate(copies())}
    torch.save(
        {"model": weights(), "optimizer": {"state": state, "param_groups": [{"params": [0, 1]}]}}, tmp_path / "a.pt"
    )
    assert f"copies of parameters are in optimizer: {kind} (" in told(tmp_path / "a.pt")
    assert f"state of head.weight: {kind} is a copy of the parameter, which the optimizer continues" in refusal(
        tmp_path / "a.pt"
    )
