"""An engine that computes other bits anywhere does not pass the proof."""

from __future__ import annotations

import pytest

from initctl.dtypes import DTYPES
from initctl.stream import Normal, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.engines import NumpyEngine
from initctl.stream.engines.selfcheck import gives_reference_bits


class OffByOneBit(NumpyEngine):
    """Wrong in the last bit of the last number, in one law and one dtype."""

    def __init__(self, law: type, dtype: str) -> None:
        super().__init__()
        self.wrong = law, dtype

    def fill(self, law, key, start, stop, dtype, out):
        super().fill(law, key, start, stop, dtype, out)
        if (type(law), dtype.name) == self.wrong:
            out[-dtype.width] ^= 1


class OtherRanks(NumpyEngine):
    def draws(self, key):
        return super().draws((key[0] ^ 1, key[1]))


def test_the_reference_passes_it():
    assert gives_reference_bits(NumpyEngine())


@pytest.mark.parametrize("law", [Uniform, Normal, TruncNormal, ZeroedNormal])
@pytest.mark.parametrize("dtype", [dtype.name for dtype in DTYPES if dtype.kind == "float"])
def test_one_wrong_bit_fails_it(law: type, dtype: str):
    assert not gives_reference_bits(OffByOneBit(law, dtype))


def test_other_ranks_fail_it():
    assert not gives_reference_bits(OtherRanks())


def test_it_covers_numbers_beyond_32_bits():
    class Wraps(NumpyEngine):
        def fill(self, law, key, start, stop, dtype, out):
            super().fill(law, key, start % 2**32, start % 2**32 + stop - start, dtype, out)

    assert not gives_reference_bits(Wraps())
