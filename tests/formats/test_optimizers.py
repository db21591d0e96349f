"""Optimizers in every spelling that trainers write: they are no part of the state dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

import initctl
from tests.formats.ranks import saved_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

WEIGHTS = {"0.weight": (8, 4), "0.bias": (8,), "1.weight": (3, 8), "1.bias": (3,)}
KINDS = ("exp_avg", "exp_avg_sq")


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    return net, optimizer


def weights() -> dict[str, torch.Tensor]:
    return {name: torch.rand(shape) for name, shape in WEIGHTS.items()}


def flat(spelling: str) -> dict[str, torch.Tensor]:
    """Weights, and states at keys such as `optimizer.state.{name}.{kind}`."""
    states = {spelling.format(name=n, kind=k): torch.rand(shape) for n, shape in WEIGHTS.items() for k in KINDS}
    return {**weights(), **states}


def nested(*keys: Any) -> dict[str, Any]:
    """As trainers save an optimizer's `state_dict()` at `keys`; a number is one of a list's."""
    held: Any = network()[1].state_dict()
    for key in reversed(keys):
        held = [held] if isinstance(key, int) else {key: held}
    return {"model": weights(), **held}


def by_name(**options: Any) -> dict[str, Any]:
    net, optimizer = network()
    return {**net.state_dict(), "optim": get_optimizer_state_dict(net, optimizer, options=StateDictOptions(**options))}


FLAT = (
    "optimizer.state.{name}.{kind}", "optimizer.state.{kind}.{name}", "chained_0.optimizer.state.{kind}.{name}",
    "optim.state.{name}.{kind}", "app.optimizer.state.{name}.{kind}", "optimizers.0.state.{name}.{kind}",
    "state.{name}.{kind}", "state.{kind}.{name}", "optim.{name}.{kind}", "optim.{kind}.{name}", "{name}.{kind}",
    "optimizer_state.{kind}.{name}", "trainer.opt.{kind}.{name}",
)  # fmt: skip
NESTED: dict[str, Callable[[], dict[str, Any]]] = {
    "one": lambda: nested("optimizer"),
    "Lightning": lambda: nested("optimizer_states", 0),
    "fairseq": lambda: nested("last_optimizer_state"),
    "Megatron-LM": lambda: nested("optimizer", "optimizer"),
    "DeepSpeed": lambda: nested("optimizer_state_dict", "base_optimizer_state"),
    "in an app": lambda: nested("app", "optim"),
    "by names": by_name,
    "by names, flattened": lambda: by_name(flatten_optimizer_state_dict=True),
}


def torch_file(path: Path, held: Mapping[str, Any]) -> Path:
    torch.save(held, path / "in.pt")
    return path / "in.pt"


def safetensors_file(path: Path, held: Mapping[str, torch.Tensor]) -> Path:
    save_file(dict(held), path / "in.safetensors")
    return path / "in.safetensors"


def distributed(path: Path, held: Mapping[str, Any]) -> Path:
    return saved_alone(path / "in", dict(held))


def found(path: Path) -> initctl.Checkpoint:
    """The table of `path`, in which weights and states are told apart, and no wildcard reaches a state."""
    table = initctl.inspect(path)
    (optimizer,) = table.optimizers
    assert {tensor.name for tensor in table.tensors} == WEIGHTS.keys()
    assert {tensor.name for tensor in table.outside} == optimizer.tensors
    assert set(KINDS) <= set(optimizer.kinds)
    plan = initctl.plan(path, rules=["*=uniform:a=-1,b=1"])
    assert {action.tensor.name for action in plan.actions} == WEIGHTS.keys()
    return table


@pytest.mark.parametrize("write", [torch_file, safetensors_file, distributed])
@pytest.mark.parametrize("spelling", FLAT)
def test_states_at_flat_keys_are_no_weights(tmp_path: Path, spelling: str, write: Callable[..., Path]):
    (optimizer,) = found(write(tmp_path, flat(spelling))).optimizers
    assert optimizer.state.keys() == WEIGHTS.keys()


@pytest.mark.parametrize("write", [torch_file, distributed])
@pytest.mark.parametrize("layout", NESTED)
def test_states_in_a_trainers_own_keys_are_no_weights(tmp_path: Path, layout: str, write: Callable[..., Path]):
    (optimizer,) = found(write(tmp_path, NESTED[layout]())).optimizers
    assert len(optimizer.state) == len(WEIGHTS)


def test_a_file_that_is_an_optimizer_holds_no_weights(tmp_path: Path):
    torch.save(network()[1].state_dict(), tmp_path / "optimizer.pt")
    table = initctl.inspect(tmp_path / "optimizer.pt")
    assert (table.tensors, [optimizer.label for optimizer in table.optimizers]) == ((), ["state"])
    with pytest.raises(initctl.FitError, match="belongs to an optimizer; reset_optimizer=True resets the state"):
        initctl.plan(tmp_path / "optimizer.pt", rules=["*=zeros"])


def test_an_explicit_root_takes_states_in_and_full_names_decide_them(tmp_path: Path):
    path = safetensors_file(tmp_path, flat("optimizer.state.{name}.{kind}"))
    plan = initctl.plan(path, root="", rules=["*=ones", "optimizer.state.1.bias.exp_avg=zeros"])
    assert {action.tensor.name for action in plan.actions} == {*WEIGHTS, "optimizer.state.1.bias.exp_avg"}
    left, inside = plan.warnings
    assert "does not fill optimizer.state.0.bias.exp_avg (float32), " in left.message
    assert inside.code == "optimizer.inside"


@pytest.mark.parametrize(
    "names",
    [
        ("optimizer.lstm.weight", "optimizer.step.weight", "state.encoder.weight"),
        ("state.encoder.step", "state.step", "state.z", "state.encoder.sum"),
        ("net.s", "net.z.weight", "Q.weight", "layers.0.state.Q", "mu", "step_size", "prev.weight"),
        ("agent.optim.head.weight", "optim_head.state.prev.weight", "heads.state.variance"),
    ],
)
def test_a_models_own_modules_may_have_such_names(tmp_path: Path, names: tuple[str, ...]):
    path = safetensors_file(tmp_path, {name: torch.zeros(2) for name in names})
    table = initctl.inspect(path)
    assert ({tensor.name for tensor in table.tensors}, table.optimizers) == (set(names), ())


def test_a_distinct_kind_that_belongs_to_no_weight_is_a_state_only_below_the_key_of_an_optimizer(tmp_path: Path):
    names = ("teacher.head.exp_avg", "trainer.optimizer.lost.exp_avg")
    table = initctl.inspect(safetensors_file(tmp_path, {**weights(), **{name: torch.zeros(2) for name in names}}))
    assert {tensor.name for tensor in table.tensors} == {*WEIGHTS, "teacher.head.exp_avg"}
    (optimizer,) = table.optimizers
    assert (optimizer.name, list(optimizer.state)) == ("trainer.optimizer", ["lost"])


@pytest.mark.parametrize(("keys", "is_known"), [("abcd", True), ("abcde", False), ([("t",)], False), ("a", True)])
def test_the_groups_of_an_optimizer_are_read_below_up_to_four_plain_keys(
    tmp_path: Path, keys: Sequence[Any], is_known: bool
):
    (optimizer,) = found(torch_file(tmp_path, nested(*keys))).optimizers
    (held,) = network()[1].param_groups
    assert len(optimizer.tensors) == 3 * len(WEIGHTS)
    assert [group.parameters for group in optimizer.groups] == ([tuple(range(len(held["params"])))] if is_known else [])


def test_weak_kinds_count_if_they_have_the_name_and_the_shape_of_a_weight(tmp_path: Path):
    sums = {f"optimizer.state.{name}.sum": torch.zeros(shape) for name, shape in WEIGHTS.items()}
    steps = {f"optimizer.state.{name}.step": torch.zeros(()) for name in WEIGHTS}
    table = initctl.inspect(safetensors_file(tmp_path, {**weights(), **sums, **steps}))
    assert {tensor.name for tensor in table.tensors} == WEIGHTS.keys()
    assert table.optimizers[0].kinds == ("step", "sum")


def test_options_and_states_of_unknown_kinds_go_with_the_optimizer(tmp_path: Path):
    held = flat("optimizer.state.{name}.{kind}")
    held |= {"optimizer.state.1.bias.secret": torch.zeros(3), "optimizer.param_groups.1.bias.lr": torch.zeros(())}
    (optimizer,) = found(safetensors_file(tmp_path, held)).optimizers
    assert "secret" in optimizer.kinds
