"""Modules and state dicts in memory: names, ties, buffers, wrappers, and what they refuse."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn.utils import parametrizations

import initctl
from tests.live.files import assert_as_in_the_file, assert_same_bits, bits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ["*weight*=normal:std=0.1", "*bias*=uniform"]


class Tied(nn.Module):
    """An embedding, and an output layer that is the same tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.body = nn.Linear(8, 8)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.embed.weight


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 30), nn.BatchNorm1d(30), nn.Linear(30, 5))


def compiled(net: nn.Module) -> nn.Module:
    return torch.compile(net, backend="eager")


def normed() -> nn.Module:
    net = network()
    parametrizations.weight_norm(net[0])
    parametrizations.orthogonal(net[2])
    return net


@pytest.mark.parametrize("model", [network, Tied, normed], ids=lambda make: make.__name__)
def test_a_module_gets_the_bits_of_its_file(model: Callable[[], nn.Module], tmp_path: Path):
    assert_as_in_the_file(model(), tmp_path, RULES, seed=5)


def test_a_module_gets_the_bits_of_its_file_of_safetensors(tmp_path: Path):
    model, loaded = Tied(), Tied()
    save_model(model, tmp_path / "before.safetensors")
    rules = ["embed.weight=normal", "body.*=uniform"]
    initctl.apply(tmp_path / "before.safetensors", tmp_path / "after.safetensors", rules=rules)
    initctl.init_(model, rules=["{embed,head}.weight=normal", "body.*=uniform"])
    load_model(loaded, tmp_path / "after.safetensors")
    assert_same_bits(loaded.state_dict(), model.state_dict())


def test_buffers_are_filled_if_a_file_has_them(tmp_path: Path):
    net = network()
    net.register_buffer("table", torch.ones(3))
    net.register_buffer("cache", torch.ones(3), persistent=False)
    plan = assert_as_in_the_file(net, tmp_path, ["table=normal", "1.running_var=constant:val=4"])
    assert "cache" not in {row["tensor"] for row in plan.rows()}
    assert net.cache.tolist() == [1, 1, 1]


def test_stored_names_of_parametrizations_and_of_weight_norm_are_those_of_the_state_dict():
    plan = initctl.init_(normed(), rules=["*.original*=normal"])
    assert [action.tensor.name for action in plan.actions] == [
        "0.parametrizations.weight.original0",
        "0.parametrizations.weight.original1",
        "2.parametrizations.weight.original",
    ]
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        old = nn.utils.weight_norm(nn.Linear(3, 2))
    initctl.init_(old, rules=["weight_v=normal", "weight_g=ones"])
    assert torch.allclose(old(torch.eye(3)).detach().T, nn.functional.normalize(old.weight_v) + old.bias[:, None])


@pytest.mark.parametrize(
    "wrap",
    [compiled, nn.DataParallel, lambda net: nn.DataParallel(compiled(net))],
    ids=["compiled", "parallel", "both"],
)
def test_a_wrapper_does_not_change_names_or_values(wrap, tmp_path: Path):
    plain, wrapped = network(), wrap(network())
    initctl.init_(plain, rules=RULES)
    plan = initctl.init_(wrapped, rules=RULES)
    assert plan.actions[0].tensor.name == "0.weight"
    assert [bits(one) for one in plain.parameters()] == [bits(one) for one in wrapped.parameters()]
    state_dict = wrapped.state_dict()
    assert_as_in_the_file(dict(state_dict), tmp_path, RULES, seed=2)


def test_a_compiled_model_runs_with_the_new_weights():
    net = nn.Linear(4, 4)
    model = compiled(net)
    model(torch.ones(4))
    initctl.init_(model, rules=["weight=ones", "bias=zeros"])
    assert model(torch.ones(4)).tolist() == [4, 4, 4, 4]


def test_a_state_dict_of_a_file_is_filled_in_place(tmp_path: Path):
    save_file({"w": torch.zeros(3, 4)}, tmp_path / "net.safetensors")
    state = load_file(tmp_path / "net.safetensors")
    assert_as_in_the_file(state, tmp_path, ["w=normal"])


def test_tied_tensors_are_filled_once_and_must_be_decided_alike():
    model = Tied()
    plan = initctl.init_(model, rules=["*.weight=normal"])
    assert plan.initialized.elements == 20 * 8 + 8 * 8
    assert model.head.weight is model.embed.weight
    seen: list[Any] = []
    initctl.init_(model, rules=["*.weight=normal"], on_event=seen.append)
    assert seen[-1].total == 4 * (20 * 8 + 8 * 8)
    with pytest.raises(initctl.FitError, match="are one tensor, but rules treat them differently"):
        initctl.init_(model, rules=["embed.weight=normal"])


def test_a_view_that_overlaps_another_tensor_is_refused():
    whole = torch.zeros(4, 4)
    with pytest.raises(initctl.FitError, match="shares memory"):
        initctl.init_({"a": whole, "b": whole[1:]}, rules=["a=normal"])


@pytest.mark.parametrize("swapped", [False, True], ids=["whole first", "part first"])
@pytest.mark.parametrize(("whole", "part"), [(lambda a: a.T, lambda a: a[:2]), (lambda a: a, lambda a: a[5:])])
def test_tensors_of_one_array_that_overlap_are_refused_and_those_that_do_not_are_filled(whole, part, swapped):
    array = np.ones((9, 6), np.float32)
    state = {"a": torch.from_numpy(whole(array)), "b": torch.from_numpy(part(array))}
    if swapped:
        state = dict(reversed(state.items()))
    with pytest.raises(initctl.FitError, match="shares memory"):
        initctl.init_(state, rules=["a=normal", "b=zeros"])
    assert array.all()
    initctl.init_(state, rules=["*=zeros"])
    assert not array.any()
    array[:] = 1
    state["a"] = torch.from_numpy(array[2:5])
    state["b"] = torch.from_numpy(array[:2])
    initctl.init_(state, rules=["*=zeros"])
    assert not array[:5].any()
    assert array[5:].all()


def test_two_tensors_of_one_array_are_tied():
    array = np.ones((3, 4), np.float32)
    state = {"a": torch.from_numpy(array), "b": torch.from_numpy(array)}
    assert initctl.init_(state, rules=["*=normal"]).initialized.elements == 12
    assert torch.equal(state["a"], state["b"])


def test_storages_that_overlap_in_part_are_refused():
    array = np.ones(10, np.float32)
    state = {"a": torch.from_numpy(array[:6]), "b": torch.from_numpy(array[4:])}
    with pytest.raises(initctl.InputError, match="tensor b: its storage and that of another tensor overlap in part"):
        initctl.init_(state, rules=["*=zeros"])
    assert array.all()


def test_the_model_is_trained_as_before_and_autograd_sees_the_change():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    net[0].weight.requires_grad_(False)
    wanted = [parameter.requires_grad for parameter in net.parameters()]
    versions = [parameter._version for parameter in net.parameters()]
    result = net(torch.ones(3, requires_grad=True)).sum()
    initctl.init_(net, rules=["*.weight=normal"])
    assert [parameter.requires_grad for parameter in net.parameters()] == wanted
    assert all(parameter.is_leaf and parameter.grad is None for parameter in net.parameters())
    changed = [parameter._version > version for parameter, version in zip(net.parameters(), versions, strict=True)]
    assert changed == [True, False, True, False]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


def test_tensors_of_inference_mode_are_filled_inside_and_outside_of_it():
    with torch.inference_mode():
        state = {"w": torch.zeros(3, 4), "t": torch.zeros(4, 3).t()}
        initctl.init_(state, rules=["*=ones"], device="cpu:0")
        assert all((tensor == 1).all() for tensor in state.values())
    initctl.init_(state, rules=["*=zeros"])
    assert not any(tensor.any() for tensor in state.values())


def test_storages_can_still_be_resized():
    weight = torch.zeros(3)
    initctl.init_({"w": weight}, rules=["w=ones"])
    assert weight.untyped_storage().resizable()
    weight.untyped_storage().resize_(0)


def test_a_default_device_does_not_matter():
    net = nn.Linear(3, 3)
    with torch.device("meta"):
        initctl.init_(net, rules=["*=ones"])
    assert (net.weight == 1).all()


def test_tensors_on_the_meta_device_are_refused_if_a_rule_would_fill_them():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with pytest.raises(initctl.FitError, match=r"0\.weight, 1\.weight.* meta device.*model\.to_empty\(device='cpu'\)"):
        initctl.init_(net, rules=["*.weight=normal"])
    net[1].to_empty(device="cpu")
    initctl.init_(net, rules=["1.*=zeros"])
    assert not net[1].weight.any()
    net.to_empty(device="cpu")
    initctl.init_(net, rules=["*=ones"])
    assert (net[0].weight == 1).all()


def test_nothing_is_changed_if_one_tensor_cannot_be_filled():
    state = {"a": torch.zeros(3), "b": torch.empty(3, device="meta")}
    with pytest.raises(initctl.FitError):
        initctl.init_(state, rules=["*=ones"])
    assert not state["a"].any()


def test_lazy_and_fake_tensors_are_refused():
    with pytest.raises(initctl.InputError, match="run the lazy modules once"):
        initctl.init_(nn.LazyLinear(3), rules=["*=zeros"])
    with FakeTensorMode():
        fake = nn.Linear(2, 2)
    with pytest.raises(initctl.InputError, match="is fake"):
        initctl.init_(fake, rules=["*=zeros"])


@pytest.mark.filterwarnings("ignore:.*quantiz.*", "ignore:.*nested.*", "ignore:Sparse")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: torch.zeros(3, 3).to_sparse(), "it is sparse"),
        (lambda: torch.zeros(3, 3).to_sparse_csr(), "it is sparse"),
        (lambda: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8), "it is quantized"),
        (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "it is nested"),
        (lambda: torch.zeros(3, dtype=torch.complex64).conj(), "conjugates"),
        (lambda: torch.zeros(6).as_strided((3, 3), (1, 1)), "share memory with each other"),
    ],
    ids=["sparse", "csr", "quantized", "nested", "conj", "overlapping"],
)
def test_a_special_tensor_is_left_alone_or_refused_with_the_reason(make, why):
    state = {"special": make(), "plain": torch.zeros(2)}
    initctl.init_(state, rules=["*=ones"])
    assert state["plain"].tolist() == [1, 1]
    with pytest.raises(initctl.FitError, match=why):
        initctl.init_(state, rules=["special=ones"])


def test_what_a_hook_computes_for_the_state_dict_is_refused():
    net = nn.Linear(2, 2)
    net._register_state_dict_hook(lambda module, state, *_: state.update(scaled=module.weight.detach() * 2))
    with pytest.raises(initctl.FitError, match="computes it for the state dict"):
        initctl.init_(net, rules=["scaled=ones"])


def test_a_nested_state_dict_is_refused_with_the_key_to_use():
    with pytest.raises(initctl.UsageError, match=r"tensors below model; give the inner one, \['model'\]"):
        initctl.init_({"model": {"w": torch.zeros(2)}, "step": 3}, rules=["*=ones"])


@pytest.mark.parametrize("model", ["net.safetensors", None, [torch.zeros(2)], torch.zeros(2)])
def test_anything_else_is_refused(model):
    with pytest.raises(TypeError, match="is neither a module nor a state dict"):
        initctl.init_(model, rules=["*=ones"])


@pytest.mark.parametrize("name", ["root", "component", "reset_optimizer", "rule", "in_place"])
def test_an_unknown_argument_is_refused(name):
    with pytest.raises(TypeError, match=f"unknown argument '{name}'"):
        initctl.init_(nn.Linear(2, 2), **{name: "x"})


def test_a_typo_in_a_rule_is_refused_and_names_what_is_near():
    with pytest.raises(initctl.FitError, match=r"matches no tensor; did you mean weight"):
        initctl.init_(nn.Linear(2, 2), rules=["wieght=ones"])
    with pytest.raises(initctl.UsageError, match="no rules given"):
        initctl.init_(nn.Linear(2, 2))


def test_the_plan_reports_but_does_not_serve_for_files(tmp_path: Path):
    plan = initctl.init_(network(), rules=RULES)
    assert str(plan).splitlines()[-1].startswith("initialize 6 tensors")
    assert plan.to_json()["format"] == "memory"
    assert "normal" in plan.recipe()
    for use in (
        lambda: plan.save(tmp_path / "plan.json"),
        lambda: initctl.apply(plan, tmp_path / "out.pt"),
        lambda: initctl.verify(plan),
        lambda: initctl.verify(plan, tmp_path / "out.pt"),
        lambda: initctl.changes(plan),
    ):
        with pytest.raises(initctl.UsageError, match=r"the plan is for a model in memory \(Sequential\)"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_events_report_the_engine_and_all_bytes():
    seen = []
    initctl.init_({"w": torch.zeros(1000, 1000)}, rules=["w=normal"], on_event=seen.append)
    assert type(seen[0]).__name__ == "Chosen"
    assert (seen[-1].done, seen[-1].total) == (4_000_000, 4_000_000)


@pytest.mark.parametrize("save", ["torch", "safetensors"])
def test_verify_holds_for_the_file_of_an_initialized_model(save, tmp_path: Path):
    model = Tied()
    initctl.init_(model, rules=["{embed,head}.weight=normal", "body.weight=orthogonal", "*.bias=zeros"], seed=4)
    path = tmp_path / "model"
    rules = ["body.weight=orthogonal", "*.bias=zeros"]
    if save == "torch":
        torch.save(model.state_dict(), path)
        rules.append("{embed,head}.weight=normal")
    else:
        save_model(model, path)
        rules.append("embed.weight=normal")
    assert initctl.verify(path, rules=rules, seed=4)
    assert not initctl.verify(path, rules=rules, seed=5)


def test_a_recipe_with_new_sizes_is_refused(tmp_path: Path):
    (tmp_path / "r.toml").write_text('rows = { "weight" = 3 }\nrule = [{ match = "*", init = "zeros" }]\n')
    with pytest.raises(initctl.UsageError, match=r"r\.toml: asks for other sizes .* a model in memory cannot get"):
        initctl.init_(nn.Linear(2, 2), recipes=[tmp_path / "r.toml"])
