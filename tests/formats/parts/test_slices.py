"""Directories of HuggingFaceStorageWriter: each rank's file holds slices, and together they are one checkpoint."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import initctl
from initctl.formats.torch_save import looks
from tests.formats.ranks import RULES, WORLDS, loaded_slices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

SLICED = tuple(rule for rule in RULES if not rule.startswith("transposed"))
"""The writer cannot hold a transposed tensor."""
KINDS = ("slices", "two-files")


@pytest.fixture(scope="module")
def expected(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What the rules give in one plain file."""
    out = tmp_path_factory.mktemp("expected") / "whole.safetensors"
    initctl.apply(reference, out, rules=RULES, seed=5)
    return {name: tensor for name, tensor in load_file(out).items() if name != "transposed"}


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert [name for name in one if one[name].dtype != other[name].dtype] == []


def slice_file(path: Path, tensors: Mapping[str, Tensor], starts: Any) -> Path:
    """A file of slices, as the writer makes it."""
    info = starts if isinstance(starts, str) else json.dumps({n: {"saved_offsets": s} for n, s in starts.items()})
    metadata = {"DCP_VERSION": "1.0", "format": "pt", "DCP_SHARDING_INFO": info}
    save_file(dict(tensors), path, metadata)
    return path


def halves(folder: Path) -> tuple[Path, Path]:
    """The files of two ranks."""
    whole = torch.arange(24.0).reshape(6, 4)
    names = [folder / f"shard-0000{rank}-model-00001-of-00001.safetensors" for rank in (1, 2)]
    slice_file(names[0], {"w": whole[:3].clone()}, {"w": [0, 0]})
    slice_file(names[1], {"w": whole[3:].clone()}, {"w": [3, 0]})
    return names[0], names[1]


def refusal(path: Path) -> str:
    with pytest.raises(initctl.InputError) as raised:
        initctl.inspect(path)
    return str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", WORLDS)
def test_the_directory_is_one_checkpoint_of_whole_tensors(saved: Path, expected: Any, kind: str, ranks: int):
    table = initctl.inspect(saved / f"{kind}-{ranks}")
    assert {t.name: t.shape for t in table.tensors} == {name: tuple(t.shape) for name, t in expected.items()}
    assert len(table.files) == len(list((saved / f"{kind}-{ranks}").iterdir()))
    assert all(metadata == {"format": "pt"} for metadata in table.metadata.values())
    if ranks == 4 and kind == "slices":
        (grid,) = (t for t in table.tensors if t.name == "grid")
        assert [block.start for block in grid.blocks] == [(0, 0), (0, 4), (3, 0), (3, 4)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", WORLDS)
def test_each_file_gets_its_own_slice_of_the_values(saved: Path, expected: Any, tmp_path: Path, kind: str, ranks: int):
    """Rows, columns, a grid, replicated and unsliced tensors; torch's own reader reads the result."""
    source = saved / f"{kind}-{ranks}"
    initctl.apply(source, tmp_path / "out", rules=SLICED, seed=5)
    assert_same(loaded_slices(tmp_path / "out", expected), expected)
    assert initctl.verify(source, tmp_path / "out", rules=SLICED, seed=5).holds
    for file in source.iterdir():
        with safe_open(file, "pt") as before, safe_open(tmp_path / "out" / file.name, "pt") as after:
            assert before.metadata() == after.metadata()


@pytest.mark.parametrize("in_place", [True, "patch"])
def test_it_is_written_in_place(saved: Path, expected: Any, tmp_path: Path, in_place: Any):
    shutil.copytree(saved / "slices-4", tmp_path / "in")
    initctl.apply(tmp_path / "in", rules=SLICED, seed=5, in_place=in_place)
    assert_same(loaded_slices(tmp_path / "in", expected), expected)


@pytest.mark.parametrize("ranks", WORLDS)
def test_conversion_puts_the_slices_together(saved: Path, reference: Path, expected: Any, tmp_path: Path, ranks: int):
    source = saved / f"slices-{ranks}"
    initctl.apply(source, tmp_path / "one.safetensors", rules=SLICED, seed=5)
    assert_same(load_file(tmp_path / "one.safetensors"), expected)
    initctl.apply(source, tmp_path / "shards", max_shard_size="300B")
    tensors = {k: v for path in (tmp_path / "shards").glob("*.safetensors") for k, v in load_file(path).items()}
    assert_same(tensors, {name: tensor for name, tensor in load_file(reference).items() if name != "transposed"})
    with safe_open(tmp_path / "one.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert initctl.verify(source, tmp_path / "one.safetensors", rules=SLICED, seed=5).holds


@pytest.mark.parametrize(("size", "names"), [
    ("1GB", ["model.safetensors"]),
    ("60B", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]),
])  # fmt: skip
def test_what_is_put_together_is_called_as_loaders_expect_and_not_after_a_rank(tmp_path: Path, size: str, names: Any):
    (tmp_path / "in").mkdir()
    slice_file(halves(tmp_path / "in")[0], {"v": torch.ones(4), "w": torch.ones(3, 4)}, {"v": [0], "w": [0, 0]})
    initctl.apply(tmp_path / "in", tmp_path / "out", max_shard_size=size)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_a_file_of_slices_that_is_named_by_itself_is_refused(tmp_path: Path):
    first, second = halves(tmp_path)
    for path in (first, second):
        assert refusal(path) == (
            f"{path}: contains only one rank's slices of tensors (DCP_SHARDING_INFO); "
            f"name the directory to read all ranks as one checkpoint: {tmp_path}"
        )
    first.unlink()
    renamed = second.rename(tmp_path / "model.safetensors")
    assert "contains only one rank's slices" in refusal(renamed)
    assert "its slices leave gaps" in refusal(tmp_path)


def test_the_file_of_one_rank_that_saved_all_is_a_plain_file(saved: Path, expected: Any):
    (path,) = (saved / "slices-1").iterdir()
    assert {t.name for t in initctl.inspect(path).tensors} == set(expected)
    assert initctl.inspect(path).format == "safetensors"


@pytest.mark.parametrize(("starts", "fault"), [
    ({"w": [2, 0]}, "tensor w: its slices leave gaps, overlap, or reach outside of it; get the files of all ranks"),
    ({"w": [4, 0]}, "tensor w: its slices leave gaps"),
    ({"w": [3, 1]}, "tensor w: its slices leave gaps"),
    ({"w": [3]}, "has no valid saved_offsets for tensor w"),
    ({"w": [3, -1]}, "has no valid saved_offsets for tensor w"),
    ({"w": [3, True]}, "has no valid saved_offsets for tensor w"),
    ({"w": [3.0, 0]}, "has no valid saved_offsets for tensor w"),
    ({"w": [2**63, 0]}, "has no valid saved_offsets for tensor w"),
    ({"w": [2**62, 2**62]}, "tensor w: has more elements than is possible"),
    ({"v": [3, 0]}, "has no valid saved_offsets for tensor w"),
    ('{"w": [3, 0]}', "has no valid saved_offsets for tensor w"),
    ("[]", "DCP_SHARDING_INFO: not a JSON object"),
    ("{", "DCP_SHARDING_INFO: "),
])  # fmt: skip
def test_slices_that_do_not_make_up_a_tensor_are_refused(tmp_path: Path, starts: Any, fault: str):
    _, second = halves(tmp_path)
    slice_file(second, {"w": torch.ones(3, 4)}, starts)
    assert fault in refusal(tmp_path)


@pytest.mark.parametrize("other", [torch.ones(3, 4).half(), torch.ones(3, 4, 1)])
def test_slices_of_other_dtypes_or_numbers_of_dims_are_refused(tmp_path: Path, other: Tensor):
    _, second = halves(tmp_path)
    slice_file(second, {"w": other}, {"w": [3, 0, 0][: other.ndim]})
    assert "tensor w: its slices differ in dtype or number of dimensions" in refusal(tmp_path)


def test_slices_that_take_too_many_steps_to_check_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Seven ranks: each has one half of what is left, along another dim. All edges together make 64 cells, one step."""
    for rank in range(7):
        shape = [1 if dim <= rank else 2 for dim in range(6)]
        slice_file(tmp_path / f"{rank}.safetensors", {"w": torch.ones(shape)}, {"w": [1] * rank + [0] * (6 - rank)})
    assert [tensor.shape for tensor in initctl.inspect(tmp_path).tensors] == [(2,) * 6]
    monkeypatch.setattr(looks, "MOST_LOOKS", 0)
    assert refusal(tmp_path) == (
        f"{tmp_path}: tensor w: needs more than 0 steps: it has too many parts, or repeats them too often"
    )


def test_a_file_without_slices_beside_them_is_refused_by_its_name(tmp_path: Path):
    halves(tmp_path)
    save_file({"lora": torch.ones(2)}, tmp_path / "z_adapter.safetensors")
    assert refusal(tmp_path) == (
        f"{tmp_path}: contains slices of ranks, but also z_adapter.safetensors without DCP_SHARDING_INFO; "
        "move other checkpoints to another directory"
    )


def test_ranks_that_hold_nothing_of_a_tensor_do_not_matter(tmp_path: Path):
    """With more ranks than rows, the last ones hold empty slices at the same place."""
    names = [tmp_path / f"shard-0000{rank}-model-00001-of-00001.safetensors" for rank in range(1, 5)]
    for rank, name in enumerate(names):
        rows = torch.full((1 if rank < 2 else 0, 3), float(rank))
        slice_file(name, {"w": rows, "none": torch.ones(0, 3)}, {"w": [min(rank, 2), 0], "none": [0, 0]})
    initctl.apply(tmp_path, tmp_path.parent / "out", rules=["w=normal"])
    assert {t.name: t.shape for t in initctl.inspect(tmp_path).tensors} == {"w": (2, 3), "none": (0, 3)}
    read = loaded_slices(tmp_path.parent / "out", {"w": torch.ones(2, 3)})["w"]
    save_file({"w": torch.ones(2, 3)}, tmp_path.parent / "plain.safetensors")
    initctl.apply(tmp_path.parent / "plain.safetensors", tmp_path.parent / "one.safetensors", rules=["w=normal"])
    assert torch.equal(read, load_file(tmp_path.parent / "one.safetensors")["w"])
