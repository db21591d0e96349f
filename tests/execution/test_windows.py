"""Windows of a file's content: what is written in each, and where a file must not be cut."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

import initctl
from initctl.execution.drafting import drafted_at
from initctl.execution.execute import opened_writer
from initctl.layout.ranges import ByteRange
from tests.distributed.checkpoints import RULES, archive, misaligned, one_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initctl.execution.content import Content

pytestmark = pytest.mark.filterwarnings("ignore::initctl.InitctlWarning")


class Made(NamedTuple):
    """The content of one file, and where its tensors begin and end."""

    content: Content
    tensors: dict[str, ByteRange]


def made(source: Path, output: Path, *rules: str) -> Made:
    """The one file that is made of `source`."""
    parts = initctl.parts(source, output, rules=rules)
    with opened_writer(parts.delivery, threads=1) as writer:
        draft, _ = drafted_at(str(output), writer, parts.delivery)
    (content,) = draft.contents.values()
    found = {tensor.name: tensor for tensor in writer.checkpoint.tensors}
    begins = content.layout.offsets or {name: tensor.blocks[0].offset for name, tensor in found.items()}
    ends = {name: ByteRange(begin, begin + found[name].nbytes) for name, begin in begins.items()}
    return Made(content, ends)


def test_a_tensor_that_is_computed_as_a_whole_is_indivisible(tmp_path: Path):
    content, tensors = made(one_file(tmp_path), tmp_path / "out.safetensors", *RULES)
    assert content.indivisible == [tensors["whole.weight"]]


def test_a_transposed_tensor_is_indivisible_if_it_is_filled_in_its_place_or_copied_in_its_order(tmp_path: Path):
    source, rule = archive(tmp_path), "proj.weight=normal"
    content, tensors = made(source, tmp_path / "out.pt", rule)
    assert tensors["proj.weight"] in content.indivisible
    content, tensors = made(source, tmp_path / "out.safetensors", rule)
    assert tensors["left.weight"] in content.indivisible
    assert tensors["proj.weight"] not in content.indivisible


def test_a_tensor_whose_elements_a_multiple_of_16_bytes_would_split_is_indivisible(tmp_path: Path):
    content, tensors = made(misaligned(tmp_path), tmp_path / "out.safetensors", "*.weight=normal")
    assert tensors["b.weight"].start % 8
    assert content.indivisible == sorted([tensors["b.weight"], tensors["c.weight"]])


def test_a_file_that_is_copied_can_be_cut_anywhere(tmp_path: Path):
    content, _ = made(archive(tmp_path), tmp_path / "out.pt", "norm.bias=keep", "half.weight=ones")
    assert content._replace(targets=()).indivisible == []


@pytest.mark.parametrize("source", [one_file, archive, misaligned])
@pytest.mark.parametrize("output", ["out.safetensors", "out.pt"])
def test_windows_hold_what_the_file_holds_once(tmp_path: Path, source: Callable[[Path], Path], output: str):
    rules = ["*.weight=normal"] if source is misaligned else list(RULES)
    content, _ = made(source(tmp_path), tmp_path / output, *rules)
    size = content.layout.size
    edges = [0, *(edge for found in content.indivisible for edge in found), size]
    windows = [content.within(ByteRange(*pair)) for pair in pairwise(edges) if pair[0] < pair[1]]
    parts = [part for window in windows for part in window.layout.parts]
    assert _joined(parts) == _joined(content.layout.parts)
    assert sum(_total(window.kept) for window in windows) == _total(content.kept)
    sections = [section for window in windows for section in window.sections]
    assert [section.start for section in sections] == [0, *(section.stop for section in sections[:-1])]
    assert sections[-1].stop == size
    assert sum(window.nbytes for window in windows) == content.nbytes - sum(
        c.stop - c.start for _, c in content.checked
    )


def _joined(parts: list[tuple[int, bytes]]) -> dict[int, int]:
    """Each byte by its place."""
    return {place + number: byte for place, data in parts for number, byte in enumerate(bytes(data))}


def _total(ranges: list[ByteRange]) -> int:
    return sum(stop - start for start, stop in ranges)
