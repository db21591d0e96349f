"""Constants, NaN, identity and Dirac's delta: torch's bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from initctl.errors import RuleError
from initctl.initializers import Unfit
from tests.initializers.running import resolve, stored, values

FLOATS = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
          "float8_e5m2fnuz"]  # fmt: skip
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4)]


def torch_bytes(initialize, shape, dtype, **parameters):
    """The bytes of a tensor after torch has initialized it."""
    tensor = initialize(torch.empty(shape, dtype=getattr(torch, dtype)), **parameters)
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("val", [2**64 - 1, 2**64, 10**300, -(10**300)])
def test_a_whole_constant_of_any_size_is_torchs_bytes_in_float64(val):
    initialize = torch.nn.init.constant_
    assert stored(f"constant:val={val}", (3,), "float64") == torch_bytes(initialize, (3,), "float64", val=float(val))
    assert values(f"constant:val={val}", (3,)).dtype != object


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bool", "complex64"])
def test_zeros_and_ones_are_torchs_bytes(dtype, shape):
    assert stored("zeros", shape, dtype) == torch_bytes(torch.nn.init.zeros_, shape, dtype)
    assert stored("ones", shape, dtype) == torch_bytes(torch.nn.init.ones_, shape, dtype)


@pytest.mark.parametrize("val", [0.3, -0.0, 1e-7, -17.25, 100, 1 / 3, 3.1415926535897932])
@pytest.mark.parametrize("dtype", [*FLOATS, "complex64"])
def test_a_constant_is_torchs_bytes_in_every_float_type(dtype, val):
    assert stored(f"constant:val={val!r}", (3,), dtype) == torch_bytes(torch.nn.init.constant_, (3,), dtype, val=val)


@pytest.mark.parametrize("dtype", [*FLOATS, "float8_e8m0fnu"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nan_is_torchs_bytes(dtype, shape):
    assert stored("nan", shape, dtype) == torch_bytes(torch.Tensor.fill_, shape, dtype, value=math.nan)


@pytest.mark.parametrize("dtype", ["complex32", "complex64", "complex128"])
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_both_parts_of_a_complex_element_are_nan(dtype):
    both = complex(math.nan, math.nan)
    assert stored("nan", (3,), dtype) == torch_bytes(torch.Tensor.fill_, (3,), dtype, value=both)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 1 / 3, 1e-5, 0.999999, 1e-300, 5e-324, 1 - 2**-53])
def test_a_sigmoid_of_a_bias_from_prob_is_the_probability(p):
    (val,) = resolve(f"bias_from_prob:p={p!r}", (6,)).numbers.values()
    bias = torch.tensor(val, dtype=torch.float64)
    assert torch.sigmoid(bias).item() == pytest.approx(p, rel=1e-4)
    assert torch.sigmoid(-bias).item() == pytest.approx(1 - p, rel=1e-4)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.99, 1e-6])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_bias_from_prob_has_the_bytes_that_its_formula_gives_in_torch(p, dtype):
    val = -math.log((1 - p) / p)
    assert stored(f"bias_from_prob:p={p}", (9,), dtype) == torch_bytes(torch.nn.init.constant_, (9,), dtype, val=val)


def test_a_bias_from_prob_is_that_of_a_fresh_detector_of_transformers():
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    eights = [8, 8, 8]
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, *eights], depths=[1] * 4, layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = RTDetrConfig(
        backbone_config=backbone, encoder_hidden_dim=8, encoder_in_channels=eights, d_model=8, num_queries=3,
        decoder_in_channels=eights, encoder_attention_heads=2, encoder_ffn_dim=8, encoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=8, decoder_layers=1, initializer_bias_prior_prob=0.05, num_labels=4,
    )  # fmt: skip
    bias = RTDetrForObjectDetection(config).model.enc_score_head.bias.detach()
    assert stored("bias_from_prob:p=0.05", (4,)) == bias.numpy().tobytes()


def test_a_bias_from_prob_has_the_prior_of_the_paper_by_default():
    assert stored("bias_from_prob", (6,)) == stored("bias_from_prob:p=0.01", (6,))


@pytest.mark.parametrize("p", ["0", "1", "-0.5", "1.5", "1-1"])
def test_a_probability_that_no_sigmoid_gives_is_refused(p):
    with pytest.raises(RuleError, match=r"^p=.* is not a number above 0 and below 1$"):
        resolve(f"bias_from_prob:p={p}", (6,))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_whole_constant_is_torchs_bytes_in_every_integer_type(dtype):
    limits = torch.iinfo(getattr(torch, dtype))
    for val in (limits.min, limits.max, 7):
        assert stored(f"constant:val={val}", (3,), dtype) == torch_bytes(torch.nn.init.constant_, (3,), dtype, val=val)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 7), (7, 3), (1, 9), (9, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "complex64"])
def test_eye_is_torchs_bytes_whatever_side_is_longer(shape, dtype):
    assert stored("eye", shape, dtype) == torch_bytes(torch.nn.init.eye_, shape, dtype)


@pytest.mark.parametrize("kernel", [(3,), (4,), (3, 3), (2, 5), (1, 1), (4, 2), (3, 3, 3), (2, 3, 4)], ids=str)
@pytest.mark.parametrize(
    ("out", "into", "groups"), [(4, 4, 1), (6, 3, 1), (3, 6, 1), (6, 2, 3), (6, 5, 2), (6, 1, 6), (8, 8, 4), (1, 1, 1)]
)
def test_dirac_is_torchs_bytes_with_more_in_than_out_and_the_other_way_round(out, into, groups, kernel):
    shape = (out, into, *kernel)
    assert stored(f"dirac:groups={groups}", shape) == torch_bytes(torch.nn.init.dirac_, shape, "float32", groups=groups)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_dirac_is_torchs_bytes_in_any_shape(groups, outputs, into, kernel):
    shape = (groups * outputs, into, *kernel)
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    np.testing.assert_array_equal(values(f"dirac:groups={groups}", shape), expected)


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_dirac_is_torchs_bytes_in_other_types(dtype):
    assert stored("dirac:groups=2", (4, 3, 3), dtype) == torch_bytes(torch.nn.init.dirac_, (4, 3, 3), dtype, groups=2)


@pytest.mark.parametrize(
    ("call", "shape", "fault"),
    [
        ("eye", (3,), "an identity matrix has 2 dims, but it has 1"),
        ("eye", (3, 3, 3), "an identity matrix has 2 dims, but it has 3"),
        ("dirac", (3, 3), "the weight of a convolution has 3, 4 or 5 dims, but it has 2"),
        ("dirac", (1,) * 6, "the weight of a convolution has 3, 4 or 5 dims, but it has 6"),
        ("dirac:groups=4", (6, 3, 3), "its 6 output channels cannot be divided into 4 groups"),
        ("dirac:groups=7", (6, 3, 3), "its 6 output channels cannot be divided into 7 groups"),
    ],
)
def test_what_torch_refuses_does_not_fit(call, shape, fault):
    name, _, rest = call.partition(":groups=")
    with pytest.raises(ValueError):
        getattr(torch.nn.init, f"{name}_")(torch.empty(shape), *([int(rest)] if rest else []))
    with pytest.raises(Unfit, match=fault):
        resolve(call, shape)
