"""Constants, identity and Dirac's delta: torch's bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
