"""Formulas: those of transformers, torch and SciPy."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard

from initctl.errors import RuleError
from initctl.initializers import Unfit
from tests.initializers.running import DRAWS, fill_of, resolve, stored, values

CALLS = [
    ("sinusoid", (50, 8)), ("sinusoid:max_timescale=100", (9, 10)), ("arange_log", (7, 16)),
    ("arange_log:start=0.5", (5,)), ("lstm_bias", (24,)), ("lstm_bias:forget=-2.5", (4,)), ("zero_hadamard", (9, 5)),
    ("zero_hadamard", (6, 4, 3, 2)), ("zero_hadamard", (4, 6, 3)),
]  # fmt: skip
FLOATS = ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]


@pytest.mark.parametrize(("call", "shape"), CALLS, ids=str)
@given(st.data())
def test_the_same_element_has_the_same_value_whatever_range_it_is_asked_for_in(call, shape, data):
    law, count = fill_of(call, shape), int(np.prod(shape))
    start, stop = sorted((data.draw(st.integers(0, count)), data.draw(st.integers(0, count))))
    np.testing.assert_array_equal(law.values(DRAWS, start, stop), law.values(DRAWS, 0, count)[start:stop])


@pytest.mark.parametrize(("call", "shape"), CALLS, ids=str)
def test_values_are_float32_and_none_is_larger_than_declared(call, shape):
    drawn = values(call, shape)
    assert drawn.dtype == np.float32
    assert np.abs(drawn.astype(np.float64)).max() <= resolve(call, shape).law.largest


@pytest.mark.parametrize(("call", "shape"), CALLS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_another_float_type_holds_the_rounded_float32_values(call, shape, dtype):
    float32 = torch.frombuffer(bytearray(stored(call, shape)), dtype=torch.float32)
    rounded = float32.to(getattr(torch, dtype)).view(torch.uint8).numpy()
    np.testing.assert_array_equal(np.frombuffer(stored(call, shape, dtype), np.uint8), rounded)


class TestSinusoid:
    @staticmethod
    def of_transformers(*arguments, dtype):
        """What `sinusoids` of transformers gives where floats are of `dtype` by default."""
        from transformers.models.whisper.modeling_whisper import sinusoids

        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            return sinusoids(*arguments).numpy()
        finally:
            torch.set_default_dtype(before)

    @pytest.mark.parametrize("shape", [(1500, 384), (1500, 1280), (448, 512), (1, 4), (3000, 6)], ids=str)
    def test_is_that_of_whisper_in_transformers_but_for_the_rounding_of_float32(self, shape):
        in_float32 = self.of_transformers(*shape, dtype=torch.float32)
        in_float64 = self.of_transformers(*shape, dtype=torch.float64)
        np.testing.assert_allclose(values("sinusoid", shape), in_float32, rtol=0, atol=shape[0] * 2.0**-22)
        np.testing.assert_array_max_ulp(values("sinusoid", shape), in_float64.astype(np.float32), maxulp=1)

    @pytest.mark.parametrize("scale", [1, 100, 1e300])
    def test_is_that_for_other_time_scales_too(self, scale):
        expected = self.of_transformers(64, 10, scale, dtype=torch.float64)
        drawn = values(f"sinusoid:max_timescale={scale:g}", (64, 10))
        np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-7)

    @pytest.mark.parametrize(
        ("shape", "fault"),
        [
            ((8,), "sinusoids have 2 dims, positions and channels, but it has 1"),
            ((2, 8, 8), "sinusoids have 2 dims, positions and channels, but it has 3"),
            ((8, 5), "sinusoids need an even number of channels, 4 or more, but it has 5"),
            ((8, 2), "sinusoids need an even number of channels, 4 or more, but it has 2"),
            ((2**26 + 1, 4), "sinusoids have at most 67108864 positions, but it has 67108865"),
        ],
    )
    def test_other_shapes_do_not_fit(self, shape, fault):
        with pytest.raises(Unfit, match=f"^{fault}$"):
            resolve("sinusoid", shape)

    @pytest.mark.parametrize("scale", ["0.5", "0", "-1", "1e301"])
    def test_a_time_scale_below_the_first_is_refused(self, scale):
        with pytest.raises(RuleError, match=re.escape("is not a number from 1 to 1e+300")):
            resolve(f"sinusoid:max_timescale={scale}", (8, 8))


class TestArangeLog:
    def test_is_a_log_of_mamba_in_transformers(self):
        from transformers import MambaConfig
        from transformers.models.mamba.modeling_mamba import MambaModel

        model = MambaModel(MambaConfig(vocab_size=8, hidden_size=8, state_size=16, num_hidden_layers=1))
        theirs = model.layers[0].mixer.A_log.detach().numpy()
        np.testing.assert_array_max_ulp(values("arange_log", theirs.shape), theirs, maxulp=1)

    def test_is_a_log_of_mamba_2_in_transformers(self):
        np.testing.assert_array_max_ulp(
            values("arange_log", (128,)), torch.log(torch.arange(1, 129, dtype=torch.float32)).numpy(), maxulp=1
        )

    @pytest.mark.parametrize("start", [0.01, 0.5, 2, 1e-300, 1e300])
    def test_counts_from_its_start_the_same_in_every_row(self, start):
        drawn = values(f"arange_log:start={start}", (2, 3, 20))
        row = np.log(start + np.arange(20)).astype(np.float32)
        np.testing.assert_allclose(drawn, np.broadcast_to(row, drawn.shape), rtol=1e-7)

    def test_is_bounded_by_its_first_value_where_that_is_the_farthest_from_0(self):
        assert resolve("arange_log:start=0.01", (3,)).law.largest == pytest.approx(-np.log(0.01), rel=1e-7)

    def test_a_number_has_no_dim_to_count_along(self):
        with pytest.raises(Unfit, match=r"^it has no dims, so there is no last dim to count along$"):
            resolve("arange_log", ())

    @pytest.mark.parametrize("start", ["0", "-1"])
    def test_what_has_no_logarithm_is_refused(self, start):
        with pytest.raises(RuleError, match="is not a number above 0"):
            resolve(f"arange_log:start={start}", (3,))


class TestLstmBias:
    @pytest.mark.parametrize("hidden", [1, 3, 64])
    def test_opens_the_forget_gate_of_torchs_lstm_and_no_other(self, hidden):
        lstm = torch.nn.LSTM(2, hidden, batch_first=True)
        with torch.no_grad():
            for parameter in lstm.parameters():
                parameter.zero_()
            lstm.bias_hh_l0.copy_(torch.from_numpy(values("lstm_bias:forget=3", (4 * hidden,))))
            cell = torch.full((1, 1, hidden), 0.5)
            _, (_, after) = lstm(torch.ones(1, 1, 2), (torch.zeros(1, 1, hidden), cell))
        torch.testing.assert_close(after, torch.sigmoid(torch.tensor(3.0)) * cell)

    def test_is_1_unless_another_number_is_given(self):
        assert values("lstm_bias", (8,)).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
        assert values("lstm_bias:forget=-0.5", (4,)).tolist() == [0, -0.5, 0, 0]

    @pytest.mark.parametrize(
        ("shape", "fault"),
        [
            ((4, 4), "the bias of an LSTM has 1 dim, but it has 2"),
            ((), "the bias of an LSTM has 1 dim, but it has 0"),
            ((6,), "the bias of an LSTM has 4 equal parts, but 6 elements cannot be divided by 4"),
        ],
    )
    def test_other_shapes_do_not_fit(self, shape, fault):
        with pytest.raises(Unfit, match=f"^{fault}$"):
            resolve("lstm_bias", shape)


class TestZeroHadamard:
    @staticmethod
    def of_the_authors(out, into):
        """The matrix of jiaweizzhao/ZerO-initialization: a product of partial identities around SciPy's matrix."""
        if out <= into:
            return np.eye(out, into)
        power = int(np.ceil(np.log2(out)))
        size = 2**power
        return np.eye(out, size) @ (hadamard(size) / 2 ** (power / 2)) @ np.eye(size, into)

    @pytest.mark.parametrize(
        "shape",
        [(4, 4), (3, 7), (1, 1), (1, 5), (2, 1), (5, 1), (8, 7), (9, 8), (100, 64), (64, 63), (65, 64)],
        ids=str,
    )
    def test_is_the_matrix_of_the_authors(self, shape):
        np.testing.assert_allclose(values("zero_hadamard", shape), self.of_the_authors(*shape), rtol=1e-7)

    @pytest.mark.parametrize("kernel", [(3,), (4,), (3, 3), (2, 5), (3, 3, 3), (2, 3, 4), (1,)], ids=str)
    @pytest.mark.parametrize(("out", "into"), [(6, 6), (4, 9), (9, 4), (5, 1)])
    def test_of_a_convolution_it_stands_at_the_centre_tap(self, out, into, kernel):
        tensor = values("zero_hadamard", (out, into, *kernel)).copy()
        centre = (..., *(size // 2 for size in kernel))
        np.testing.assert_allclose(tensor[centre], self.of_the_authors(out, into), rtol=1e-7)
        tensor[centre] = 0
        assert not tensor.any()

    def test_keeps_lengths_where_the_outputs_are_a_power_of_two(self):
        matrix = values("zero_hadamard", (64, 20)).astype(np.float64)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(20), rtol=0, atol=1e-7)

    @pytest.mark.parametrize("shape", [(), (5,), (1,) * 6], ids=str)
    def test_other_shapes_do_not_fit(self, shape):
        with pytest.raises(Unfit, match=f"^the weight of a layer has 2 dims, .* but it has {len(shape)}$"):
            resolve("zero_hadamard", shape)
