"""The table of element types against torch, NumPy and what each type can hold."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
import torch

from initctl.dtypes import BY_NAME, BY_TAG, DTYPES, every_float_holds

FLOATS = [dtype for dtype in DTYPES if dtype.kind == "float"]
COMPLEX = [dtype for dtype in DTYPES if dtype.kind == "complex"]
INTEGERS = [dtype for dtype in DTYPES if dtype.kind == "integer"]
QUANTIZED = [dtype for dtype in DTYPES if dtype.kind == "quantized"]
IN_TORCH = [dtype for dtype in DTYPES if hasattr(torch, dtype.name)]

named = {"ids": lambda dtype: dtype.name}


def test_every_type_that_safetensors_stores_has_its_tag():
    assert set(BY_TAG) == {
        "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F4", "F6_E2M3", "F6_E3M2", "F8_E4M3", "F8_E5M2",
        "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "F16", "BF16", "F32", "F64", "C64",
    }  # fmt: skip


def test_types_that_only_torch_save_stores_have_no_tag():
    assert {dtype.name for dtype in DTYPES if dtype.tag is None} == {
        "complex32", "complex128", "qint8", "quint8", "qint32", "quint4x2", "quint2x4"
    }  # fmt: skip


def test_names_and_tags_are_unique():
    assert len(BY_NAME) == len(DTYPES)
    assert len(BY_TAG) == len([dtype for dtype in DTYPES if dtype.tag is not None])
    assert all(dtype.name == name for name, dtype in BY_NAME.items())
    assert all(dtype.tag == tag for tag, dtype in BY_TAG.items())


def test_only_packed_types_are_unknown_to_torch_by_name():
    assert {dtype.name for dtype in DTYPES if dtype not in IN_TORCH} == {
        dtype.name for dtype in DTYPES if dtype.kind == "packed"
    }


@pytest.mark.parametrize("dtype", IN_TORCH, **named)
def test_a_name_is_torchs_type_of_the_same_width_and_kind(dtype):
    theirs = getattr(torch, dtype.name)
    assert isinstance(theirs, torch.dtype)
    assert dtype.bits == {torch.quint4x2: 4, torch.quint2x4: 2}.get(theirs, 8 * theirs.itemsize)
    assert (dtype.is_floating or dtype.kind == "scale") == (theirs.is_floating_point or theirs.is_complex)
    assert (dtype.parts == 2) == theirs.is_complex


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX, BY_NAME["float8_e8m0fnu"]], **named)
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_the_nan_of_a_type_has_the_bits_of_torchs_fill(dtype):
    value = complex(math.nan, math.nan) if dtype in COMPLEX else math.nan
    filled = torch.empty(100, dtype=getattr(torch, dtype.name)).fill_(value)
    assert filled.isnan().all()
    written = dtype.nan.to_bytes(dtype.width, "little") * dtype.parts
    assert filled.view(torch.uint8).numpy().tobytes() == written * 100


def test_the_nan_of_a_type_is_nan_in_numpy_too():
    for dtype in (dtype for dtype in DTYPES if dtype.nan):
        assert np.isnan(np.frombuffer(dtype.nan.to_bytes(dtype.width, "little"), dtype.numpy)).all()


def test_types_of_integers_bools_and_less_than_a_byte_have_no_nan():
    assert {dtype.kind for dtype in DTYPES if not dtype.nan} == {"integer", "bool", "packed", "quantized"}
    assert {dtype.kind for dtype in DTYPES if dtype.nan} == {"float", "complex", "scale"}


@pytest.mark.parametrize("dtype", [dtype for dtype in IN_TORCH if dtype not in QUANTIZED], **named)
def test_the_numpy_type_is_one_part_of_an_element(dtype):
    assert dtype.numpy.itemsize * 8 * dtype.parts == dtype.bits


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype.kind == "packed"], **named)
def test_a_packed_type_is_narrower_than_a_byte_has_no_numpy_type_and_holds_nothing(dtype):
    assert dtype.bits < 8
    assert not dtype.holds(0)
    with pytest.raises(TypeError, match=f"^{dtype.name}: NumPy has no such type$"):
        _ = dtype.numpy


@pytest.mark.parametrize("dtype", QUANTIZED, **named)
def test_a_quantized_type_has_no_numpy_type_and_holds_nothing(dtype):
    assert not any(dtype.holds(value) for value in (0, 1, 0.5))
    with pytest.raises(TypeError, match=f"^{dtype.name}: NumPy has no such type$"):
        _ = dtype.numpy


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX], **named)
def test_the_largest_number_of_a_float_type_is_torchs(dtype):
    assert dtype.largest == torch.finfo(getattr(torch, dtype.name)).max


@pytest.mark.parametrize("dtype", INTEGERS, **named)
def test_the_largest_number_of_an_integer_type_is_torchs(dtype):
    assert dtype.largest == torch.iinfo(getattr(torch, dtype.name)).max


def test_the_largest_bool_is_1_and_the_largest_scale_a_power_of_two():
    assert BY_NAME["bool"].largest == 1
    assert BY_NAME["float8_e8m0fnu"].largest == 2.0**127


@pytest.mark.parametrize("dtype", FLOATS, **named)
def test_a_float_type_holds_what_rounds_to_a_finite_number(dtype):
    for value in (0, -0.0, 0.1, dtype.largest, -dtype.largest):
        assert dtype.holds(value)
    for value in (math.inf, -math.inf, math.nan):
        assert not dtype.holds(value)


@pytest.mark.parametrize("dtype", FLOATS, **named)
def test_a_float_type_does_not_hold_what_becomes_zero(dtype):
    assert dtype.holds(1e-300) == (dtype.name == "float64")
    smallest = float(np.nextafter(np.zeros((), dtype.numpy), dtype.numpy.type(1)))
    if dtype.name != "float64":
        assert dtype.holds(smallest)
        assert dtype.holds(smallest * 0.6)
        assert not dtype.holds(smallest * 0.4)


@pytest.mark.parametrize("dtype", [dtype for dtype in FLOATS if dtype.bits < 64], **named)
def test_a_float_type_holds_up_to_half_a_step_beyond_its_largest_number(dtype):
    half_a_step = dtype.largest - float(np.nextafter(np.array(dtype.largest, dtype.numpy), dtype.numpy.type(0)))
    half_a_step /= 2
    within = dtype.largest + half_a_step * 0.999
    assert dtype.holds(within)
    assert dtype.holds(-within)
    assert not dtype.holds(dtype.largest + half_a_step * 1.001)
    assert not dtype.holds(-dtype.largest - half_a_step * 1.001)


def test_float64_holds_what_float32_cannot():
    assert BY_NAME["float64"].holds(1e300)
    assert not BY_NAME["float32"].holds(1e300)
    assert not BY_NAME["complex64"].holds(1e300)
    assert BY_NAME["complex128"].holds(1e300)


@pytest.mark.parametrize(
    ("name", "part"), [("complex32", "float16"), ("complex64", "float32"), ("complex128", "float64")]
)
def test_a_complex_type_is_two_of_a_float_type_and_holds_what_that_holds(name: str, part: str):
    whole, half = BY_NAME[name], BY_NAME[part]
    assert (whole.parts, half.parts) == (2, 1)
    assert (whole.numpy, whole.width, whole.largest) == (half.numpy, half.width, half.largest)
    for value in (0, 0.1, 1e-300, 1e-12, 65_519, 65_521, 1e38, 1e39, half.largest, math.inf, math.nan):
        assert whole.holds(value) == half.holds(value)


def test_doubles_are_float64_and_complex128():
    assert {dtype.name for dtype in DTYPES if dtype.kind in ("float", "complex") and dtype.is_double} == {
        "float64", "complex128"
    }  # fmt: skip


@pytest.mark.parametrize("dtype", INTEGERS, **named)
def test_an_integer_type_holds_whole_numbers_within_its_limits(dtype):
    limits = np.iinfo(dtype.numpy)
    smallest, largest = int(limits.min), int(limits.max)
    for value in (0, 1, 7.0, smallest, largest):
        assert dtype.holds(value)
    for value in (0.5, 1e-9, smallest - 1, largest + 1, float(largest + 1), 1e300):
        assert not dtype.holds(value)


def test_bool_holds_0_and_1():
    assert [value for value in (-1, 0, 0.5, 1, 1.0, 2) if BY_NAME["bool"].holds(value)] == [0, 1, 1.0]


def test_a_scale_type_holds_powers_of_two_only():
    scale = BY_NAME["float8_e8m0fnu"]
    for value in (1, 2, 0.5, 2.0**127, 2.0**-127):
        assert scale.holds(value)
    for value in (0, 3, 1.5, -1, 2.0**128, 2.0**-128):
        assert not scale.holds(value)


def test_random_values_make_sense_in_float_and_complex_types_only():
    assert {dtype.kind for dtype in DTYPES if dtype.is_floating} == {"float", "complex"}


def test_numpy_types_come_from_ml_dtypes_where_numpy_has_none():
    assert BY_NAME["bfloat16"].numpy == ml_dtypes.bfloat16
    assert BY_NAME["float8_e5m2"].numpy == ml_dtypes.float8_e5m2
    assert BY_NAME["complex64"].numpy == np.float32
    assert BY_NAME["uint64"].numpy == np.uint64


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", DTYPES, **named)
def test_no_type_holds_what_is_not_finite(dtype, value):
    assert not dtype.holds(value)


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX], **named)
def test_width_and_largest_number_are_those_of_the_numpy_type(dtype):
    assert dtype.width == dtype.numpy.itemsize
    assert dtype.largest == float(ml_dtypes.finfo(dtype.numpy).max)
    assert dtype.is_double == (dtype.numpy == np.float64)


@pytest.mark.parametrize("dtype", INTEGERS, **named)
def test_an_integer_type_holds_what_its_numpy_type_does(dtype):
    limits = np.iinfo(dtype.numpy)
    assert dtype.largest == limits.max
    assert [dtype.holds(int(edge) + step) for edge in (limits.min, limits.max) for step in (-1, 0, 1)] == [
        False, True, True, True, True, False
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX], **named)
def test_what_every_float_type_is_said_to_hold_it_does(dtype):
    for size in (0.0, 2.0**-9, 240.0):
        assert every_float_holds(size)
        assert math.isfinite(dtype.rounded(size))
        assert (dtype.rounded(size) == 0) == (size == 0)
    assert not every_float_holds(2.0**-9 - 1e-9)
    assert not every_float_holds(240.1)
