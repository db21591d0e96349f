"""Equal rows and columns, and rows of zeros, are found in every dtype and layout, and none that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.diagnosing import rows
from initctl.diagnosing.rows import Lines, compared

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = (
    torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.complex64, torch.complex128,
)  # fmt: skip
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def lines(tensor: torch.Tensor, path: Path) -> Lines:
    torch.save({"w": tensor}, path / "m.pt")
    table = initctl.inspect(path / "m.pt")
    return compared(table, table.tensors, threads=2)["w"]


def weight(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    torch.manual_seed(0)
    drawn = torch.randn(*shape, dtype=torch.complex64 if dtype.is_complex else torch.float32)
    return drawn.to(dtype)


@pytest.fixture(params=[1 << 10, 1 << 22])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows at once, so that several tasks share a weight; or several weights."""
    monkeypatch.setattr(rows, "_PIECE", request.param)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(70, 33), (40, 7, 3, 3)], ids=str)
@pytest.mark.usefixtures("pieces")
def test_all_of_them_are_found(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path):
    drawn = weight(*shape, dtype=dtype)
    bits = drawn.view(torch.uint8) if dtype in FLOAT8 else drawn
    bits[31] = bits[4]
    bits[:, 6] = bits[:, 2]
    bits[[9, 20]] = 0
    found = lines(drawn, tmp_path)
    assert found.zero.tolist() == [9, 20]
    assert found.equal_rows == (4, 31)
    assert found.equal_columns == (2, 6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.usefixtures("pieces")
def test_nothing_is_found_in_random_weights(dtype: torch.dtype, tmp_path: Path):
    found = lines(weight(300, 65, dtype=dtype), tmp_path)
    assert (found.zero.size, found.equal_rows, found.equal_columns) == (0, None, None)


@pytest.mark.usefixtures("pieces")
def test_a_transposed_weight_is_read_by_its_logical_rows(tmp_path: Path):
    drawn = weight(90, 60)
    drawn[:, 7] = drawn[:, 3]
    found = lines(drawn.T, tmp_path)
    assert (found.equal_rows, found.equal_columns) == ((3, 7), None)


def test_columns_of_zeros_are_equal(tmp_path: Path):
    drawn = weight(64, 64)
    drawn[:, 32:] = 0
    assert min(lines(drawn, tmp_path).equal_columns) >= 32


def test_of_many_small_weights_only_those_that_have_something_in_common_are_named(tmp_path: Path):
    torch.manual_seed(0)
    tensors = {f"{number}": torch.randn(32, 16) for number in range(5000)}
    tensors["3"][:, 6] = tensors["3"][:, 2]
    tensors["2000"][31] = tensors["2000"][4]
    tensors["4999"][9] = 0
    torch.save(tensors, tmp_path / "m.pt")
    table = initctl.inspect(tmp_path / "m.pt")
    found = compared(table, table.tensors, threads=2)
    assert len(found) == 5000
    named = {name: (of.zero.tolist(), *of[1:]) for name, of in found.items() if of.zero.size or any(of[1:])}
    assert named == {"3": ([], None, (2, 6)), "2000": ([], (4, 31), None), "4999": ([9], None, None)}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_zeros_below_zero_are_zeros_in_each_part_of_an_element(dtype: torch.dtype, tmp_path: Path):
    zeros = torch.full((30, 60), -0.0, dtype=torch.float64)
    zeros[:, ::3] = 0
    elements = torch.view_as_complex(zeros.view(30, 30, 2)) if dtype.is_complex else zeros
    kept = torch.arange(30) == 5
    drawn = torch.where(kept[:, None], elements, weight(*elements.shape, dtype=elements.dtype))
    assert lines(drawn.to(dtype), tmp_path).zero.tolist() == [5]


def test_columns_that_differ_in_one_row_that_is_not_sampled_are_not_equal(tmp_path: Path):
    drawn = weight(1000, 30)
    drawn[:, 8] = drawn[:, 1]
    drawn[501, 8] += 1
    assert lines(drawn, tmp_path).equal_columns is None


def test_rows_whose_hashes_are_equal_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "_keys", lambda count: 0 * rows.np.arange(count, dtype=rows.np.uint64))
    drawn = weight(10, 30)
    assert lines(drawn, tmp_path).equal_rows is None


@pytest.mark.parametrize("shape", [(5,), (), (64, 8), (1, 64), (40, 1, 5, 5), (0, 64)], ids=str)
def test_what_is_too_small_to_differ_surely_is_not_compared(shape: tuple[int, ...], tmp_path: Path):
    save_file({"w": torch.zeros(shape)}, tmp_path / "m.safetensors")
    table = initctl.inspect(tmp_path / "m.safetensors")
    assert compared(table, table.tensors, threads=1) == {}
