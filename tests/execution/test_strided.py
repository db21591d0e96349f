"""Elements that lie in another order than the tensor's, or with gaps: the values are those of the contiguous tensor."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import initctl
from initctl.dtypes import BY_NAME
from initctl.events import Progress
from initctl.execution import tasks
from initctl.execution.tasks import gather_tasks, strided_tasks
from initctl.filling.computer import Computer
from initctl.filling.targets import TargetBlock
from initctl.layout.runs import tiles
from initctl.planning import Action
from initctl.rules import parse_rule
from initctl.stream import Constant, Law, Normal, Uniform
from initctl.stream.engines import Engine
from initctl.tensors import Block, TensorSpec
from tests.events import on
from tests.execution.checkpoints import raw_bytes, recomputed
from tests.execution.torch_files import FORMATS, MODES, apply, bits, load, rewritten, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from initctl.workers import Task

COMPUTER = Computer(0, {"cpu": Engine()})
HEAD = 24
"""Bytes of the file before the storage."""
DTYPES = st.sampled_from([torch.uint8, torch.bfloat16, torch.float32, torch.float64])
LAWS = st.sampled_from([Normal(0, 0.5), Uniform(1, 2), Constant(3)])


@dataclass(frozen=True)
class Placed:
    """A view into a storage, which is a rectangle of the tensor of `shape` from `start` on, and a size for tiles."""

    storage: torch.Tensor
    view: torch.Tensor
    start: tuple[int, ...]
    shape: tuple[int, ...]
    tile: int

    @property
    def block(self) -> Block:
        width = self.storage.itemsize
        offset = HEAD + self.view.storage_offset() * width
        return Block("file", offset, self.start, tuple(self.view.shape), self.view.stride())

    @property
    def tensor(self) -> TensorSpec:
        dtype = BY_NAME[str(self.storage.dtype).removeprefix("torch.")]
        return TensorSpec("t", dtype, self.shape, (self.block,))

    @property
    def content(self) -> bytes:
        return bytes(HEAD) + raw_bytes(self.storage)

    @property
    def region(self) -> tuple[slice, ...]:
        """The rectangle."""
        return tuple(slice(first, first + size) for first, size in zip(self.start, self.view.shape, strict=True))

    def filled(self, law: Law) -> bytes:
        """The content with the values that the rectangle has in the contiguous tensor."""
        storage = self.storage.clone()
        values = recomputed("t", law, self.shape, dtype=self.storage.dtype)
        places = torch.arange(storage.numel())
        storage[places.as_strided(self.view.shape, self.view.stride(), self.view.storage_offset())] = values[
            self.region
        ]
        return bytes(HEAD) + raw_bytes(storage)


@st.composite
def placed(draw: st.DrawFn, *, expanded: bool = False, whole: bool = False) -> Placed:
    """Views by reshaping a part of a storage, permuting, slicing with steps, adding dims and expanding them."""
    sizes = draw(st.lists(st.integers(1, 7), max_size=4))
    before, after = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    storage = bits(draw(DTYPES), before + prod(sizes) + after, seed=draw(st.integers(0, 9)))
    view = storage[before : before + prod(sizes)].reshape(sizes).permute(draw(st.permutations(range(len(sizes)))))
    for dim, size in enumerate(view.shape):
        first = draw(st.integers(0, size - 1))
        step = draw(st.integers(1, 3))
        view = view.movedim(dim, 0)[first::step].movedim(0, dim)
    for _ in range(draw(st.integers(1 if expanded else 0, 2))):
        view = view.unsqueeze(draw(st.integers(0, view.ndim)))
    if expanded:
        view = view.expand([draw(st.integers(2, 4)) if size == 1 else size for size in view.shape])
    start = tuple(0 if whole else draw(st.integers(0, 3)) for _ in view.shape)
    beyond = tuple(0 if whole else draw(st.integers(0, 2)) for _ in view.shape)
    shape = tuple(map(sum, zip(start, view.shape, beyond, strict=True)))
    tile = draw(st.sampled_from([1, 3, 10, 60, 10**6])) * storage.itemsize
    return Placed(storage, view, start, shape, tile)


def target(case: Placed, law: Law) -> TargetBlock:
    """The rectangle, each of its bytes once, to be filled."""
    action = Action(case.tensor, parse_rule("*=zeros", "rule 1"), "zeros", {}, {}, law)
    return TargetBlock(action, case.block.distinct, law)


def written(content: bytes, made: Callable[[int], Iterable[Task]]) -> bytes:
    """A file of `content` after the tasks that write to its descriptor were run, the last one first."""
    with tempfile.TemporaryFile() as stream:
        stream.write(content)
        stream.flush()
        for task in reversed(list(made(stream.fileno()))):
            task.run()
        stream.seek(0)
        return stream.read()


@given(case=placed(), law=LAWS)
@settings(deadline=None)
def test_filling_gives_the_values_of_the_contiguous_tensor_and_keeps_what_is_in_gaps(case: Placed, law: Law):
    if case.storage.dtype == torch.uint8:
        law = Constant(3)
    with patch.object(tasks, "TILE", case.tile):
        sizes = [task.nbytes for task in strided_tasks([target(case, law)], COMPUTER, -1)]
        content = written(case.content, lambda file: strided_tasks([target(case, law)], COMPUTER, file))
    assert sum(sizes) == case.view.nbytes
    assert max(sizes) <= case.tile
    assert content == case.filled(law)


@given(case=placed(expanded=True))
@settings(deadline=None)
def test_an_expanded_tensor_is_filled_with_a_constant_where_it_lies(case: Placed):
    with patch.object(tasks, "TILE", case.tile):
        twos = target(case, Constant(2))
        assert written(case.content, lambda file: strided_tasks([twos], COMPUTER, file)) == case.filled(Constant(2))


@given(case=st.one_of(placed(), placed(expanded=True), placed(whole=True), placed(whole=True, expanded=True)))
@settings(deadline=None)
def test_what_is_gathered_is_the_contiguous_tensor(case: Placed):
    wanted = torch.zeros(case.shape, dtype=case.storage.dtype)
    wanted[case.region] = case.view
    with tempfile.TemporaryFile() as source, patch.object(tasks, "TILE", case.tile):
        source.write(case.content)
        source.flush()
        gathered = partial(gather_tasks, case.tensor, case.block, source.fileno(), begin=5)
        assert sum(task.nbytes for task in gathered(-1)) == case.view.nbytes
        assert written(bytes(5 + wanted.nbytes + 3), gathered) == bytes(5) + raw_bytes(wanted) + bytes(3)


@given(case=st.one_of(placed(), placed(expanded=True)))
@settings(deadline=None)
def test_tiles_cover_each_element_once_and_lie_where_it_does(case: Placed):
    width, block = case.storage.itemsize, case.block
    owned = np.zeros(case.shape, int)
    for tile in tiles(block, width, case.tile):
        assert tile.numel * width <= case.tile
        assert (tile.file, tile.strides) == (block.file, block.strides)
        moved = zip(tile.start, block.start, block.strides, strict=True)
        assert tile.offset - block.offset == width * sum((at - first) * stride for at, first, stride in moved)
        owned[tuple(slice(at, at + size) for at, size in zip(tile.start, tile.shape, strict=True))] += 1
    wanted = np.zeros(case.shape, int)
    wanted[case.region] = 1
    assert (owned == wanted).all()


@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=3), limit=st.sampled_from([4096, 1 << 20]))
@settings(deadline=None, max_examples=30)
def test_no_tile_is_much_longer_than_wide(sizes: list[int], limit: int):
    shape = (*sizes, 5)
    block = next(tiles(TensorSpec.contiguous("t", BY_NAME["uint8"], shape, "file", 0).blocks[0], 1, limit))
    if block.shape != shape:
        assert max(block.shape) <= 1 + 2 * max(n for n, size in zip(block.shape, shape, strict=True) if n < size)
        assert block.numel > limit // 4


LARGE = {
    "transposed": lambda: bits(torch.float32, 700, 1100, seed=1).T,
    "with gaps": lambda: bits(torch.bfloat16, 1500, 1000, seed=2)[1::2, ::2],
    "channels last": lambda: bits(torch.float32, 96, 3, 3, 400, seed=3).permute(0, 3, 1, 2),
    "permuted with a step": lambda: bits(torch.float16, 40, 210, 90, seed=4).permute(2, 0, 1)[:, :, ::2],
}
"""Each of several tiles as they are in earnest."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("laid", LARGE)
def test_a_large_tensor_is_filled_by_several_threads(tmp_path: Path, laid: str, kind: str, mode: str):
    tensors = {"w": LARGE[laid](), "v": bits(torch.float32, 33, seed=5)}
    source = save(tmp_path / "model.pt", tensors, kind)
    before = source.read_bytes()
    out = apply(mode, source, ["w=normal:std=0.02"], threads=3)
    values = recomputed("w", Normal(0, 0.02), tuple(tensors["w"].shape), dtype=tensors["w"].dtype)
    assert out.read_bytes() == rewritten(before, tensors, {"w": values})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("laid", LARGE)
def test_progress_reaches_its_total_and_goes_no_further(tmp_path: Path, laid: str, mode: str):
    source, told = save(tmp_path / "model.pt", {"w": LARGE[laid](), "v": torch.ones(33)}), []
    apply(mode, source, ["w=normal:std=0.02"], on_event=on(Progress, told.append))
    assert max(progress.done for progress in told) == told[-1].done == told[-1].total


@pytest.mark.parametrize("laid", LARGE)
def test_a_large_tensor_is_converted_by_several_threads(tmp_path: Path, laid: str):
    tensors = {"w": LARGE[laid](), "b": bits(torch.float32, 33, seed=5)}
    save(tmp_path / "model.pt", tensors)
    initctl.apply(tmp_path / "model.pt", tmp_path / "out.safetensors", threads=3)
    found = load_file(tmp_path / "out.safetensors")
    assert {name: raw_bytes(tensor) for name, tensor in found.items()} == {
        name: raw_bytes(tensor) for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_an_expanded_tensor_takes_a_constant_and_nothing_else(tmp_path: Path, kind: str):
    source = save(tmp_path / "model.pt", {"w": bits(torch.float32, 3, 1, seed=1).expand(3, 5)}, kind)
    for law in ("normal", "uniform", "eye", "orthogonal"):
        with pytest.raises(initctl.FitError):
            apply("in place", source, [f"w={law}"])
    found = load(apply("in place", source, ["w=constant:val=2"]))["w"]
    assert found.stride() == (1, 0)
    assert torch.equal(found, torch.full((3, 5), 2.0))


def test_elements_that_share_memory_otherwise_are_left_alone(tmp_path: Path):
    source = save(tmp_path / "model.pt", {"w": bits(torch.float32, 9).as_strided((4, 3), (2, 1))})
    with pytest.raises(initctl.FitError, match="share memory with each other"):
        apply("in place", source, ["w=ones"])
