"""The table: every initializer that torch has, and promises that all of them keep."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from initctl.initializers.builtin import BUILTIN, LAWS
from initctl.rules import parse_rule
from initctl.stream import Constant, Deterministic, WholeLaw
from initctl.tensors import Fans
from tests.initializers.running import DRAWS, fill_of, resolve

TORCH = {name: function for name, function in vars(torch.nn.init).items() if name.endswith("_") and name[0] != "_"}
BY_NAME = {initializer.name: initializer for initializer in BUILTIN}
NOT_OURS = {"tensor", "generator"}
SHAPES = {"dirac": (4, 3, 3), "delta_orthogonal": (4, 3, 3), "lstm_bias": (12,)}

builtins = pytest.mark.parametrize("initializer", BUILTIN, ids=lambda initializer: initializer.name)
laws = pytest.mark.parametrize("initializer", LAWS, ids=lambda initializer: initializer.name)
"""Those whose values depend on nothing that a tensor holds."""


def shape_for(name):
    return SHAPES.get(name, (20, 6))


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


@builtins
def test_each_says_what_it_does_and_where_it_comes_from(initializer):
    assert initializer.summary
    assert initializer.formula
    assert re.search(r"\w[./]\w", initializer.source)  # a module or a repository, not a paper alone
    assert parse_rule(initializer.example, "example").call.name == initializer.name


@laws
@given(st.data())
def test_the_same_element_has_the_same_value_whatever_range_it_is_asked_for_in(initializer, data):
    law, count = example_of(initializer)
    start, stop = sorted((data.draw(st.integers(0, count)), data.draw(st.integers(0, count))))
    np.testing.assert_array_equal(law.values(DRAWS, start, stop), law.values(DRAWS, 0, count)[start:stop])


@laws
def test_values_depend_on_the_draws_but_for_those_that_are_declared_not_to(initializer):
    law, count = example_of(initializer)
    other = type(DRAWS).of(1, "other")
    here, there = law.values(DRAWS, 0, count), example_of(initializer, other)[0].values(other, 0, count)
    assert np.array_equal(here, there, equal_nan=True) == isinstance(law, Deterministic)


@laws
def test_no_value_is_larger_than_declared(initializer):
    law, count = example_of(initializer)
    declared = resolve(initializer.example.partition("=")[2], shape_for(initializer.name)).law.largest
    assert not (np.abs(law.values(DRAWS, 0, count)) > min(law.largest, declared) * (1 + 1e-6)).any()


@laws
def test_all_values_but_constants_are_float32(initializer):
    law, count = example_of(initializer)
    if not isinstance(law, Constant):
        assert law.values(DRAWS, 0, count).dtype == np.float32


def test_those_that_need_the_whole_tensor_say_so():
    calls = {
        name: initializer.example.partition("=")[2] for name, initializer in BY_NAME.items() if initializer in LAWS
    }
    laws = {name: resolve(call, shape_for(name)).law for name, call in calls.items()}
    whole = {name: law for name, law in laws.items() if isinstance(law, WholeLaw)}
    assert set(whole) == {"orthogonal", "delta_orthogonal", "sparse"}
    assert all(law.workspace >= 4 * 20 for law in whole.values())
    assert {name for name, law in whole.items() if law.flops} == {"orthogonal", "delta_orthogonal"}


def test_the_numbers_that_led_to_a_law_are_told():
    assert resolve("xavier_normal", (6, 4)).numbers == {**Fans(4, 6)._asdict(), "std": pytest.approx(0.2**0.5)}
    assert resolve("spectral", (9, 4)).numbers == {**Fans(4, 9)._asdict(), "std": 0.5}
    assert resolve("bias_from_prob", (6,)).numbers == {"val": pytest.approx(-4.59511985)}
    assert resolve("kaiming_uniform:mode=fan_out", (6, 4)).numbers == {"fan_out": 6, "bound": 1}
    assert resolve("trunc_normal:mean=1,std=0.5,cut=2", (6, 4)).numbers == {"a": 0, "b": 2}
    assert resolve("sparse:sparsity=0.5", (5, 2)).numbers == {"zeros_per_column": 3}
    assert resolve("zero_hadamard", (5, 2)).numbers == {"scale": pytest.approx(8**-0.5)}


def test_numbers_that_differ_between_parts_are_told_for_each():
    told = resolve("xavier_normal:split=4:1:1", (6, 2)).numbers
    assert told == {
        "fan_in": 2, "fan_out[0]": 4, "fan_out[1]": 1, "fan_out[2]": 1,
        "std[0]": pytest.approx((2 / 6) ** 0.5), "std[1]": pytest.approx((2 / 3) ** 0.5), "std[2]": told["std[1]"],
    }  # fmt: skip
    assert resolve("kaiming_normal:split=4:1:1", (6, 2)).numbers == {"fan_in": 2, "std": 1}
