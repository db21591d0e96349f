"""Laws scaled by fans: torch's for every mode and nonlinearity, jax's formulas for the rest."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from initctl.errors import RuleError
from initctl.initializers import Unfit
from initctl.initializers.fans import weights
from initctl.initializers.scaling import (
    DISTRIBUTIONS,
    GELU_GAIN,
    MODES,
    NONLINEARITIES,
    SCALING_MODES,
    SILU_GAIN,
    UNIT_TRUNCATED_STD,
    calculate_gain,
)
from initctl.stream import Normal, TruncNormal, Uniform
from tests.initializers.running import DRAWS, resolve, values
from tests.stream.goodness import p_value, p_value_of_two, truncated_cdf

SHAPE = (200, 100, 5, 10)
LARGE = (1000, 1000)
OF_TORCH = [name for name in NONLINEARITIES if name not in ("gelu", "silu")]
SLOPES = [0, 0.01, 0.2, math.sqrt(5), -0.3, 1, 100]


def sample(initialize, shape=SHAPE, **parameters):
    """What torch draws, always the same."""
    return initialize(torch.empty(shape), generator=torch.Generator().manual_seed(0), **parameters).numpy()


def assert_same_moments(ours, theirs):
    assert ours.shape == theirs.shape
    spread = theirs.std(dtype=np.float64)
    assert ours.mean(dtype=np.float64) == pytest.approx(0, abs=4e-3 * spread)
    assert ours.std(dtype=np.float64) == pytest.approx(spread, rel=4e-3)


def test_every_nonlinearity_of_torch_is_known_and_two_that_it_does_not_know():
    assert set(OF_TORCH) == set(get_args(torch.nn.init._NonlinearityType))
    assert set(NONLINEARITIES) == {*OF_TORCH, "gelu", "silu"}


@pytest.mark.parametrize("nonlinearity", OF_TORCH)
@pytest.mark.parametrize("slope", SLOPES)
def test_gains_are_torchs(nonlinearity, slope):
    assert calculate_gain(nonlinearity, slope) == torch.nn.init.calculate_gain(nonlinearity, slope)


@pytest.mark.parametrize(
    ("function", "gain"),
    [
        (lambda z: z * special.ndtr(z), GELU_GAIN),
        (lambda z: z * special.expit(z), SILU_GAIN),
        (lambda z: max(z, 0), math.sqrt(2)),
    ],
    ids=["gelu", "silu", "relu"],
)
def test_a_gain_undoes_what_the_nonlinearity_takes_off_the_second_moment_of_a_normal_variable(function, gain):
    moment, _ = integrate.quad(
        lambda z: function(z) ** 2 * stats.norm.pdf(z), -40, 40, points=[-6, 0, 6], epsabs=1e-12, epsrel=1e-12
    )
    assert gain == pytest.approx(moment**-0.5, rel=1e-12)


def test_the_gain_of_gelu_has_a_closed_form():
    moment = 1 / 3 + 1 / (2 * math.pi * math.sqrt(3))
    assert moment**-0.5 == pytest.approx(GELU_GAIN, rel=1e-15)


@pytest.mark.parametrize(("nonlinearity", "gain"), [("gelu", GELU_GAIN), ("silu", SILU_GAIN)])
def test_a_layer_initialized_for_gelu_or_silu_keeps_the_second_moment_of_its_input(nonlinearity, gain):
    resolved = resolve(f"kaiming_normal:nonlinearity={nonlinearity}", (512, 2048))
    assert resolved.law == Normal(0, gain / math.sqrt(2048))
    weight = torch.from_numpy(values(f"kaiming_normal:nonlinearity={nonlinearity}", (512, 2048)))
    before = torch.randn(4096, 2048, generator=torch.Generator().manual_seed(0))
    after = getattr(torch.nn.functional, nonlinearity)(before) @ weight.T
    assert after.square().mean().item() == pytest.approx(1, rel=2e-2)


@pytest.mark.parametrize("nonlinearity", OF_TORCH)
@pytest.mark.parametrize("mode", MODES)
def test_kaiming_is_torchs_in_every_mode_for_every_nonlinearity(mode, nonlinearity):
    call = f":a=0.3,mode={mode},nonlinearity={nonlinearity}"
    parameters = {"a": 0.3, "mode": mode, "nonlinearity": nonlinearity}
    normal = values("kaiming_normal" + call, SHAPE)
    assert_same_moments(normal, sample(torch.nn.init.kaiming_normal_, **parameters))
    uniform, expected = values("kaiming_uniform" + call, SHAPE), sample(torch.nn.init.kaiming_uniform_, **parameters)
    assert_same_moments(uniform, expected)
    assert np.abs(uniform).max() == pytest.approx(np.abs(expected).max(), rel=1e-4)


@pytest.mark.parametrize("gain", [1, 0.5, 5 / 3])
def test_xavier_is_torchs_for_any_gain(gain):
    assert_same_moments(values(f"xavier_normal:gain={gain}", SHAPE), sample(torch.nn.init.xavier_normal_, gain=gain))
    uniform, expected = values(f"xavier_uniform:gain={gain}", SHAPE), sample(torch.nn.init.xavier_uniform_, gain=gain)
    assert_same_moments(uniform, expected)
    assert np.abs(uniform).max() == pytest.approx(np.abs(expected).max(), rel=1e-4)


@pytest.mark.parametrize("name", ["xavier_normal", "xavier_uniform", "kaiming_normal", "kaiming_uniform"])
def test_the_whole_distribution_is_torchs(name):
    assert p_value_of_two(values(name, SHAPE), sample(getattr(torch.nn.init, f"{name}_"))) > 1e-3


def test_torchs_default_for_linear_layers_is_one_over_the_root_of_fan_in():
    bound = resolve("kaiming_uniform:a=2.23606797749979", (30, 64)).numbers["bound"]
    assert bound == pytest.approx(1 / math.sqrt(64))


@pytest.mark.parametrize("a", ["1e200", "-1e308", "1" + "0" * 300])
def test_a_slope_whose_square_overflows_gives_a_gain_of_0(a):
    assert resolve(f"kaiming_normal:a={a}", (4, 4)).law == Normal(0, 0)


@pytest.mark.parametrize(
    ("mode", "fan"), [("fan_in", 5000), ("fan_out", 10000), ("fan_avg", 7500), ("fan_geo_avg", math.sqrt(5e7))]
)
@pytest.mark.parametrize("scale", [1, 2, 0.1])
def test_variance_scaling_has_the_variance_scale_over_fan_whatever_the_distribution(mode, fan, scale):
    for distribution in DISTRIBUTIONS:
        drawn = values(f"variance_scaling:scale={scale},mode={mode},distribution={distribution}", SHAPE)
        assert drawn.var(dtype=np.float64) == pytest.approx(scale / fan, rel=5e-3)


def of_nanotron(gain, fan_in, fan_out):
    """`_compute_spectral_std` of nanotron's scaling/parametrization.py."""
    return (gain / math.sqrt(fan_in)) * min(1, math.sqrt(fan_out / fan_in))


@pytest.mark.parametrize("shape", [(64, 64), (64, 256), (256, 64), (1, 9), (9, 1), (8, 4, 3, 3), (4, 8, 3)], ids=str)
@pytest.mark.parametrize("gain", [1, 0.5, 0])
def test_spectral_is_that_of_nanotron(shape, gain):
    (fans,) = (weight.fans for weight in weights(shape))
    resolved = resolve(f"spectral:gain={gain}", shape)
    assert resolved.law == Normal(0, of_nanotron(gain, *fans))
    assert resolved.numbers == {**fans._asdict(), "std": resolved.law.std}


@pytest.mark.parametrize("width", [64, 256, 1024])
@pytest.mark.parametrize("ratio", [0.25, 1, 4])
def test_a_spectral_matrix_has_a_spectral_norm_of_the_size_that_the_paper_demands_at_every_width(width, ratio):
    outputs = int(width * ratio)
    norm = np.linalg.norm(values("spectral", (outputs, width)), 2)
    assert 1 <= norm / math.sqrt(outputs / width) <= 3.1  # sqrt(fan_out / fan_in) times a constant


def test_spectral_takes_the_arrangement_of_a_weight_as_others_do():
    assert resolve("spectral:layout=io", (4, 16)).law == resolve("spectral", (16, 4)).law
    assert resolve("spectral:layout=boi", (5, 16, 4)).law == resolve("spectral", (16, 4)).law
    assert resolve("spectral:groups=2", (8, 4, 3)).law == resolve("spectral", (4, 4, 3)).law
    assert resolve("spectral:transposed=true", (4, 16, 3)).law == resolve("spectral", (16, 4, 3)).law
    numbers = resolve("spectral:split=1:3", (4, 9)).numbers
    assert numbers == {
        "fan_in": 9, "fan_out[0]": 1, "fan_out[1]": 3,
        "std[0]": pytest.approx(1 / 9), "std[1]": pytest.approx(math.sqrt(3) / 9),
    }  # fmt: skip


def test_variance_scaling_has_the_modes_and_distributions_of_jax():
    assert SCALING_MODES == ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
    assert DISTRIBUTIONS == ("truncated_normal", "normal", "uniform")


def test_the_laws_of_variance_scaling_are_jaxs():
    std = math.sqrt(2 / 100)
    call = "variance_scaling:scale=2,mode=fan_in,distribution="
    assert resolve(call + "normal", (50, 100)).law == Normal(0, std)
    assert resolve(call + "uniform", (50, 100)).law == Uniform(-math.sqrt(3) * std, math.sqrt(3) * std)
    wide = std / 0.87962566103423978
    assert resolve(call + "truncated_normal", (50, 100)).law == TruncNormal(0, wide, -2 * wide, 2 * wide)


def test_jaxs_correction_is_the_standard_deviation_of_a_normal_cut_at_two():
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    assert math.sqrt(1 - 4 * density / math.erf(math.sqrt(2))) == pytest.approx(UNIT_TRUNCATED_STD, rel=1e-14)


def test_lecun_normal_is_cut_at_two_standard_deviations_and_keeps_its_variance():
    drawn = values("lecun_normal", LARGE)
    wide = 1 / math.sqrt(1000) / 0.87962566103423978
    assert drawn.std(dtype=np.float64) == pytest.approx(1 / math.sqrt(1000), rel=4e-3)
    assert np.abs(drawn).max() <= 2 * wide
    assert p_value(drawn, truncated_cdf(0, wide, -2 * wide, 2 * wide)) > 1e-3


def test_lecun_uniform_has_the_variance_one_over_fan_in():
    assert resolve("lecun_uniform", (7, 12)).numbers == {"fan_in": 12, "bound": pytest.approx(0.5)}


def test_a_scale_of_0_gives_zeros():
    for distribution in DISTRIBUTIONS:
        assert not values(f"variance_scaling:scale=0,mode=fan_in,distribution={distribution}", (4, 4)).any()


SCALED = ["xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "lecun_uniform", "lecun_normal",
          "variance_scaling:scale=1,mode=fan_avg,distribution=normal"]  # fmt: skip


@pytest.mark.parametrize("call", SCALED)
@pytest.mark.parametrize(("shape", "layout"), [((20, 30), "io"), ((4, 20, 30), "boi"), ((3, 5, 20, 30), "kkio")])
def test_a_layout_gives_the_law_of_the_tensor_in_torchs_order(call, shape, layout):
    (weight,) = weights(shape, layout=layout)
    fan_in, fan_out = weight.fans
    with_layout = f"{call}{',' if ':' in call else ':'}layout={layout}"
    assert resolve(with_layout, shape) == resolve(call, (fan_out, fan_in))


def with_arguments(call, arguments):
    return f"{call}{',' if ':' in call else ':'}{arguments}"


@pytest.mark.parametrize("call", SCALED)
@pytest.mark.parametrize(
    ("shape", "arguments", "alone"),
    [
        ((60, 30), "split=3", (20, 30)),
        ((30, 60), "layout=io,split=3", (20, 30)),
        ((24, 5, 3), "groups=4", (6, 5, 3)),
        ((24, 5, 3), "groups=4,transposed=true", (5, 6, 3)),
        ((24, 5, 3), "transposed=true", (5, 24, 3)),
    ],
)
def test_groups_and_equal_parts_have_the_law_of_one_of_them_alone(call, shape, arguments, alone):
    assert resolve(with_arguments(call, arguments), shape) == resolve(call, alone)


UNEQUAL = [call for call in SCALED if resolve(call, (4, 9)).law != resolve(call, (5, 9)).law]
"""Those whose law depends on the outputs."""


def test_most_laws_depend_on_the_inputs_alone():
    assert set(UNEQUAL) == {"xavier_uniform", "xavier_normal", SCALED[-1]}


@pytest.mark.parametrize("call", UNEQUAL)
@pytest.mark.parametrize(
    ("shape", "layout", "axis"), [((42, 30), "oi", 0), ((30, 42), "io", 1), ((3, 5, 42, 4), "biok", 2)], ids=str
)
def test_each_of_unequal_parts_has_its_own_law_at_its_place(call, shape, layout, axis):
    drawn = values(with_arguments(call, f"layout={layout},split=4:1:2"), shape)
    sizes = (24, 6, 12)
    for size, part, first in zip(sizes, np.split(drawn, np.cumsum(sizes)[:-1], axis), (0, 24, 30), strict=True):
        law = resolve(with_arguments(call, f"layout={layout}"), (*shape[:axis], size, *shape[axis + 1 :])).law
        everywhere = law.values(DRAWS, 0, drawn.size).reshape(shape)
        np.testing.assert_array_equal(part, everywhere.take(range(first, first + size), axis))


@pytest.mark.parametrize("call", UNEQUAL)
@given(st.integers(0, 42 * 6), st.integers(0, 42 * 6))
def test_an_element_of_a_part_has_the_same_value_whatever_range_it_is_asked_for_in(call, start, stop):
    start, stop = sorted((start, stop))
    law = resolve(with_arguments(call, "layout=io,split=4:1:2"), (6, 42)).law
    np.testing.assert_array_equal(law.values(DRAWS, start, stop), law.values(DRAWS, 0, 42 * 6)[start:stop])


@pytest.mark.parametrize("call", sorted(set(SCALED) - set(UNEQUAL)))
def test_unequal_parts_whose_laws_agree_have_one_law(call):
    assert resolve(with_arguments(call, "split=4:1:2"), (42, 30)) == resolve(call, (42, 30))


def test_fused_queries_keys_and_values_are_scaled_as_timm_scales_them():
    out, into = 192, 64
    bound = math.sqrt(6 / (out / 3 + into))  # timm/models/vision_transformer.py, init_weights_vit_moco
    assert resolve("xavier_uniform:split=3", (out, into)).numbers == {
        "fan_in": 64, "fan_out": 64, "bound": pytest.approx(bound),
    }  # fmt: skip


def test_a_gain_of_0_is_one_law_for_all_parts():
    assert resolve("xavier_normal:gain=0,split=2:1", (6, 4)).law == Normal(0, 0)


@pytest.mark.parametrize("call", SCALED)
def test_a_vector_has_no_fans_and_does_not_fit(call):
    with pytest.raises(Unfit, match="at least 2 dims"):
        resolve(call, (5,))


@pytest.mark.parametrize(
    "call",
    [
        "xavier_normal:gain=-1",
        "kaiming_normal:mode=fan_avg",
        "kaiming_normal:nonlinearity=mish",
        "kaiming_normal:nonlinearity=swish",
        "variance_scaling:scale=-1,mode=fan_in,distribution=normal",
        "variance_scaling:scale=1,mode=fan_in,distribution=cauchy",
        "variance_scaling:scale=1,mode=fan_in",
    ],
)
def test_arguments_that_make_no_law_are_refused(call):
    with pytest.raises(RuleError):
        resolve(call, (4, 4))
