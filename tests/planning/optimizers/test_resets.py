"""--reset-optimizer: exactly what optimizers remember of filled parameters is set back to where it began."""

from __future__ import annotations

import copy
import re
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn, optim

import initctl
from tests.formats.ranks import loaded, saved_alone
from tests.formats.torch_save.rewritten import legacy, pickle_of, with_pickle
from tests.formats.torch_save.rewritten import saved as saved_bytes
from tests.planning.optimizers.networks import anew, begun_anew, by_adamw, network, refusal, reset, saved, trained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AT_ZERO: dict[str, Callable[[Any], optim.Optimizer]] = {
    **{
        kind: getattr(optim, kind) for kind in ("AdamW", "NAdam", "RAdam", "Adamax", "Adadelta", "Adafactor", "Adagrad")
    },
    "amsgrad": lambda given: optim.Adam(given, amsgrad=True),
    "RMSprop": lambda given: optim.RMSprop(given, momentum=0.9, centered=True),
    "SGD": lambda given: optim.SGD(given, lr=0.1, momentum=0.9, nesterov=True),
}
ELSEWHERE: dict[str, Callable[[Any], optim.Optimizer]] = {
    "ASGD": lambda given: optim.ASGD(given),
    "Rprop": lambda given: optim.Rprop(given),
    "Adagrad from 0.1": lambda given: optim.Adagrad(given, initial_accumulator_value=0.1),
    "SGD dampened": lambda given: optim.SGD(given, lr=0.1, momentum=0.9, dampening=0.5),
}
"""These do not begin at zero."""
KINDS = AT_ZERO | ELSEWHERE


def by_decay(net: nn.Module) -> list[dict[str, Any]]:
    found = [[p for p in net.parameters() if (p.ndim > 1) is is_matrix] for is_matrix in (True, False)]
    return [{"params": found[0], "weight_decay": 0.1}, {"params": found[1], "weight_decay": 0.0}]


GIVEN: dict[str, tuple[Callable[[nn.Module], Any], dict[str, int]]] = {
    "one group": (lambda net: net.parameters(), {"fc1.bias": 1, "norm.weight": 2, "fc2.weight": 4}),
    "decay and none": (by_decay, {"fc1.bias": 2, "norm.weight": 3, "fc2.weight": 1}),
    "named": (lambda net: net.named_parameters(), {"fc1.bias": 1, "norm.weight": 2, "fc2.weight": 4}),
    "turned": (lambda n: reversed([*n.named_parameters()]), {"fc1.bias": 4, "norm.weight": 3, "fc2.weight": 1}),
}
"""Ways to give a network's parameters to an optimizer, and the numbers that some of them get."""


@pytest.mark.parametrize("kind", AT_ZERO)
@pytest.mark.parametrize("given", GIVEN)
def test_the_states_of_filled_parameters_begin_anew_and_no_others(tmp_path: Path, kind: str, given: str):
    give, numbers = GIVEN[given]
    net = network()
    optimizer = KINDS[kind](give(net))
    path = saved(tmp_path, trained(net, optimizer), optimizer)
    assert anew(path, *(f"{name}=constant:val=0.5" for name in numbers)) == set(numbers.values())


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_as_with_a_new_optimizer(tmp_path: Path, kind: str):
    net = network()
    optimizer = KINDS[kind](net.parameters())
    path = saved(tmp_path, trained(net, optimizer), optimizer)
    try:
        _, after = reset(path, "*=constant:val=0.5")
    except initctl.FitError as error:
        assert kind in ELSEWHERE, error
        return
    net.load_state_dict(after["model"])
    optimizer.load_state_dict(after["optimizer"])
    new = copy.deepcopy(net)
    trained(net, optimizer)
    trained(new, KINDS[kind](new.parameters()))
    assert all(map(torch.equal, net.parameters(), new.parameters()))


def test_keep_and_tensors_that_no_rule_fills_reset_nothing(tmp_path: Path):
    path = by_adamw(tmp_path)[2]
    assert anew(path, "*=ones", "fc1.*=keep", "norm.*=keep") == {4, 5}
    assert anew(path, "norm.running_mean=zeros") == set()


def tied(out: int) -> nn.Sequential:
    """As GPT-2: the tied weight's first name in order is its last by the alphabet."""
    sizes = {"wte": (4, 4), "mid": (4, out), "back": (out, 4), "head": (4, 4)}
    net = nn.Sequential(OrderedDict((name, nn.Linear(*size, bias=False)) for name, size in sizes.items()))
    net.head.weight = net.wte.weight
    return net


@pytest.mark.parametrize("out", [4, 5])
@pytest.mark.parametrize(("rule", "numbers"), [("{wte,head}.weight", {0}), ("mid.weight", {1}), ("*", {0, 1, 2})])
def test_a_tied_parameter_stands_where_its_first_name_does(tmp_path: Path, out: int, rule: str, numbers: set[int]):
    assert anew(by_adamw(tmp_path, tied(out))[2], f"{rule}=zeros") == numbers


def test_frozen_parameters_have_numbers_and_no_states_or_shapes_tell_the_others(tmp_path: Path):
    net = network()
    net.fc1.requires_grad_(False)
    assert anew(by_adamw(tmp_path, net)[2], "fc*.bias=zeros", "norm.bias=ones") == {3, 5}
    optimizer = optim.AdamW(net[1:].parameters())
    assert anew(saved(tmp_path, trained(net, optimizer), optimizer), "fc2.*=zeros") == {2, 3}
    assert "it has state of only 2 of fc1.bias, norm.weight, norm.bias, of shape [3]; name the tensors" in refusal(
        tmp_path / "in.ckpt", "norm.bias=zeros"
    )


def test_another_order_that_any_shape_gives_away_is_refused(tmp_path: Path):
    net = nn.ParameterDict({"a": torch.ones(3), "b": torch.ones(3), "c": torch.ones(4)})
    optimizer = optim.AdamW([net["b"], net["c"], net["a"]])
    sum(p.sum() for p in net.values()).backward()
    optimizer.step()
    for rule in ("c=zeros", "a=zeros"):
        assert "cannot be matched with certainty" in refusal(saved(tmp_path, net, optimizer), rule)


def layers(tmp_path: Path, give: Callable[[nn.Sequential], Any]) -> Path:
    """Three layers of equal shapes."""
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    optimizer = optim.AdamW(give(net))
    return saved(tmp_path, trained(net, optimizer), optimizer)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_match_that_only_the_order_gives_is_warned_of(tmp_path: Path, order: tuple[int, ...]):
    path = layers(tmp_path, lambda net: [p for layer in order for p in net[layer].parameters()])
    plan = initctl.plan(path, rules=["2.*=zeros"], reset_optimizer=True)
    (problem,) = plan.warnings
    assert problem.code == "optimizer.order"
    assert problem.message == (
        "--reset-optimizer: optimizer has several parameters of equal shape and does not name them, "
        "so by their order parameter 4 is 2.weight, parameter 5 is 2.bias"
    )
    assert problem.hint == (
        "if it received such parameters in another order than the state dict's, "
        "leave the flag out, and start training with a new optimizer"
    )
    assert len(plan.resets) == 6
    plan.save(tmp_path / "plan.json")
    assert initctl.load_plan(tmp_path / "plan.json").warnings == plan.warnings


def test_each_optimizer_that_is_matched_by_order_is_warned_of_once(tmp_path: Path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    made = [optim.AdamW([p for p in net.parameters() if (p.ndim > 1) is matrix]) for matrix in (True, False)]
    held = {f"optimizer_{i}": (trained(net, one), one.state_dict())[1] for i, one in enumerate(made)}
    torch.save({"model": net.state_dict(), **held}, tmp_path / "in.ckpt")
    warnings = initctl.plan(tmp_path / "in.ckpt", rules=["1.*=zeros"], reset_optimizer=True).warnings
    assert [w.message.partition("by their order ")[2] for w in warnings] == [
        "parameter 1 is 1.weight",
        "parameter 1 is 1.bias",
    ]


def test_a_match_that_names_or_shapes_give_is_not_warned_of(tmp_path: Path):
    path = layers(tmp_path, lambda net: net.named_parameters())
    assert not initctl.plan(path, rules=["2.*=zeros"], reset_optimizer=True).warnings
    path = layers(tmp_path, lambda net: net.parameters())
    assert not initctl.plan(path, rules=["*=zeros"], reset_optimizer=True).warnings
    path = by_adamw(tmp_path)[2]
    assert not initctl.plan(path, rules=["fc2.*=zeros"], reset_optimizer=True).warnings


def test_a_shape_in_two_groups_is_refused(tmp_path: Path):
    net = network()
    optimizer = optim.AdamW([{"params": net[:1].parameters()}, {"params": net[1:].parameters()}])
    path = saved(tmp_path, trained(net, optimizer), optimizer)
    assert "its parameters cannot be matched with certainty: it is unclear which" in refusal(path, "norm.bias=ones")
    assert anew(path, "fc2.weight=zeros") == {4}


@pytest.mark.parametrize("write", [saved_bytes, legacy])
@pytest.mark.parametrize("step", [1, 255, 256, 65_535, 65_536, 2**31 - 1])
def test_a_step_that_is_a_number_in_the_pickle_is_set_back_too(tmp_path: Path, step: int, write: Any):
    net, optimizer, path = by_adamw(tmp_path)
    old = copy.deepcopy(optimizer.state_dict())
    for kept in old["state"].values():
        kept["step"] = step
    path.write_bytes(write({"model": net.state_dict(), "step": step, "optimizer": old}))
    before, after = reset(path, "fc1.bias=zeros", "fc2.weight=zeros")
    numbers = {number: kept["step"] for number, kept in after["optimizer"]["state"].items()}
    assert numbers == {0: step, 1: 0, 2: step, 3: step, 4: 0, 5: step}
    assert after["step"] == step
    moments = [
        (b[kind], a[kind])
        for b, a in zip(*(v["optimizer"]["state"].values() for v in (before, after)), strict=True)
        for kind in ("exp_avg", "exp_avg_sq")
    ]
    assert [torch.equal(*pair) for pair in moments] == [number not in (1, 4) for number in range(6) for _ in "ab"]
    if write is saved_bytes:
        with zipfile.ZipFile(path.with_name("out.ckpt")) as archive:
            assert archive.testzip() is None


def test_a_step_that_another_value_shares_is_refused(tmp_path: Path):
    net, optimizer, path = by_adamw(tmp_path)
    old = copy.deepcopy(optimizer.state_dict())
    for kept in old["state"].values():
        kept["step"] = 77
    content = saved_bytes({"model": net.state_dict(), "step": 77, "optimizer": old})
    shared = pickle_of(content).replace(b"K\x4d", b"K\x4dr\xff\xff\x00\x00", 1).replace(b"K\x4d", b"j\xff\xff\x00\x00")
    shared = shared.replace(b"j\xff\xff\x00\x00r\xff\xff\x00\x00", b"K\x4dr\xff\xff\x00\x00")
    path.write_bytes(with_pickle(content, shared))
    assert torch.load(path, weights_only=False)["optimizer"]["state"][3]["step"] == 77
    assert "step is not a tensor and cannot be changed in the pickle" in refusal(path, "fc1.bias=zeros")


@pytest.mark.parametrize("shared", ["state", "kept", "optimizer"])
def test_steps_in_the_pickle_that_stand_elsewhere_too_are_not_changed(tmp_path: Path, shared: str):
    state = {number: {"step": 7} for number in range(2)}
    optimizer = {"state": state, "param_groups": [{"params": [0, 1]}]}
    elsewhere = {"state": state, "kept": state[0], "optimizer": [optimizer]}[shared]
    torch.save({"model": nn.Linear(3, 2).state_dict(), "optimizer": optimizer, "log": elsewhere}, tmp_path / "in.ckpt")
    assert "step is not a tensor and cannot be changed in the pickle" in refusal(tmp_path / "in.ckpt", "weight=zeros")


def test_what_cannot_be_set_back_is_refused(tmp_path: Path):
    net, optimizer, _ = by_adamw(tmp_path)
    other = copy.deepcopy(optimizer.state_dict())
    for kept in other["state"].values():
        kept["sum"] = 0.5
    told = refusal(saved(tmp_path, net, other), "fc1.weight=zeros")
    assert "state of fc1.weight: sum is not a tensor and cannot be changed in the pickle" in told
    torch.save({"model": network().state_dict()}, tmp_path / "in.ckpt")
    assert "has no optimizer state; leave the flag out" in refusal(tmp_path / "in.ckpt", "fc1.weight=zeros")
    save_file(network().state_dict(), tmp_path / "in.safetensors")
    assert "has no optimizer state" in refusal(tmp_path / "in.safetensors", "fc1.weight=zeros")


@pytest.mark.parametrize("given", ["one group", "decay and none"])
def test_states_that_are_of_no_parameters_shape_do_not_tell_whose_they_are(tmp_path: Path, given: str):
    """ASGD keeps two numbers for each parameter before the tensor of its shape."""
    net = network()
    optimizer = optim.ASGD(GIVEN[given][0](net))
    _, after = reset(saved(tmp_path, trained(net, optimizer), optimizer), "fc1.bias=zeros")
    number = GIVEN[given][1]["fc1.bias"]
    state = after["optimizer"]["state"][number]
    assert {kind: float(kept.max()) for kind, kept in state.items()} == pytest.approx(
        {"step": 0, "eta": 0.01, "mu": 1, "ax": 0}
    )


def test_states_of_unknown_kinds_alone_do_not_tell_whose_they_are(tmp_path: Path):
    net = network()
    optimizer = optim.AdamW(by_decay(net))
    trained(net, optimizer)
    state = {i: {"secret": kept["exp_avg"]} for i, kept in optimizer.state_dict()["state"].items()}
    told = refusal(saved(tmp_path, net, {**optimizer.state_dict(), "state": state}), "fc1.bias=zeros")
    assert "its state of parameter 0 shows no shape, so that may be any tensor" in told


def test_states_of_one_parameter_that_differ_in_shape_are_refused(tmp_path: Path):
    net, optimizer, _ = by_adamw(tmp_path)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][1]["exp_avg_sq"] = torch.ones(7)
    told = refusal(saved(tmp_path, net, state), "fc1.bias=zeros")
    assert "the states of parameter 1 have several shapes" in told


def test_what_is_kept_with_another_parameter_may_be_of_all(tmp_path: Path):
    """As L-BFGS keeps the last gradients of all parameters in a row, with the first."""
    net = nn.Linear(3, 2)
    optimizer = optim.LBFGS(net.parameters())
    loss = net(torch.ones(3)).square().sum()
    loss.backward()
    optimizer.step(lambda: loss)
    assert "state of bias: may be in d, an unknown kind" in refusal(saved(tmp_path, net, optimizer), "bias=zeros")


def by_adagrad(folder: Path, begins_at: Any, dtype: torch.dtype = torch.float32) -> Path:
    """A checkpoint whose optimizer says that its sums begin at a number."""
    net = nn.Linear(3, 2)
    state = {
        i: {"step": torch.ones(()), "sum": torch.ones(p.shape, dtype=dtype)} for i, p in enumerate(net.parameters())
    }
    return saved(
        folder, net, {"state": state, "param_groups": [{"params": [0, 1], "initial_accumulator_value": begins_at}]}
    )


UNHELD = [
    (2**5000, torch.float32, "float32 cannot hold inf"),
    (1e300, torch.float32, "float32 cannot hold 1e[+]300"),
    (float("inf"), torch.float32, "float32 cannot hold inf"),
    (float("nan"), torch.float32, "float32 cannot hold nan"),
    (torch.tensor(0.5), torch.float32, "float32 cannot hold nan"),
    ("0.5", torch.float32, "float32 cannot hold nan"),
    (1e-9, torch.float16, "float16 cannot hold 1e-09"),
    (0.1, torch.int32, "int32 cannot hold 0.1"),
    (2**5000, torch.int32, "int32 cannot hold inf"),
    (float("nan"), torch.int32, "int32 cannot hold nan"),
]


@pytest.mark.parametrize(("begins_at", "dtype", "why"), UNHELD)
def test_a_state_that_cannot_hold_what_it_begins_at_is_refused(tmp_path: Path, begins_at: Any, dtype: Any, why: str):
    told = refusal(by_adagrad(tmp_path, begins_at, dtype), "weight=zeros")
    assert re.search(f"optimizer: state of weight: sum cannot be reset: {why}; leave the flag out", told)


@pytest.mark.parametrize(
    ("begins_at", "dtype"), [(0.25, torch.bfloat16), (True, torch.float32), (2, torch.int32), (1e300, torch.float64)]
)
def test_a_state_is_set_back_to_what_the_optimizer_says_that_it_begins_at(tmp_path: Path, begins_at: Any, dtype: Any):
    _, after = reset(by_adagrad(tmp_path, begins_at, dtype), "weight=zeros")
    assert torch.equal(after["optimizer"]["state"][0]["sum"], torch.full((2, 3), float(begins_at), dtype=dtype))


def test_a_state_that_cannot_be_written_is_refused_and_not_passed_over(tmp_path: Path):
    net = nn.Embedding(5, 3, sparse=True)
    optimizer = optim.SGD(net.parameters(), momentum=0.9)
    net(torch.tensor([1, 2])).sum().backward()
    optimizer.step()
    assert "sparse" in refusal(saved(tmp_path, net, optimizer), "weight=zeros")


def by_names(net: nn.Module, optimizer: optim.Optimizer, prefix: str = "") -> dict[str, Any]:
    """As torch.distributed.checkpoint.state_dict gives an optimizer's state."""
    names = [prefix + name for name, _ in net.named_parameters()]
    held = optimizer.state_dict()
    state = dict(zip(names, held["state"].values(), strict=True))
    return {"state": state, "param_groups": [{**group, "params": names} for group in held["param_groups"]]}


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_parameters_that_are_called_by_their_names_are_told_by_them(tmp_path: Path, prefix: str):
    net, optimizer, _ = by_adamw(tmp_path)
    assert anew(saved(tmp_path, net, by_names(net, optimizer, prefix)), "fc2.*=zeros") == {
        f"{prefix}fc2.weight",
        f"{prefix}fc2.bias",
    }


def test_a_distributed_checkpoint_tells_them_by_names_alone(tmp_path: Path):
    net, optimizer, _ = by_adamw(tmp_path)
    state = {"model": net.state_dict(), "optimizer": by_names(net, optimizer)}
    initctl.apply(saved_alone(tmp_path / "named", state), tmp_path / "out", rules=["fc2.*=zeros"], reset_optimizer=True)
    after = loaded(tmp_path / "out", tmp_path / "out.pt")["optimizer"]
    assert begun_anew(state["optimizer"], after) == {"fc2.weight", "fc2.bias"}
    numbered = saved_alone(tmp_path / "numbered", {"model": net.state_dict(), "optimizer": optimizer.state_dict()})
    assert "cannot be matched with certainty" in refusal(numbered, "fc2.*=zeros")


def test_every_optimizer_is_set_back_and_one_of_other_parameters_is_not(tmp_path: Path):
    net = network()
    given = [net.parameters(), net.fc1.named_parameters(prefix="fc1"), net.fc2.named_parameters(prefix="fc2")]
    made = [optim.AdamW(parameters) for parameters in given]
    held = [trained(net, optimizer) and optimizer.state_dict() for optimizer in made]
    torch.save({"state_dict": net.state_dict(), "optimizer_states": held}, tmp_path / "in.ckpt")
    before, after = (one["optimizer_states"] for one in reset(tmp_path / "in.ckpt", "fc2.weight=zeros"))
    assert [begun_anew(*pair) for pair in zip(before, after, strict=True)] == [{4}, set(), {0}]


TWINS = {
    "numbers": lambda net: net.parameters(),
    "names": lambda net: net.named_parameters(),
    "the last layer by itself": lambda net: net.fc2.parameters(),
}


def twins(first: str) -> dict[str, Any]:
    """Two networks of the same shapes, and an optimizer for each; the first's is given its parameters in some way."""
    nets = [network(), network()]
    made = [optim.AdamW(TWINS[first](nets[0])), optim.AdamW(nets[1].parameters())]
    for net, optimizer in zip(nets, made, strict=True):
        trained(net, optimizer)
    q1, q2 = (net.state_dict() for net in nets)
    return {"q1": q1, "q2": q2, "q1_optimizer": made[0].state_dict(), "q2_optimizer": made[1].state_dict()}


@pytest.mark.parametrize("rule", ["*=ones", "fc1.weight=zeros", "fc2.bias=zeros"])
@pytest.mark.parametrize("first", TWINS)
def test_an_optimizer_that_may_be_another_networks_is_refused(tmp_path: Path, first: str, rule: str):
    torch.save(twins(first), tmp_path / "in.ckpt")
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(tmp_path / "in.ckpt", rules=[rule], root="q1", reset_optimizer=True)
    (problem,) = raised.value.problems
    assert problem.code == "optimizer.unmatched"
    assert "q1_optimizer, q2_optimizer belongs to the state dict at q1: both match" in str(problem)
    assert "is outside of it; save each network in its own file with its optimizer, or leave the" in str(problem)


def test_a_tensor_that_no_optimizer_remembers_may_be_filled_beside_another_network(tmp_path: Path):
    torch.save(twins("numbers"), tmp_path / "in.ckpt")
    assert (
        initctl.plan(tmp_path / "in.ckpt", rules=["*.running_mean=zeros"], root="q1", reset_optimizer=True).resets == ()
    )


def test_the_optimizers_of_a_gan_with_equal_shapes_are_not_mixed_up(tmp_path: Path):
    names = ("generator", "discriminator", "optimizer_g", "optimizer_d")
    torch.save(dict(zip(names, twins("numbers").values(), strict=True)), tmp_path / "in.ckpt")
    assert "belongs to the state dict at generator" in refusal(tmp_path / "in.ckpt", "fc1.bias=zeros")


def test_an_average_of_the_weights_does_not_stand_in_the_way_of_optimizers_that_share_none(tmp_path: Path):
    net = network()
    made = [optim.AdamW([p for p in net.parameters() if (p.ndim > 1) is matrix]) for matrix in (True, False)]
    for optimizer in made:
        trained(net, optimizer)
    held = {"muon": made[0].state_dict(), "adam": made[1].state_dict()}
    torch.save({"model": net.state_dict(), "ema": network().state_dict(), **held}, tmp_path / "in.ckpt")
    before, after = reset(tmp_path / "in.ckpt", "fc2.*=zeros")
    assert [begun_anew(before[name], after[name]) for name in ("muon", "adam")] == [{1}, {3}]
    one = by_adamw(tmp_path)[1]
    torch.save(
        {"model": net.state_dict(), "ema": network().state_dict(), "optimizer": one.state_dict()}, tmp_path / "in.ckpt"
    )
    assert anew(tmp_path / "in.ckpt", "fc2.*=zeros") == {4, 5}


def test_states_that_rules_reach_as_well_are_refused(tmp_path: Path):
    net, optimizer, _ = by_adamw(tmp_path)
    path = saved(tmp_path, net, optimizer.state_dict())
    with pytest.raises(initctl.FitError, match="an optimizer, but rules reach it; name the state dict with `root`"):
        initctl.plan(path, rules=["*=zeros"], root="", reset_optimizer=True)


def test_states_that_share_a_step_are_refused_with_a_hint_that_helps(tmp_path: Path):
    net, optimizer, _ = by_adamw(tmp_path)
    held = optimizer.state_dict()
    held["state"][1]["step"] = held["state"][0]["step"]
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(saved(tmp_path, net, held), rules=["fc1.weight=zeros"], reset_optimizer=True)
    (problem,) = raised.value.problems
    assert problem.code == "rule.overlap"
    assert "optimizer.state.0.step shares memory with optimizer.state.1.step" in problem.message
    assert problem.hint == "leave --reset-optimizer out, and start training with a new optimizer"


def test_a_parameter_that_stands_twice_is_refused_and_is_no_bug(tmp_path: Path):
    group = {"params": [0, 0]}
    torch.save({"model": {"w": torch.ones(2)}, "optimizer": {"state": {}, "param_groups": [group]}}, tmp_path / "in.pt")
    with pytest.raises(initctl.InputError, match="an optimizer lists a parameter twice"):
        initctl.inspect(tmp_path / "in.pt")


def test_groups_of_another_kind_tell_nothing_of_the_order(tmp_path: Path):
    net, optimizer, _ = by_adamw(tmp_path)
    state = optimizer.state_dict()
    state["param_groups"].insert(0, {"params": "all"})
    told = refusal(saved(tmp_path, net, state), "fc2.*=zeros")
    assert "does not name them" in told


def test_verify_without_the_flag_asks_for_it_if_an_optimizer_differs(tmp_path: Path):
    path, out, rules = by_adamw(tmp_path)[2], tmp_path / "out.ckpt", ["fc2.*=zeros"]
    hint = "an optimizer differs: add --reset-optimizer if apply had it"
    initctl.apply(path, out, rules=rules, reset_optimizer=True)
    assert hint in initctl.verify(path, out, rules=rules).report()
    assert initctl.verify(path, out, rules=rules, reset_optimizer=True).holds
    found = initctl.verify(path, out, rules=["fc2.*=ones"], reset_optimizer=True)
    assert not found.holds
    assert hint not in found.report()
    initctl.apply(path, out, rules=["fc2.*=ones"], overwrite=True)
    found = initctl.verify(path, out, rules=rules)
    assert not found.holds
    assert hint not in found.report()


def test_verify_without_the_flag_asks_for_it_if_an_optimizers_file_differs(tmp_path: Path):
    net, optimizer, _ = by_adamw(tmp_path)
    path, out, rules = tmp_path / "trained", tmp_path / "out", ["fc2.*=zeros"]
    path.mkdir()
    torch.save(net.state_dict(), path / "pytorch_model.bin")
    torch.save(optimizer.state_dict(), path / "optimizer.pt")
    initctl.apply(path, out, rules=rules, reset_optimizer=True)
    report = initctl.verify(path, out, rules=rules).report()
    assert "an optimizer differs: add --reset-optimizer if apply had it" in report
