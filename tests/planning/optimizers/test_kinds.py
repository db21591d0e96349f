"""What each kind of state begins at: set back where that is certain, refused with the reason where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn, optim

import initctl
from initctl.formats.optimizers.kinds import KINDS, Kind
from tests.planning.optimizers.networks import anew, network, refusal, reset, saved, trained

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (2, 3)


def with_states(folder: Path, kept: dict[str, Any], **options: Any) -> Path:
    """A checkpoint of one linear layer whose optimizer keeps `kept` for the weight, and nothing for the bias."""
    groups = [{"params": [0, 1], "lr": 0.25, **options}]
    torch.save(
        {"model": nn.Linear(3, 2).state_dict(), "optimizer": {"state": {0: kept}, "param_groups": groups}},
        folder / "in.ckpt",
    )
    return folder / "in.ckpt"


def begun(folder: Path, kept: dict[str, Any], **options: Any) -> dict[str, float]:
    """The numbers that states have once the weight is filled: one for each, since all its elements are alike."""
    after = reset(with_states(folder, kept, **options), "weight=ones")[1]["optimizer"]["state"][0]
    return {kind: torch.as_tensor(value).float().unique().item() for kind, value in after.items()}


def full(value: float = 0.7) -> torch.Tensor:
    return torch.full(SHAPE, value)


CERTAIN: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "Adafactor of transformers": (
        {"step": 3, "exp_avg_sq_row": torch.ones(2), "exp_avg_sq_col": torch.ones(3), "RMS": 0.5},
        {"step": 0, "exp_avg_sq_row": 0, "exp_avg_sq_col": 0, "RMS": 0.5},
    ),
    "torch ASGD": (
        {"step": torch.ones(()), "eta": torch.ones(()), "mu": torch.ones(()) / 2, "ax": full()},
        {"step": 0, "eta": 0.25, "mu": 1, "ax": 0},
    ),
    "torch Rprop": (
        {"step": torch.ones(()), "prev": full(), "step_size": full()},
        {"step": 0, "prev": 0, "step_size": 0.25},
    ),
    "Lion": ({"exp_avg": full()}, {"exp_avg": 0}),
    "Sophia": ({"step": 5, "exp_avg": full(), "hessian": full()}, {"step": 0, "exp_avg": 0, "hessian": 0}),
    "Muon": ({"momentum_buffer": full()}, {"momentum_buffer": 0}),
    "Lamb": ({"step": 9, "exp_avg": full(), "exp_avg_sq": full()}, {"step": 0, "exp_avg": 0, "exp_avg_sq": 0}),
    "Adabelief": ({"step": 9, "exp_avg": full(), "exp_avg_var": full()}, {"step": 0, "exp_avg": 0, "exp_avg_var": 0}),
    "MADGRAD with momentum 0": ({"grad_sum_sq": full(), "s": full()}, {"grad_sum_sq": 0, "s": 0}),
    "bitsandbytes, 32 bits": ({"step": 4, "state1": full(), "state2": full()}, {"step": 0, "state1": 0, "state2": 0}),
}


@pytest.mark.parametrize("library", CERTAIN)
def test_what_is_certain_is_set_back(tmp_path: Path, library: str):
    kept, expected = CERTAIN[library]
    assert begun(tmp_path, kept) == expected


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "Adan": ({"exp_avg": full(), "neg_pre_grad": full()}, "neg_pre_grad is a gradient of the first step"),
    "SOAP": ({"exp_avg": full(), "GG": [torch.eye(2)], "Q": [torch.eye(2)]}, "GG holds matrices that the optimizer"),
    "Shampoo": ({"momentum_buffer": full(), "preconditioners": torch.eye(2)}, "preconditioners holds matrices that"),
    "GaLore": ({"exp_avg": full(), "projector": object()}, "projector is computed from gradients"),
    "schedule-free": (
        {"exp_avg_sq": full(), "z": full()},
        "z is a copy of the parameter, which the optimizer continues from",
    ),
    "Prodigy": ({"exp_avg": full(), "p0": full()}, "p0 is a copy of the parameter, which the optimizer continues from"),
    "an unknown one": ({"exp_avg": full(), "secret": full()}, "the initial value of secret is unknown"),
}


@pytest.mark.parametrize("library", REFUSED)
def test_what_is_not_certain_is_refused_with_the_reason(tmp_path: Path, library: str):
    kept, why = REFUSED[library]
    told = refusal(with_states(tmp_path, kept), "weight=ones")
    assert f"optimizer: state of weight: {why}" in told


def eight_bits() -> dict[str, Any]:
    """As bitsandbytes keeps Adam's state in blocks: codes, the number for each code, and the largest of each block."""
    codes = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    numbers = {"qmap1": torch.linspace(-1, 1, 256), "qmap2": torch.linspace(0, 1, 256)}
    return {
        "step": 7,
        "state1": codes,
        "state2": codes.clone(),
        **numbers,
        "absmax1": torch.ones(1),
        "absmax2": torch.ones(1),
    }


def test_codes_of_8_bits_come_to_zero_since_the_largest_of_their_block_is(tmp_path: Path):
    kept = eight_bits()
    after = reset(with_states(tmp_path, kept), "weight=ones")[1]["optimizer"]["state"][0]
    for number in "12":
        values = after[f"qmap{number}"][after[f"state{number}"].long()] * after[f"absmax{number}"]
        assert not values.any()
        assert not after[f"state{number}"].any()
        assert torch.equal(after[f"qmap{number}"], kept[f"qmap{number}"])
    assert after["step"] == 0


RECOMPUTED: dict[str, dict[str, Any]] = {
    "Adafactor": {"exp_avg_sq_row": torch.ones(2), "exp_avg_sq_col": torch.ones(3), "RMS": torch.ones(())},
    "Lamb": {"exp_avg": full(), "weight_norm": torch.ones(()), "trust_ratio": torch.ones(())},
    "bitsandbytes": eight_bits(),
}


@pytest.mark.parametrize("library", RECOMPUTED)
def test_what_is_computed_anew_is_not_taken_for_a_copy_of_parameters(tmp_path: Path, library: str):
    path = with_states(tmp_path, RECOMPUTED[library])
    assert not initctl.inspect(path).masters
    assert not initctl.plan(path, rules=["weight=ones"], reset_optimizer=True).warnings


def test_rows_of_codes_share_scales_with_others_and_are_refused(tmp_path: Path):
    told = refusal(with_states(tmp_path, eight_bits()), "weight[1:]=ones")
    assert "state1 has scales that rows share, so single rows cannot be reset" in told


def test_a_square_begins_at_one_in_timms_rmsprop_and_at_zero_in_torchs(tmp_path: Path):
    kept = {"step": 2, "square_avg": full(), "momentum_buffer": full()}
    assert begun(tmp_path, kept, lr_in_momentum=True)["square_avg"] == 1
    assert begun(tmp_path, kept, centered=False)["square_avg"] == 0


def test_what_begins_at_an_option_is_refused_if_the_options_are_not_known(tmp_path: Path):
    held = {f"optimizer.state.weight.{kind}": torch.ones(SHAPE) for kind in ("prev", "step_size", "exp_avg")}
    save_file({"weight": torch.ones(SHAPE), **held}, tmp_path / "in.safetensors")
    told = refusal(tmp_path / "in.safetensors", "weight=zeros")
    assert "step_size starts at the option lr of its group, which is unknown" in told


def test_factored_states_have_the_shape_of_their_matrix(tmp_path: Path):
    """As Adafactor of transformers in two groups, which nothing but shapes tells apart."""
    net = network()
    groups = [[0, 2, 4], [1, 3, 5]]
    state: dict[int, dict[str, Any]] = {}
    for number, parameter in enumerate(net.parameters()):
        if parameter.ndim > 1:
            state[number] = {
                "step": 3,
                "exp_avg_sq_row": torch.ones(parameter.shape[:-1]),
                "exp_avg_sq_col": torch.ones(parameter.shape[-1]),
                "RMS": 0.5,
            }
        else:
            state[number] = {"step": 3, "exp_avg_sq": torch.ones(parameter.shape), "RMS": 0.5}
    param_groups = [{"params": numbers, "lr": 1e-3} for numbers in groups]
    path = saved(tmp_path, net, {"state": state, "param_groups": param_groups})
    assert anew(path, "fc2.*=ones", "fc2.bias=keep") == {4}
    for group in param_groups:
        group["min_dim_size_to_factor"] = 16
    assert "that may be any tensor" in refusal(
        saved(tmp_path, net, {"state": state, "param_groups": param_groups}), "fc2.bias=zeros"
    )


FLATTENED = {
    "fairseq": lambda moments: {"model": nn.Linear(3, 2).state_dict(), "last_optimizer_state": moments},
    "Apex": lambda moments: {"model": nn.Linear(3, 2).state_dict(), "optimizer": {"inner": moments}},
    "FSDP": lambda moments: {"model": nn.Linear(3, 2).state_dict(), "optim": moments},
}


@pytest.mark.parametrize("size", [8, 12, 64])
@pytest.mark.parametrize("layout", FLATTENED)
def test_a_state_of_several_parameters_in_one_piece_is_refused(tmp_path: Path, layout: str, size: int):
    """The last one of two sizes is padded, as ranks need it."""
    moments = {"step": 5, "exp_avg": torch.rand(size), "exp_avg_sq": torch.rand(size)}
    held = FLATTENED[layout]({"state": {0: moments}, "param_groups": [{"params": [0], "lr": 1e-4}]})
    torch.save(held, tmp_path / "in.ckpt")
    told = refusal(tmp_path / "in.ckpt", "weight=zeros")
    size_told = "as many elements as all parameters together" if size == 8 else "which no tensor has"
    assert f"the state of parameter 0 has shape [{size}], {size_told}: it may hold several parameters" in told


def test_a_flattened_parameter_with_a_name_of_its_own_is_refused(tmp_path: Path):
    moments = {"_flat_param": {"step": torch.ones(()), "exp_avg": torch.rand(8)}}
    groups = [{"params": ["_flat_param"]}]
    torch.save(
        {"model": nn.Linear(3, 2).state_dict(), "optim": {"state": moments, "param_groups": groups}}, tmp_path / "a.pt"
    )
    assert "parameter _flat_param is not a tensor of the state dict" in refusal(tmp_path / "a.pt", "weight=zeros")


def nothing(path: Path, *rules: str) -> str:
    plan = initctl.plan(path, rules=rules, reset_optimizer=True)
    assert plan.resets == ()
    (warning,) = plan.warnings
    assert warning.code == "optimizer.nothing"
    return warning.message


@pytest.mark.parametrize("make", [optim.AdamW, lambda given: trained_sgd(given)])
def test_an_optimizer_without_state_says_so_and_goes_on(tmp_path: Path, make: Any):
    net = network()
    path = saved(tmp_path, net, make(net.parameters()))
    told = "--reset-optimizer: nothing to reset: optimizer holds no state"
    assert nothing(path, "fc1.weight=zeros") == told


def trained_sgd(given: Any) -> optim.Optimizer:
    """It keeps None for each parameter."""
    optimizer = optim.SGD(given, lr=0.1)
    sum(p.sum() for group in optimizer.param_groups for p in group["params"]).backward()
    optimizer.step()
    return optimizer


def test_a_flag_that_resets_nothing_says_so(tmp_path: Path):
    net = network()
    net.fc1.requires_grad_(False)
    optimizer = optim.AdamW(net.parameters())
    path = saved(tmp_path, trained(net, optimizer), optimizer)
    told = "--reset-optimizer: nothing is reset: optimizer holds no state of a filled tensor"
    assert nothing(path, "fc1.weight=zeros") == told
    assert nothing(path, "norm.running_mean=zeros") == told


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.name} of {kind.writer}")
def test_every_kind_names_who_writes_it_and_conditions_come_first(kind: Kind):
    assert kind.writer
    alike = [other for other in KINDS if other.name == kind.name]
    assert all(other.given for other in alike[:-1]), "a row behind one without a condition never counts"
