"""What `initctl.stats` says of real files is what NumPy computes of the values that torch loads."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.commit.copying import read_into
from initctl.events import Progress
from initctl.layout.pieces import PIECE
from initctl.statistics.histogram import BINS
from initctl.statistics.measuring import _SAMPLED
from tests.cli.checkpoints import checkpoint
from tests.execution.checkpoints import raw_bytes, sharded, single
from tests.execution.torch_files import FORMATS, bits, network, save
from tests.formats.ranks import saved_alone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.complex64, torch.int64, torch.uint8, torch.int16, torch.bool,
)  # fmt: skip


def numbers(tensor: torch.Tensor) -> np.ndarray:
    """Its elements, or their parts, as doubles."""
    plain = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return plain.to(torch.float64).numpy().reshape(-1)


def check(found: Mapping[str, Any], tensor: torch.Tensor) -> None:
    """Whether `found` is what `tensor` holds."""
    values = numbers(tensor)
    finite = values[np.isfinite(values)]
    assert found["count"] == values.size
    assert found["shape"] == list(tensor.shape)
    assert found["nan"] == np.isnan(values).sum()
    assert found["inf"] == np.isinf(values).sum()
    assert found["zeros"] == (values == 0).sum()
    if not finite.size:
        assert found["mean"] is found["std"] is found["min"] is found["max"] is found["histogram"] is None
        return
    with np.errstate(all="ignore"):
        wanted = {
            "mean": finite.mean(), "std": finite.std(), "min": finite.min(), "max": finite.max(),
            "absmax": np.abs(finite).max(), "l2": np.sqrt(np.square(finite).sum()),
        }  # fmt: skip
    for key, value in wanted.items():
        if np.isfinite(value):  # NumPy's sums of the largest doubles overflow
            assert found[key] == pytest.approx(value, rel=1e-6, abs=1e-9 * np.abs(finite).max()), key


def by_name(path: Path, *patterns: str, **options: Any) -> dict[str, dict[str, Any]]:
    """What the library says, as JSON has it: nothing in it that JSON has not."""
    data = json.loads(json.dumps(initctl.stats(path, patterns, **options).to_json(), allow_nan=False))
    return {found["name"]: found for found in data["tensors"]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (7, 5), (300, 1001)], ids=str)
def test_every_dtype_and_shape_in_safetensors(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]):
    tensor = bits(dtype, *shape)
    save_file({"w": tensor}, tmp_path / "m.safetensors")
    check(by_name(tmp_path / "m.safetensors")["w"], tensor)


@pytest.mark.parametrize("kind", FORMATS)
def test_views_ties_and_buffers_of_torch_save(tmp_path: Path, kind: str):
    tensors = network()
    found = by_name(save(tmp_path / "m.pt", tensors, kind))
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        check(found[name], tensor)


def test_small_tensors_need_not_be_of_one_dtype_or_begin_at_a_multiple_of_their_width(tmp_path: Path):
    tensors = {
        "a": bits(torch.uint8, 3), "b": bits(torch.float32, 5), "c": bits(torch.bfloat16, 7), "d": bits(torch.uint8, 1),
        "e": bits(torch.float64, 2), "f": bits(torch.float32, 2, 3), "g": bits(torch.complex64, 4),
    }  # fmt: skip
    tags = ("U8", "F32", "BF16", "U8", "F64", "F32", "C64")
    shapes = {name: (tag, tuple(t.shape)) for (name, t), tag in zip(tensors.items(), tags, strict=True)}
    path = checkpoint(tmp_path / "m.safetensors", shapes)
    data = b"".join(map(raw_bytes, tensors.values()))
    with path.open("r+b") as stream:
        stream.seek(-len(data), os.SEEK_END)
        stream.write(data)
    found = by_name(path, digest=True)
    for name, tensor in tensors.items():
        check(found[name], tensor)
        assert found[name]["digest"] == hashlib.sha256(raw_bytes(tensor)).hexdigest()


def test_shards_are_one_checkpoint(tmp_path: Path):
    found = by_name(sharded(tmp_path / "m"))
    assert found["layers.1.bias"]["mean"] == 0.5
    assert len(found) == 7


def test_a_directory_of_distributed_checkpoint_is_read(tmp_path: Path):
    tensors = {"w": torch.randn(40, 30), "b": torch.arange(5.0)}
    saved_alone(tmp_path / "d", tensors)
    found = by_name(tmp_path / "d")
    for name, tensor in tensors.items():
        check(found[name], tensor)


def test_one_answer_whatever_the_number_of_threads(tmp_path: Path):
    save_file({"w": torch.randn(3 * PIECE // 4 + 7), "v": torch.randn(1000, 1000)}, tmp_path / "m.safetensors")
    one, two, seven = (by_name(tmp_path / "m.safetensors", threads=threads) for threads in (1, 2, 7))
    assert one == two == seven


def test_a_histogram_is_of_all_of_a_small_tensor_and_of_a_sample_of_a_large_one(tmp_path: Path):
    small, large = torch.randn(1000), torch.randn(1024, 1000)
    save_file({"small": small, "large": large}, tmp_path / "m.safetensors")
    found = by_name(tmp_path / "m.safetensors")
    mean, std = numbers(small).mean(), numbers(small).std()
    low, high = max(small.min().item(), mean - 4 * std), min(small.max().item(), mean + 4 * std)
    histogram = found["small"]["histogram"]
    assert (histogram["low"], histogram["high"]) == (pytest.approx(low), pytest.approx(high))
    assert histogram["counts"] == np.histogram(numbers(small), BINS, (histogram["low"], histogram["high"]))[0].tolist()
    sampled = found["large"]["histogram"]
    total = sum(sampled["counts"]) + sampled["below"] + sampled["above"]
    assert _SAMPLED * 0.9 <= total <= _SAMPLED
    middle = sum(sampled["counts"][BINS // 4 : -BINS // 4])
    assert 0.93 < middle / total < 0.98  # of a normal law, within two standard deviations


@pytest.mark.parametrize("values", [[1e-300, 3e-300], [5e-324, 1e-320], [-1.7e308, 1.7e308], [1.7e308, 1e300]])
def test_a_histogram_reaches_over_all_numbers_whose_squares_no_double_holds(tmp_path: Path, values: list[float]):
    save_file({"w": torch.tensor(values, dtype=torch.float64)}, tmp_path / "m.safetensors")
    histogram = by_name(tmp_path / "m.safetensors")["w"]["histogram"]
    assert (histogram["low"], histogram["high"]) == (min(values), max(values))
    assert [histogram["counts"][0], histogram["counts"][-1]] == [1, 1]


@pytest.mark.parametrize("kernel", [(), (1, 1)])
def test_columns_are_sampled_alike(tmp_path: Path, kernel: tuple[int, ...]):
    """A matrix, or a convolution, whose columns are constants: every column must be in the sample."""
    columns = torch.arange(512.0).repeat(1024, 1)
    save_file({"w": columns.reshape(*columns.shape, *kernel)}, tmp_path / "m.safetensors")
    counts = by_name(tmp_path / "m.safetensors")["w"]["histogram"]["counts"]
    assert max(counts) < 1.1 * min(counts)


def test_a_digest_is_the_sha256_of_the_bytes_in_row_major_order(tmp_path: Path):
    tensors = {"w": bits(torch.float32, 30, 50).T, "b": bits(torch.bfloat16, 7), "empty": torch.empty(0, 3)}
    found = by_name(save(tmp_path / "m.pt", tensors), digest=True)
    for name, tensor in tensors.items():
        assert found[name]["digest"] == hashlib.sha256(raw_bytes(tensor)).hexdigest()
    assert by_name(tmp_path / "m.pt")["w"]["digest"] is None


def test_patterns_take_what_they_match_in_the_checkpoints_order(tmp_path: Path):
    path = single(tmp_path / "m.safetensors")
    assert list(by_name(path, "*.bias", r"re:layers\.\d\.bias", "norm.weight")) == [
        "layers.0.bias", "layers.1.bias", "norm.weight",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("*.bais", initctl.FitError, r"pattern \*\.bais: matches no tensor; did you mean '\*\.bias'\?"),
        ("norm.weight[1:]", initctl.UsageError, "selects rows; name whole tensors"),
        ("a[b", initctl.RuleError, "bracket"),
    ],
)
def test_a_pattern_that_takes_nothing_is_an_error(tmp_path: Path, pattern: str, error: type, message: str):
    with pytest.raises(error, match=message):
        initctl.stats(single(tmp_path / "m.safetensors"), [pattern])


def test_one_pattern_without_a_list_is_an_error(tmp_path: Path):
    with pytest.raises(initctl.UsageError, match="patterns: must be a list"):
        initctl.stats(single(tmp_path / "m.safetensors"), "*.bias")


def test_what_is_not_numbers_is_listed_with_the_reason(tmp_path: Path):
    tensors = {"w": torch.ones(3), "sparse": torch.eye(4).to_sparse(), "meta": torch.empty(5, device="meta")}
    found = by_name(save(tmp_path / "m.pt", tensors))
    check(found["w"], tensors["w"])
    for name in ("sparse", "meta"):
        assert found[name]["unreadable"]
        assert found[name]["mean"] is None
    assert found["sparse"]["unreadable"] in initctl.stats(tmp_path / "m.pt").report()[0].rows[1][-1]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each read of tensors."""
    made: list[int] = []

    def noted(descriptor: int, room: memoryview, start: int) -> None:
        made.append(room.nbytes)
        read_into(descriptor, room, start)

    monkeypatch.setattr("initctl.reading.read_into", noted)
    return made


def test_a_transposed_matrix_is_read_from_its_beginning_to_its_end(tmp_path: Path, reads: list[int]):
    matrix = torch.randn(3000, 2000)
    torch.save({"w": matrix.T}, tmp_path / "m.pt")
    check(by_name(tmp_path / "m.pt")["w"], matrix.T)
    assert sum(reads) == matrix.nbytes
    assert len(reads) < 30


def test_a_digest_of_a_transposed_matrix_takes_few_reads(tmp_path: Path, reads: list[int]):
    matrix = torch.randn(3000, 4000)
    torch.save({"w": matrix.T}, tmp_path / "m.pt")
    found = by_name(tmp_path / "m.pt", digest=True)["w"]
    assert found["digest"] == hashlib.sha256(raw_bytes(matrix.T)).hexdigest()
    assert sum(reads) < 7 * matrix.nbytes
    assert len(reads) < 20 * 3000


def test_a_large_tensor_whose_digest_is_taken_is_left_when_the_rest_is(tmp_path: Path, reads: list[int]):
    path, size = tmp_path / "m.safetensors", 1 << 27
    header = json.dumps({
        "b": {"dtype": "F32", "shape": [100_000], "data_offsets": [0, 400_000]},
        "w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [400_000, 400_000 + size]},
    }).encode()  # fmt: skip
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 400_000 + size)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        initctl.stats(path, digest=True, threads=2, on_event=stop)
    assert sum(reads) < size


def test_a_digest_changes_no_number(tmp_path: Path):
    save_file({"w": torch.randn(3 * PIECE // 4 + 7)}, tmp_path / "m.safetensors")
    without, found = (by_name(tmp_path / "m.safetensors", digest=digest)["w"] for digest in (False, True))
    assert found | {"digest": None} == without


def test_progress_comes_to_the_bytes_of_all_tensors(tmp_path: Path):
    save_file({"w": torch.zeros(3_000_000), "b": torch.zeros(5)}, tmp_path / "m.safetensors")
    events: list[Any] = []
    initctl.stats(tmp_path / "m.safetensors", on_event=events.append)
    assert events[-1] == Progress(12_000_020, 12_000_020)


def test_many_tensors_are_folded_and_measured_together(tmp_path: Path):
    tensors = {f"layers.{n}.weight": torch.full((10,), n + 1.0) for n in range(40)} | {"norm": torch.ones(3)}
    save_file(tensors, tmp_path / "m.safetensors")
    result = initctl.stats(tmp_path / "m.safetensors")
    rows = result.report()[0].rows
    assert [row[0] for row in rows] == ["layers.{0..39}.weight ×40", "norm"]
    assert [row[3:7] for row in rows] == [("20.5", "11.54", "1", "40"), ("1", "0", "1", "1")]
    assert len(result.report(unfold=True)[0].rows) == 41


def test_layers_that_are_nan_or_zero_have_rows_of_their_own(tmp_path: Path):
    tensors = {f"layers.{n}.weight": torch.randn(10) for n in range(40)}
    tensors["layers.7.weight"][:] = torch.nan
    tensors["layers.9.weight"][:] = 0
    tensors["layers.11.weight"][3] = torch.inf
    save_file(tensors, tmp_path / "m.safetensors")
    rows = {row[0]: row[-1] for row in initctl.stats(tmp_path / "m.safetensors").report()[0].rows}
    assert rows == {
        "layers.{0..6,8,10,12..39}.weight ×37": "",
        "layers.7.weight": "10 NaN",
        "layers.9.weight": "10 zeros",
        "layers.11.weight": "1 Inf",
    }


def test_layers_are_drawn_in_their_order(tmp_path: Path):
    tensors = {f"layers.{n}.weight": torch.tensor([-1.0, 1.0]) * (n + 1) for n in range(12)} | {"norm": torch.ones(3)}
    save_file(tensors, tmp_path / "m.safetensors")
    (listing,) = initctl.stats(tmp_path / "m.safetensors").by_layer()
    (row,) = listing.rows
    assert row[:2] == ("layers.{0..11}.weight ×12", "12")
    assert row[2:5] == ("▁▂▂▃▄▄▅▆▆▇██", "1", "12")


def test_layers_of_the_largest_doubles_are_drawn(tmp_path: Path):
    values = torch.tensor([1.7e308, -1.7e308], dtype=torch.float64)
    tensors = {"layers.0.w": values, "layers.1.w": values.repeat_interleave(PIECE), "layers.2.w": values / 1e200}
    save_file(tensors, tmp_path / "m.safetensors")
    result = initctl.stats(tmp_path / "m.safetensors")
    (listing,) = result.by_layer()
    assert listing.rows[0][2:5] == ("██▁", "inf", "1.7e+108")
    assert by_name(tmp_path / "m.safetensors")["layers.1.w"]["mean"] == pytest.approx(0, abs=1e295)


def test_it_shows_itself_wherever_it_is_looked_at(tmp_path: Path):
    result = initctl.stats(single(tmp_path / "m.safetensors"))
    assert "embed.weight" in repr(result)
    assert "<table>" in result._repr_html_()
    assert isinstance(result, initctl.Statistics)
