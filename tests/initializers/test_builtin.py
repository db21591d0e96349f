"""The table: every initializer that torch has, and promises that all of them keep."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from initctl.initializers import Fans
from initctl.initializers.builtin import BUILTIN
from initctl.initializers.constant import Diagonals
from initctl.rules import parse_rule
from initctl.stream import Constant, Revision, WholeFill
from tests.initializers.running import DRAWS, fill_of, resolve

TORCH = {name: function for name, function in vars(torch.nn.init).items() if name.endswith("_") and name[0] != "_"}
BY_NAME = {initializer.name: initializer for initializer in BUILTIN}
NOT_OURS = {"tensor", "generator"}
CONVOLUTIONS = {"dirac", "delta_orthogonal"}

FROM_OLD_VALUES = {"scale", "perturb", "reinit", "copy", "mean_rows", "match_stats", "permute_rows"}
"""They have tests of their own."""

builtins = pytest.mark.parametrize(
    "initializer", [i for i in BUILTIN if i.name not in FROM_OLD_VALUES], ids=lambda initializer: initializer.name
)


def shape_for(name):
    return (4, 3, 3) if name in CONVOLUTIONS else (20, 6)


def example_of(initializer, draws=DRAWS):
    """What an initializer's own example fills a small tensor with, and the number of its elements."""
    shape = shape_for(initializer.name)
    return fill_of(initializer.example.partition("=")[2], shape, draws=draws), int(np.prod(shape))


@pytest.mark.parametrize("name", TORCH)
def test_every_initializer_of_torch_has_its_name_parameters_and_defaults_here(name):
    ours = {parameter.name: parameter for parameter in BY_NAME[name.removesuffix("_")].parameters}
    theirs = inspect.signature(TORCH[name]).parameters
    for parameter in (p for p in theirs.values() if p.name not in NOT_OURS):
        is_required = parameter.default is inspect.Parameter.empty
        assert ours[parameter.name].required == is_required
        if not is_required:
            assert ours[parameter.name].default == parameter.default


@pytest.mark.parametrize(
    ("alias", "name"),
    [(f"{person}_{law}", f"{method}_{law}") for law in ("normal", "uniform") for person, method in
     (("glorot", "xavier"), ("he", "kaiming"))],
)  # fmt: skip
def test_initializers_answer_to_the_name_of_their_inventor(alias, name):
    assert resolve(alias, (6, 4)) == resolve(name, (6, 4))


@pytest.mark.parametrize("initializer", BUILTIN, ids=lambda initializer: initializer.name)
def test_each_can_be_told_and_its_example_is_a_rule_of_it(initializer):
    assert all((initializer.summary, initializer.formula, initializer.source))
    assert parse_rule(initializer.example, "example").call.name == initializer.name


@builtins
def test_each_says_what_it_does_and_where_it_comes_from(initializer):
    assert initializer.summary
    assert initializer.formula
    assert initializer.source.startswith(("torch.nn.init.", "jax.nn.initializers."))
    assert parse_rule(initializer.example, "example").call.name == initializer.name


@builtins
@given(st.data())
def test_the_same_element_has_the_same_value_whatever_range_it_is_asked_for_in(initializer, data):
    fill, count = example_of(initializer)
    start, stop = sorted((data.draw(st.integers(0, count)), data.draw(st.integers(0, count))))
    np.testing.assert_array_equal(fill.values(DRAWS, start, stop), fill.values(DRAWS, 0, count)[start:stop])


@builtins
def test_values_depend_on_the_draws_but_for_constants_and_diagonals(initializer):
    fill, count = example_of(initializer)
    other = type(DRAWS).of(1, "other")
    is_changed = (fill.values(DRAWS, 0, count) != example_of(initializer, other)[0].values(other, 0, count)).any()
    assert is_changed == (not isinstance(fill, Constant | Diagonals))


@builtins
def test_no_value_is_larger_than_declared(initializer):
    fill, count = example_of(initializer)
    declared = resolve(initializer.example.partition("=")[2], shape_for(initializer.name)).fill.largest
    assert np.abs(fill.values(DRAWS, 0, count)).max() <= min(fill.largest, declared) * (1 + 1e-6)


@builtins
def test_all_values_but_constants_are_float32(initializer):
    fill, count = example_of(initializer)
    if not isinstance(fill, Constant):
        assert fill.values(DRAWS, 0, count).dtype == np.float32


def test_those_that_need_the_whole_tensor_say_so():
    calls = {name: initializer.example.partition("=")[2] for name, initializer in BY_NAME.items()}
    fills = {name: resolve(call, shape_for(name)).fill for name, call in calls.items() if name != "mean_rows"}
    assert {name for name, fill in fills.items() if isinstance(fill, Revision)} == FROM_OLD_VALUES - {"mean_rows"}
    whole = {name: fill for name, fill in fills.items() if isinstance(fill, WholeFill)}
    assert set(whole) == {"orthogonal", "delta_orthogonal", "sparse"}
    assert all(fill.workspace >= 4 * 20 for fill in whole.values())
    assert {name for name, fill in whole.items() if fill.flops} == {"orthogonal", "delta_orthogonal"}


def test_the_numbers_that_led_to_a_law_are_told():
    assert resolve("xavier_normal", (6, 4)).numbers == {**Fans(4, 6)._asdict(), "std": pytest.approx(0.2**0.5)}
    assert resolve("kaiming_uniform:mode=fan_out", (6, 4)).numbers == {"fan_out": 6, "bound": 1}
    assert resolve("trunc_normal:mean=1,std=0.5,cut=2", (6, 4)).numbers == {"a": 0, "b": 2}
    assert resolve("sparse:sparsity=0.5", (5, 2)).numbers == {"zeros_per_column": 3}
