"""`param_init_fn` fills module by module what `init_` fills at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

import initctl
from tests.live.files import assert_same_bits, bits
from tests.live.sharded import fsdp1
from tests.live.test_models import Tied

if TYPE_CHECKING:
    from tests.ranks import Ranks

RULES = ["*.weight=normal:std=0.1/sqrt(2*layers)", "*.bias=uniform", "*.norm.weight=ones"]


class Layer(nn.Module):
    """A layer with a parameter of its own, beside modules with parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(7))
        self.fc = nn.Linear(6, 7)
        self.norm = nn.BatchNorm1d(7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.fc(x)) * self.scale


def network() -> nn.Module:
    return nn.ModuleDict({"layers": nn.Sequential(Layer(), Layer()), "head": nn.Linear(7, 3)})


COUNTS = [f"layers.{number}.norm.num_batches_tracked=zeros" for number in range(2)]
RULES_OF_ALL = [*RULES, "*.scale=normal", "*.running_mean=zeros", "*.running_var=ones", *COUNTS]


def on_meta(make: Any) -> nn.Module:
    with torch.device("meta"):
        return make()


def filled(model: nn.Module, **asked: Any) -> nn.Module:
    """`model`, once the function was called with each of its modules."""
    function = initctl.param_init_fn(model, device="cpu", **asked)
    for module in reversed(list(model.modules())):
        function(module)
    return model


def test_modules_that_come_one_by_one_get_the_bits_of_the_whole_model():
    whole = network()
    initctl.init_(whole, rules=RULES_OF_ALL, seed=3)
    one_by_one = filled(on_meta(network), rules=RULES_OF_ALL, seed=3)
    assert_same_bits(whole.state_dict(), one_by_one.state_dict())


def test_a_module_gets_its_own_tensors_only():
    model = on_meta(network)
    function = initctl.param_init_fn(model, device="cpu", rules=RULES_OF_ALL)
    function(model["layers"][0])
    assert not model["layers"][0].scale.is_meta
    assert model["layers"][0].fc.weight.is_meta
    assert {action.tensor.name for action in function.plan.actions} >= {"layers.0.fc.weight", "head.bias"}


def test_tensors_that_have_memory_are_filled_there():
    model = network()
    places = [parameter.data_ptr() for parameter in model.parameters()]
    filled(model, rules=RULES)
    assert [parameter.data_ptr() for parameter in model.parameters()] == places
    assert (model["layers"][1].norm.weight == 1).all()


def test_only_tensors_on_the_meta_device_get_new_memory():
    model = network()
    norm = model["layers"][0].norm
    norm.weight = nn.Parameter(norm.weight.to("meta"))
    norm.running_mean.fill_(7)
    norm.num_batches_tracked.fill_(9)
    filled(model, rules=["*.norm.weight=ones"], allow_partial=True)
    assert (norm.weight == 1).all()
    assert (norm.running_mean == 7).all()
    assert norm.num_batches_tracked == 9


def test_a_tensor_on_the_meta_device_that_no_rule_decides_is_refused_when_the_function_is_made():
    message = r"no rule decides layers\.0\.norm\.num_batches_tracked \(int64\).*, which must be filled"
    with pytest.raises(initctl.FitError, match=message):
        initctl.param_init_fn(on_meta(network), rules=[rule for rule in RULES_OF_ALL if rule not in COUNTS])
    initctl.param_init_fn(network(), rules=[rule for rule in RULES_OF_ALL if rule not in COUNTS])


def test_a_warning_names_buffers_on_the_meta_device_that_no_file_has():
    model = on_meta(network)
    model["head"].register_buffer("table", torch.empty(3, device="meta"), persistent=False)
    with pytest.warns(initctl.InitctlWarning, match=r"buffer head\.table: gets memory but no values"):
        initctl.param_init_fn(model, rules=RULES_OF_ALL)


@pytest.mark.parametrize("name", ["only", "missing", "on_event"])
def test_an_argument_of_init_alone_is_not_proposed(name: str):
    with pytest.raises(TypeError, match=f"unknown argument '{name}'(?!.*did you mean {name})"):
        initctl.param_init_fn(network(), rules=RULES, **{name: ["head.*"]})


def test_tied_tensors_get_equal_values():
    model = filled(on_meta(Tied), rules=["{embed,head}.weight=normal", "body.*=ones"])
    assert torch.equal(model.embed.weight, model.head.weight)
    assert model.embed.weight.any()


def test_a_typo_is_refused_when_the_function_is_made():
    with pytest.raises(initctl.FitError, match="matches no tensor"):
        initctl.param_init_fn(on_meta(network), rules=["heads.*=ones"])


def test_a_module_of_another_model_is_refused():
    function = initctl.param_init_fn(network(), rules=RULES)
    with pytest.raises(initctl.UsageError, match="Linear: is not a module of the model"):
        function(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rules": ["head.weight=scale:by=2"]}, "needs old values"),
        ({"rules": ["head.weight=normal"], "rng": "torch"}, "may come in any order"),
    ],
)
def test_what_depends_on_old_values_or_on_the_order_is_refused(asked, message):
    with pytest.raises(initctl.UsageError, match=message):
        initctl.param_init_fn(network(), **asked)


def sharded() -> dict[str, bytes]:
    """What a rank of FSDP gathers of a model whose modules were on the meta device."""
    model = on_meta(Layers)
    function = initctl.param_init_fn(model, rules=RULES, seed=3)
    wrapped = fsdp1(model, auto_wrap_policy=ModuleWrapPolicy({nn.Linear}), param_init_fn=function)
    with FullyShardedDataParallel.summon_full_params(wrapped):
        return {name.replace("_fsdp_wrapped_module.", ""): bits(p) for name, p in wrapped.named_parameters()}


class Layers(nn.Module):
    """Layers, and a head that comes after them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"fc": nn.Linear(6, 7), "norm": nn.LayerNorm(7)}) for _ in range(2))
        self.head = nn.Linear(7, 3)


def test_fsdp_materializes_a_model_on_the_meta_device_with_the_bits_of_the_whole_one(ranks: Ranks):
    whole = Layers()
    initctl.init_(whole, rules=RULES, seed=3)
    expected = {name: bits(parameter) for name, parameter in whole.named_parameters()}
    assert ranks.run(2, sharded) == [expected, expected]
