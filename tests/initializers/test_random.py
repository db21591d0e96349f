"""Uniform, normal and truncated normal against torch's samples."""

from __future__ import annotations

import math
import re

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from initctl.errors import RuleError
from initctl.initializers import Unfit
from initctl.initializers.random import unit_truncated_std
from initctl.initializers.scaling import UNIT_TRUNCATED_STD
from initctl.stream import TruncNormal, Uniform
from tests.initializers.running import resolve, stored, values
from tests.stream.goodness import p_value, p_value_of_two, truncated_cdf

MILLION = (1000, 1000)


def sample(initialize, *arguments, shape=MILLION, **parameters):
    """What torch draws, always the same."""
    return initialize(torch.empty(shape), *arguments, generator=torch.Generator().manual_seed(0), **parameters).numpy()


@pytest.mark.parametrize("arguments", [{}, {"a": -0.1, "b": 0.3}, {"a": 2, "b": 2.5}], ids=str)
def test_uniform_is_torchs_law(arguments):
    call = "uniform:" + ",".join(f"{key}={value}" for key, value in arguments.items())
    assert p_value_of_two(values(call.rstrip(":"), MILLION), sample(torch.nn.init.uniform_, **arguments)) > 1e-3


@pytest.mark.parametrize("arguments", [{}, {"std": 0.02}, {"mean": -1, "std": 3}], ids=str)
def test_normal_is_torchs_law(arguments):
    call = "normal:" + ",".join(f"{key}={value}" for key, value in arguments.items())
    assert p_value_of_two(values(call.rstrip(":"), MILLION), sample(torch.nn.init.normal_, **arguments)) > 1e-3


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"std": 0.02},
        {"mean": 0.1, "std": 0.5, "a": -0.2, "b": 0.9},
        {"a": 1, "b": 3},
        {"a": -3, "b": -1.5},
        {"std": 10, "a": -1, "b": 1},
    ],
    ids=str,
)
def test_trunc_normal_is_torchs_law_whichever_way_torch_draws_it(arguments):
    call = "trunc_normal:" + ",".join(f"{key}={value}" for key, value in arguments.items())
    assert p_value_of_two(values(call.rstrip(":"), MILLION), sample(torch.nn.init.trunc_normal_, **arguments)) > 1e-3


def test_torchs_default_bounds_are_absolute_and_cut_nothing_at_a_small_spread():
    assert resolve("trunc_normal:std=0.02", (2, 2)).law == TruncNormal(0, 0.02, -2, 2)
    assert resolve("trunc_normal:std=0.02", (2, 2)).law.outside == 0


@pytest.mark.parametrize(("mean", "std", "cut"), [(0, 0.02, 2), (1, 0.5, 1), (-3, 2, 0.1), (0, 1, 8)])
def test_cut_is_in_standard_deviations_from_the_mean(mean, std, cut):
    drawn = values(f"trunc_normal:mean={mean},std={std},cut={cut}", MILLION)
    a, b = mean - cut * std, mean + cut * std
    assert a <= drawn.min()
    assert drawn.max() <= b
    assert p_value(drawn, truncated_cdf(mean, std, a, b)) > 1e-3


@pytest.mark.parametrize("cut", [1e-3, 0.01, 0.3, 0.999, 1, 1.001, 2, 3, 6, 40])
def test_the_std_of_a_cut_law_is_scipys(cut):
    assert unit_truncated_std(cut) == pytest.approx(stats.truncnorm.std(-cut, cut), rel=1e-7 if cut < 0.1 else 1e-12)


@pytest.mark.parametrize("cut", [1e-300, 1e-12, 1e-6])
def test_the_std_of_a_law_cut_close_to_its_mean_is_that_of_a_uniform_one(cut):
    assert unit_truncated_std(cut) == pytest.approx(cut / math.sqrt(3), rel=1e-12)


@pytest.mark.parametrize("cut", [0.7, 0.9999999, 1, 1.0000001])
def test_the_std_of_a_cut_law_does_not_jump_where_its_formula_changes(cut):
    with mpmath.workdps(40):
        exact = mpmath.mpf(cut)
        density = mpmath.exp(-exact * exact / 2) * mpmath.sqrt(2 / mpmath.pi)
        expected = float(mpmath.sqrt(1 - exact * density / mpmath.erf(exact / mpmath.sqrt(2))))
    assert unit_truncated_std(cut) == pytest.approx(expected, rel=2e-15)


def test_the_std_of_a_cut_law_is_what_jax_divides_by():
    assert unit_truncated_std(2) == pytest.approx(UNIT_TRUNCATED_STD, rel=1e-15)


@pytest.mark.parametrize("cut", [1e308, 10**300, 100])
def test_a_cut_that_cuts_nothing_leaves_the_std(cut):
    assert unit_truncated_std(cut) == 1


@pytest.mark.parametrize(("mean", "std", "cut"), [(0, 0.02, 2), (1, 0.5, 1), (-3, 2, 0.1), (0, 1, 3), (0, 1, 1e-3)])
def test_var_correct_gives_exactly_the_std_that_was_asked_for(mean, std, cut):
    call = f"trunc_normal:mean={mean},std={std},cut={cut},var_correct=true"
    wide = std / stats.truncnorm.std(-cut, cut)
    law = resolve(call, MILLION).law
    assert (law.mean, law.std) == (mean, pytest.approx(wide, rel=1e-7))
    assert (law.a, law.b) == pytest.approx((mean - cut * wide, mean + cut * wide))
    drawn = values(call, MILLION)
    assert drawn.std(dtype=np.float64) == pytest.approx(std, rel=2e-3)
    assert p_value(drawn, truncated_cdf(mean, wide, mean - cut * wide, mean + cut * wide)) > 1e-3


def test_var_correct_at_two_is_jaxs_truncated_normal():
    scaled = "variance_scaling:scale=1,mode=fan_in,distribution=truncated_normal"
    ours, jaxs = (values(call, (50, 100)) for call in ("trunc_normal:std=0.1,cut=2,var_correct=true", scaled))
    np.testing.assert_allclose(ours, jaxs, rtol=1e-6)


def test_var_correct_changes_nothing_unless_it_is_true():
    assert resolve("trunc_normal:cut=2,var_correct=false", (2,)) == resolve("trunc_normal:cut=2", (2,))


def test_var_correct_of_a_law_without_spread_is_its_one_value():
    assert set(values("trunc_normal:mean=3,std=0,cut=2,var_correct=true", (2,)).tolist()) == {3}


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("trunc_normal:std=0", 0),
        ("trunc_normal:mean=5,std=0", 2),
        ("trunc_normal:mean=-5,std=0", -2),
        ("trunc_normal:mean=1,cut=0", 1),
        ("trunc_normal:a=0.5,b=0.5", 0.5),
        ("uniform:a=3,b=3", 3),
        ("normal:mean=3,std=0", 3),
    ],
)
def test_a_law_without_spread_is_its_one_value(call, value):
    assert set(values(call, (2, 3)).reshape(-1).tolist()) == {value}


def test_a_truncated_law_without_spread_is_one_float32_number():
    assert resolve("trunc_normal:mean=5,std=0", (2,)).law == Uniform(2, 2)


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("uniform:a=2", "a=2 is greater than b=1"),
        ("uniform:b=-0.5", "a=0 is greater than b=-0.5"),
        ("trunc_normal:a=3", "a=3 is greater than b=2"),
        ("trunc_normal:b=-2.5", "a=-2 is greater than b=-2.5"),
        ("trunc_normal:a=1,b=0", "a=1 is greater than b=0"),
        ("trunc_normal:cut=2,a=-1", "trunc_normal accepts cut, or a and b, but not both"),
        ("trunc_normal:cut=2,b=1", "trunc_normal accepts cut, or a and b, but not both"),
        ("trunc_normal:var_correct=true", "var_correct has no effect without cut; add cut=2"),
        ("trunc_normal:a=-1,b=1,var_correct=true", "var_correct has no effect without cut"),
        ("trunc_normal:var_correct=false", "var_correct has no effect without cut"),
        ("trunc_normal:cut=0,var_correct=true", "cut=0 leaves no variance for var_correct to correct"),
        ("trunc_normal:cut=2,var_correct=yes", "var_correct=yes is not one of false, true"),
        ("normal:std=-1", "std='-1' is not a number of 0 or more"),
        ("trunc_normal:cut=-1", "cut='-1' is not a number of 0 or more"),
        ("normal:std=nan", "std=nan: nan is not a finite number"),
        ("normal:mean=inf", "mean=inf: inf is not a finite number"),
    ],
)
def test_arguments_that_make_no_law_are_refused_before_any_tensor_is_seen(call, fault):
    with pytest.raises(RuleError, match=re.escape(fault)):
        resolve(call, (2, 2))


@pytest.mark.parametrize(
    "call",
    [
        "trunc_normal:a=13,b=20",
        "trunc_normal:std=0.01,a=1",
        "trunc_normal:mean=100",
        "trunc_normal:std=1e6,a=-0.01,b=0.01",
        "trunc_normal:cut=1e-9",
        "trunc_normal:cut=1e-9,var_correct=true",
        "trunc_normal:cut=1e-310,var_correct=true",
        "trunc_normal:cut=5e-324,var_correct=true",
        "trunc_normal:cut=1e308,std=100,var_correct=true",
        f"trunc_normal:cut=1{'0' * 308},std=100",
        "trunc_normal:std=100,cut=1e308",
        "trunc_normal:mean=0.1,std=1e-10,cut=2",
        "trunc_normal:mean=1e39,std=1e38,a=0,b=1e38",
    ],
)
def test_an_interval_that_float32_cannot_resolve_does_not_fit(call):
    with pytest.raises(Unfit, match="is too far away, too narrow or too wide for std="):
        resolve(call, (2, 2))


@pytest.mark.parametrize("call", ["normal:std=0.02", "uniform:a=-1", "trunc_normal:std=0.5,cut=2"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float64"])
def test_another_float_type_holds_the_rounded_float32_values(call, dtype):
    float32 = torch.frombuffer(bytearray(stored(call, (8, 8))), dtype=torch.float32)
    rounded = float32.to(getattr(torch, dtype)).view(torch.uint8).numpy()
    np.testing.assert_array_equal(np.frombuffer(stored(call, (8, 8), dtype), np.uint8), rounded)
