"""Bytes: float32 rounded once, to nearest even, exactly as torch rounds it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch

from initctl.dtypes import BY_NAME, DTYPES
from initctl.stream.engines.engine import encode

NARROW = [dtype for dtype in DTYPES if dtype.kind == "float" and dtype.bits < 32]
PAPER_TIES = [
    ("float16", 1 + 2**-11, 1.0),
    ("float16", 1 + 3 * 2**-11, 1 + 2**-9),
    ("bfloat16", 1 + 2**-8, 1.0),
    ("bfloat16", 1 + 3 * 2**-8, 1 + 2**-6),
    ("float8_e4m3fn", 1 + 2**-4, 1.0),
    ("float8_e4m3fn", 1 + 3 * 2**-4, 1.25),
    ("float8_e5m2", 1.125, 1.0),
    ("float8_e5m2", 1.375, 1.5),
    ("float8_e4m3fnuz", 1 + 2**-4, 1.0),
    ("float8_e5m2fnuz", 1.375, 1.5),
]


def as_torch(values, dtype):
    """The bytes of float32 `values` as torch converts them."""
    return torch.from_numpy(values).to(getattr(torch, dtype.name)).view(torch.uint8).numpy().reshape(-1)


def numbers_of(dtype):
    """Every finite number of a narrow type, in order, as float64."""
    with np.errstate(invalid="ignore"):  # some patterns are signalling NaNs
        patterns = np.arange(2**dtype.bits, dtype=f"uint{dtype.bits}").view(dtype.numpy).astype(np.float64)
    return np.unique(patterns[np.isfinite(patterns)])


@pytest.mark.parametrize("dtype", NARROW, ids=lambda dtype: dtype.name)
class TestNarrowing:
    def test_every_number_of_the_type_is_kept(self, dtype):
        numbers = numbers_of(dtype)
        assert encode(numbers.astype(np.float32), dtype).view(dtype.numpy).astype(np.float64).tolist() == (
            numbers.tolist()
        )

    def test_ties_and_their_neighbours_round_as_torch_rounds(self, dtype):
        numbers = numbers_of(dtype)
        ties = ((numbers[1:] + numbers[:-1]) / 2).astype(np.float32)
        up, down = (np.nextafter(ties, np.float32(end)) for end in (np.inf, -np.inf))
        values = np.concatenate([ties, up, down])
        np.testing.assert_array_equal(encode(values, dtype), as_torch(values, dtype))

    def test_ties_go_to_the_even_neighbour(self, dtype):
        numbers = numbers_of(dtype)
        numbers = numbers[numbers > 0]
        ties = ((numbers[1:] + numbers[:-1]) / 2).astype(np.float32)
        assert not (encode(ties, dtype).view(f"uint{dtype.bits}") & 1).any()

    def test_a_million_random_numbers_round_as_torch_rounds(self, dtype):
        bits = np.random.default_rng(0).integers(0, 2**32, 1_000_000, dtype=np.uint32)
        values = bits.view(np.float32)
        values = values[np.abs(values) <= dtype.largest]
        np.testing.assert_array_equal(encode(values, dtype), as_torch(values, dtype))

    def test_a_constant_in_float64_is_rounded_through_float32(self, dtype):
        above_a_tie_by_less_than_float32_sees = 1 + float(ml_dtypes.finfo(dtype.numpy).eps) / 2 + 2.0**-40
        assert encode(np.array([above_a_tie_by_less_than_float32_sees]), dtype).view(dtype.numpy) == 1


@pytest.mark.parametrize(("name", "tie", "even"), PAPER_TIES)
def test_ties_worked_out_on_paper(name, tie, even):
    dtype = BY_NAME[name]
    assert encode(np.array([tie], np.float32), dtype).view(dtype.numpy).tolist() == [even]


def test_float32_keeps_its_bits():
    values = np.array([0.1, -0.0, 1e-45, 3e38], np.float32)
    assert encode(values, BY_NAME["float32"]).tobytes() == values.astype("<f4").tobytes()


def test_float64_widens_float32_exactly_and_keeps_float64():
    float64 = BY_NAME["float64"]
    assert encode(np.array([0.1], np.float32), float64).view("<f8").tolist() == [0.10000000149011612]
    assert encode(np.array([0.1]), float64).view("<f8").tolist() == [0.1]


@pytest.mark.parametrize("name", [dtype.name for dtype in DTYPES if dtype.kind == "integer"])
def test_whole_numbers_are_exact_in_every_integer_type(name):
    dtype = BY_NAME[name]
    limits = np.iinfo(dtype.numpy)
    for value in (0, 1, int(limits.min), int(limits.max)):
        stored = encode(np.full(2, value), dtype).tobytes()
        assert stored == value.to_bytes(dtype.bits // 8, "little", signed=limits.min < 0) * 2


def test_bools_are_bytes_of_0_and_1():
    assert encode(np.array([0, 1, 1]), BY_NAME["bool"]).tolist() == [0, 1, 1]


def test_a_scale_type_keeps_powers_of_two():
    assert encode(np.array([1.0, 2.0, 2.0**-127]), BY_NAME["float8_e8m0fnu"]).tolist() == [127, 128, 0]


def test_complex_parts_are_float32_one_after_the_other():
    values = np.array([1, 2, 0.1, -3], np.float32)
    stored = encode(values, BY_NAME["complex64"])
    assert stored.view("<c8").tolist() == [1 + 2j, complex(np.float32(0.1), -3)]


def test_bytes_are_little_endian_and_contiguous():
    strided = np.arange(8, dtype=np.float32)[::2]
    stored = encode(strided, BY_NAME["float32"])
    assert stored.dtype == np.uint8
    assert stored.tobytes() == bytes.fromhex("00000000 00000040 00008040 0000c040")
