"""Elements are read by their index in the tensor, however they lie."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from initctl.formats import read_checkpoint
from initctl.layout.runs import boxes
from initctl.reading import TensorReader
from initctl.reshaping import NewShape, reshaped

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = st.lists(st.integers(1, 5), max_size=4).map(tuple)


@given(shape=SHAPES, data=st.data())
def test_boxes_hold_a_range_of_elements_in_their_order(shape: tuple[int, ...], data: st.DataObject):
    numbers = np.arange(prod(shape)).reshape(shape)
    start = data.draw(st.integers(0, numbers.size - 1))
    stop = data.draw(st.integers(start + 1, numbers.size))
    found = [
        numbers[tuple(slice(first, first + size) for first, size in zip(*box, strict=True))].reshape(-1)
        for box in boxes(shape, start, stop)
    ]
    assert np.concatenate(found).tolist() == list(range(start, stop))
    assert len(found) <= 2 * max(1, len(shape))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=4), data=st.data())
def test_any_range_of_any_view_is_read_as_torch_has_it(tmp_path: Path, shape: list[int], data: st.DataObject):
    order = data.draw(st.permutations(range(len(shape))))
    steps = tuple(slice(None, None, data.draw(st.integers(1, 2))) for _ in shape)
    view = torch.arange(prod(shape), dtype=torch.float32).reshape(shape)[steps].permute(*order)
    torch.save({"w": view}, tmp_path / "m.pt")
    checkpoint = read_checkpoint(tmp_path / "m.pt")
    start = data.draw(st.integers(0, view.numel() - 1))
    stop = data.draw(st.integers(start + 1, view.numel()))
    with TensorReader(checkpoint) as reader:
        found = reader.read(checkpoint.tensors[0], start, stop).view(np.float32)
    assert found.tolist() == view.reshape(-1)[start:stop].tolist()


def test_an_element_that_has_no_value_yet_is_never_read(tmp_path: Path):
    save_file({"w": torch.arange(12.0).reshape(4, 3)}, tmp_path / "model.safetensors")
    table = reshaped(read_checkpoint(tmp_path / "model.safetensors"), {"w": NewShape((6, 3), keeps_rows=True)}, None)
    (tensor,) = table.tensors
    with TensorReader(table) as reader:
        assert reader.read(tensor, 4, 12).view(np.float32).tolist() == list(range(4, 12))
        assert reader.read_rows(tensor, [3, 0], 3).view(np.float32).tolist() == [9, 10, 11, 0, 1, 2]
        for start, stop in ((0, 13), (11, 18), (12, 13), (17, 18)):
            with pytest.raises(LookupError, match="no value yet"):
                reader.read(tensor, start, stop)
        with pytest.raises(LookupError, match="no value yet"):
            reader.read_rows(tensor, [0, 4], 3)
