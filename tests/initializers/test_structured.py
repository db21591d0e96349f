"""Orthogonal and sparse matrices: torch's algorithm on our draws."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from initctl.errors import RuleError
from initctl.initializers import Unfit
from tests.initializers.running import DRAWS, resolve, values
from tests.stream.goodness import normal_cdf, p_value, uniform_cdf


def orthogonality_error(matrix):
    """The largest deviation from orthonormal rows or columns, whichever are fewer."""
    matrix = matrix.astype(np.float64)
    rows, columns = matrix.shape
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    return np.abs(gram - np.eye(min(rows, columns))).max()


def torchs_orthogonal(gaussian):
    """The body of torch.nn.init.orthogonal_, after it has drawn."""
    flattened = torch.from_numpy(np.array(gaussian))
    is_wide = flattened.shape[0] < flattened.shape[1]
    q, r = torch.linalg.qr(flattened.T if is_wide else flattened)
    q *= torch.diag(r).sign()
    return (q.T if is_wide else q).numpy()


class TestOrthogonal:
    @pytest.mark.parametrize("shape", [(64, 64), (40, 90), (90, 40), (1, 9), (9, 1), (1, 1), (256, 300)], ids=str)
    def test_is_torchs_matrix_for_the_same_normal_draws(self, shape):
        gaussian = DRAWS.normal01(0, math.prod(shape)).reshape(shape)
        np.testing.assert_allclose(values("orthogonal", shape), torchs_orthogonal(gaussian), rtol=0, atol=1e-5)

    @pytest.mark.parametrize(
        "shape", [(64, 64), (40, 90), (90, 40), (16, 8, 3, 3), (100, 2, 3, 3), (6, 5, 4), (4, 3, 2, 2, 2)], ids=str
    )
    def test_has_orthonormal_rows_or_columns(self, shape):
        assert orthogonality_error(values("orthogonal", shape).reshape(shape[0], -1)) <= 1e-5

    @pytest.mark.parametrize("gain", [2, 0.1, -1.5])
    def test_is_scaled_by_the_gain(self, gain):
        np.testing.assert_allclose(values(f"orthogonal:gain={gain}", (8, 5)), gain * values("orthogonal", (8, 5)))

    def test_is_zero_at_a_gain_of_0(self):
        assert not values("orthogonal:gain=0", (4, 4)).any()

    @pytest.mark.parametrize("shape", [(5, 12, 7), (5, 7, 12), (5, 6, 6)], ids=str)
    def test_a_batch_is_of_independent_orthogonal_matrices(self, shape):
        matrices = values("orthogonal:layout=boi", shape)
        assert max(map(orthogonality_error, matrices)) <= 1e-5
        first = DRAWS.normal01(0, math.prod(shape[1:])).reshape(shape[1:])
        np.testing.assert_allclose(matrices[0], torchs_orthogonal(first), rtol=0, atol=1e-5)
        assert np.abs(matrices[0] - matrices[1]).max() > 0.1

    @pytest.mark.parametrize(
        ("shape", "layout", "order"),
        [
            ((20, 30), "io", (1, 0)),
            ((3, 2, 8, 16), "kkio", (3, 2, 0, 1)),
            ((4, 3, 16), "iko", (2, 0, 1)),
        ],
    )
    def test_a_layout_makes_the_matrix_of_outputs_by_inputs_orthogonal(self, shape, layout, order):
        tensor = values(f"orthogonal:layout={layout}", shape).transpose(order)
        assert orthogonality_error(tensor.reshape(tensor.shape[0], -1)) <= 1e-5

    def test_a_batch_may_stand_between_other_dims(self):
        tensor = values("orthogonal:layout=obi", (6, 3, 4))
        assert max(orthogonality_error(tensor[:, batch]) for batch in range(3)) <= 1e-5

    @pytest.mark.parametrize(
        ("call", "shape", "layout", "same"),
        [
            ("split=3", (36, 12), "boi", (3, 12, 12)),
            ("split=2:2:2:2", (8, 20), "boi", (4, 2, 20)),
            ("groups=4", (24, 3, 2), "boik", (4, 6, 3, 2)),
            ("groups=4,transposed=true", (24, 3, 2), "biok", (4, 6, 3, 2)),
            ("transposed=true", (4, 6, 3, 3), "iokk", (4, 6, 3, 3)),
            ("layout=io,split=3", (12, 36), "ibo", (12, 3, 12)),
            ("layout=boi,split=2", (5, 8, 3), "bboi", (5, 2, 4, 3)),
        ],
    )
    def test_each_group_and_part_is_a_matrix_of_its_own_as_a_batch_of_that_shape_is(self, call, shape, layout, same):
        fused = values(f"orthogonal:{call}", shape)
        np.testing.assert_array_equal(fused.reshape(same), values(f"orthogonal:layout={layout}", same))

    def test_the_four_gates_of_an_lstm_are_orthogonal_each(self):
        fused = values("orthogonal:split=4", (64, 16))
        assert max(map(orthogonality_error, fused.reshape(4, 16, 16))) <= 1e-5
        assert orthogonality_error(values("orthogonal", (64, 16)).reshape(4, 16, 16)[0]) > 0.1

    def test_unequal_parts_are_refused_before_any_tensor_is_seen(self):
        fault = "split=4:1:1: all parts must have the same size"
        with pytest.raises(RuleError, match=fault):
            resolve("orthogonal:split=4:1:1", (6, 6))

    def test_is_uniform_over_all_orthogonal_matrices(self):
        matrices = values("orthogonal:layout=boi", (20_000, 3, 3))
        for row, column in product(range(3), repeat=2):
            assert p_value(matrices[:, row, column], uniform_cdf(-1, 1)) > 1e-3
        assert (np.linalg.det(matrices) > 0).mean() == pytest.approx(0.5, abs=0.015)

    @pytest.mark.parametrize("shape", [(), (5,)], ids=str)
    def test_does_not_fit_below_two_dims(self, shape):
        with pytest.raises(ValueError):
            torch.nn.init.orthogonal_(torch.empty(shape))
        with pytest.raises(Unfit, match="at least 2 dims"):
            resolve("orthogonal", shape)


class TestDeltaOrthogonal:
    @pytest.mark.parametrize("kernel", [(3,), (4,), (1,), (3, 3), (2, 5), (4, 4), (3, 3, 3), (2, 3, 4)], ids=str)
    @pytest.mark.parametrize(("out", "into"), [(6, 6), (9, 4), (5, 1)])
    def test_is_orthogonal_at_jaxs_centre_tap_and_zero_elsewhere(self, out, into, kernel):
        tensor = values("delta_orthogonal:scale=2", (out, into, *kernel)).copy()
        centre = (..., *((size - 1) // 2 for size in kernel))
        assert orthogonality_error(tensor[centre] / 2) <= 1e-5
        tensor[centre] = 0
        assert not tensor.any()

    def test_its_matrix_is_that_of_the_first_draws(self):
        matrix = torchs_orthogonal(DRAWS.normal01(0, 24).reshape(6, 4))
        np.testing.assert_allclose(values("delta_orthogonal", (6, 4, 3, 3))[:, :, 1, 1], matrix, rtol=0, atol=1e-5)

    @pytest.mark.parametrize(
        ("layout", "shape", "order"),
        [
            ("oikk", (6, 4, 3, 2), (0, 1, 2, 3)),
            ("kkio", (3, 2, 4, 6), (3, 2, 0, 1)),
            ("kiok", (3, 4, 6, 2), (2, 1, 0, 3)),
        ],
    )
    def test_a_layout_permutes_it(self, layout, shape, order):
        tensor = values(f"delta_orthogonal:layout={layout}", shape)
        np.testing.assert_array_equal(tensor.transpose(order), values("delta_orthogonal", (6, 4, 3, 2)))

    @pytest.mark.parametrize(
        ("call", "shape", "fault"),
        [
            ("delta_orthogonal", (4, 4), "has 3, 4 or 5 dims, but it has 2"),
            ("delta_orthogonal", (1,) * 6, "has 3, 4 or 5 dims, but it has 6"),
            ("delta_orthogonal", (4, 5, 3), r"it has more inputs \(5\) than outputs \(4\)"),
            ("delta_orthogonal:layout=iok", (5, 4, 3), r"it has more inputs \(5\) than outputs \(4\)"),
            ("delta_orthogonal:layout=boi", (4, 5, 3), "layout=boi does not have one o, one i, and k for the rest"),
            ("delta_orthogonal:layout=oi", (4, 5, 3), "layout=oi has 2 letters for 3 dims"),
        ],
    )
    def test_what_jax_refuses_does_not_fit(self, call, shape, fault):
        with pytest.raises(Unfit, match=fault):
            resolve(call, shape)


class TestSparse:
    @pytest.mark.parametrize("sparsity", [0, 0.1, 1 / 3, 0.5, 0.95, 0.999, 1])
    @pytest.mark.parametrize("shape", [(10, 7), (33, 200), (1, 5), (5, 1)], ids=str)
    def test_every_column_has_torchs_number_of_zeros(self, shape, sparsity):
        generator = torch.Generator().manual_seed(0)  # of some seeds a normal draw is exactly 0
        theirs = (torch.nn.init.sparse_(torch.empty(shape), sparsity, generator=generator) == 0).sum(0)
        assert (values(f"sparse:sparsity={sparsity!r}", shape) == 0).sum(0).tolist() == theirs.tolist()

    def test_the_others_are_the_normal_draws(self):
        drawn = values("sparse:sparsity=0.3,std=0.5", (40, 150))
        dense = values("normal:std=0.5", (40, 150))
        np.testing.assert_array_equal(drawn[drawn != 0], dense[drawn != 0])

    def test_the_others_have_the_standard_deviation(self):
        drawn = values("sparse:sparsity=0.2", (1000, 1000))
        others = drawn[drawn != 0]
        assert others.std(dtype=np.float64) == pytest.approx(0.01, rel=4e-3)
        assert p_value(others, normal_cdf(0, 0.01)) > 1e-3

    def test_the_rows_of_the_smallest_words_of_the_second_stream_are_zero(self):
        shape = (50, 130)
        words = DRAWS.words(0, math.prod(shape), stream=1).reshape(shape)
        expected = np.sort(np.argsort(words, axis=0, kind="stable")[:20], axis=0)
        drawn = values("sparse:sparsity=0.4", shape)
        zeroed = np.array([np.flatnonzero(column == 0) for column in drawn.T]).T
        np.testing.assert_array_equal(zeroed, expected)

    def test_rows_are_chosen_evenly_and_without_regard_to_the_values(self):
        drawn = values("sparse:sparsity=0.5", (100, 10_000))
        zeros_per_row = (drawn == 0).sum(1)
        assert zeros_per_row.min() > 4750
        assert zeros_per_row.max() < 5250
        dense = values("normal", (100, 10_000))
        assert np.corrcoef((drawn == 0).reshape(-1), np.abs(dense).reshape(-1))[0, 1] == pytest.approx(0, abs=4e-3)

    @pytest.mark.parametrize("shape", [(5,), (2, 3, 4)], ids=str)
    def test_does_not_fit_other_than_two_dims(self, shape):
        with pytest.raises(ValueError):
            torch.nn.init.sparse_(torch.empty(shape), 0.5)
        with pytest.raises(Unfit, match=f"a matrix has 2 dims, but it has {len(shape)}"):
            resolve("sparse:sparsity=0.5", shape)
