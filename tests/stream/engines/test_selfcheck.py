"""An engine that computes other bits anywhere does not pass the proof."""

from __future__ import annotations

import pytest

from initctl.dtypes import DTYPES
from initctl.stream import Normal, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.deterministic_laws import CountedLog, Hadamard, Sinusoid
from initctl.stream.draws import Draws
from initctl.stream.engines import Engine
from initctl.stream.engines.selfcheck import gives_reference_bits
from initctl.stream.laws import InverseSoftplus, LogUniform
from initctl.stream.old_values import Affine, EveryRow, Mixture


class OffByOneBit(Engine):
    """Wrong in the last bit of the last number, in one law and one dtype."""

    def __init__(self, law: type, dtype: str) -> None:
        super().__init__()
        self.wrong = law, dtype

    def fill_run(self, run, out):
        super().fill_run(run, out)
        if (type(run.law), run.dtype.name) == self.wrong:
            out[-run.dtype.width] ^= 1


class OtherRanks(Engine):
    def draws(self, key):
        return super().draws((key[0] ^ 1, key[1]))


def test_the_reference_passes_it():
    assert gives_reference_bits(Engine())


@pytest.mark.parametrize(
    "law",
    [
        *(Uniform, Normal, TruncNormal, ZeroedNormal, LogUniform, InverseSoftplus, CountedLog, Hadamard, Sinusoid),
        *(EveryRow, Affine, Mixture),
    ],
)
@pytest.mark.parametrize("dtype", [dtype.name for dtype in DTYPES if dtype.kind == "float"])
def test_one_wrong_bit_fails_it(law: type, dtype: str):
    assert not gives_reference_bits(OffByOneBit(law, dtype))


def test_other_ranks_fail_it():
    assert not gives_reference_bits(OtherRanks())


@pytest.mark.parametrize("dtype", [dtype.name for dtype in DTYPES if dtype.kind == "float"])
@pytest.mark.parametrize("is_square", [False, True])
def test_one_other_sum_fails_it(dtype: str, is_square: bool):
    class OtherSums(Draws):
        def added(self, total, numbers, *, around=None):
            is_wrong = numbers.dtype.name == dtype and (around is not None) == is_square
            return super().added(total, numbers, around=around) + 1e-9 * is_wrong

    class Adds(Engine):
        def draws(self, key):
            return OtherSums(key)

    assert not gives_reference_bits(Adds())


def test_it_covers_numbers_beyond_32_bits():
    class Wraps(Engine):
        def fill_run(self, run, out):
            start = run.start % 2**32
            super().fill_run(run._replace(start=start, stop=start + run.stop - run.start), out)

    assert not gives_reference_bits(Wraps())
