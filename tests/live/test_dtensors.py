"""The parts of a DTensor on a rank are where torch puts them, for all placements: each rank of a group of eight is made
up in turn, since nothing is communicated.
"""

from __future__ import annotations

import random

import pytest
import torch
from torch.distributed.tensor import DeviceMesh, DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.placement_types import _StridedShard
from torch.testing._internal.two_tensor import TwoTensor

from initctl.live.pieces import Unfillable, pieces, whole_shape

RANKS = 8


def mesh(*shape):
    return DeviceMesh("cpu", torch.arange(RANKS).reshape(shape))


def cut_by_torch(whole, mesh, placements):
    """The DTensor of this rank, by torch's own function that cuts a tensor for a placement."""
    local = whole
    for dim, placement in enumerate(placements):
        if not placement.is_replicate():
            shares, _ = placement._split_tensor(local, mesh.size(dim), with_padding=False)
            local = shares[mesh.get_local_rank(dim)]
    return DTensor.from_local(local.clone(), mesh, placements, shape=whole.shape, stride=whole.stride())


def any_placement(drawn, dims):
    shards = [Shard(dim) for dim in range(dims)]
    strided = [_StridedShard(dim, split_factor=drawn.choice([2, 3, 4])) for dim in range(dims)]
    return drawn.choice([Replicate(), *shards, *shards, *strided])


@pytest.mark.parametrize("rank", range(RANKS))
@pytest.mark.parametrize("shape", [(8,), (2, 4), (4, 2), (2, 2, 2)])
def test_every_element_is_located_for_any_placements_and_sizes(as_rank, shape, rank):
    as_rank(rank)
    drawn = random.Random(str(shape))
    for _ in range(40):
        sizes = [drawn.randint(0, 19) for _ in range(drawn.randint(1, 3))]
        whole = torch.arange(torch.Size(sizes).numel()).reshape(sizes)
        tensor = cut_by_torch(whole, mesh(*shape), [any_placement(drawn, len(sizes)) for _ in shape])
        found = list(pieces(tensor))
        for memory, start in found:
            there = tuple(slice(first, first + size) for first, size in zip(start, memory.shape, strict=True))
            assert torch.equal(memory, whole[there])
        assert sum(memory.numel() for memory, _ in found) == tensor.to_local().numel()
        assert whole_shape(tensor) == tuple(sizes)


def test_a_piece_is_the_memory_of_the_parameter(as_rank):
    as_rank(3)
    weight = torch.nn.Parameter(distribute_tensor(torch.ones(16, 2), mesh(8), [Shard(0)], src_data_rank=None))
    ((memory, start),) = pieces(weight)
    memory.zero_()
    assert start == (6, 0)
    assert not weight.to_local().any()


def test_a_tensor_without_dimensions_is_whole_on_each_rank(as_rank):
    as_rank(3)
    ((memory, start),) = pieces(distribute_tensor(torch.tensor(1.0), mesh(8), [Replicate()], src_data_rank=None))
    assert memory.shape == start == ()


def test_a_rank_outside_of_the_mesh_holds_nothing(as_rank):
    as_rank(3)
    others = DeviceMesh("cpu", [0, 1])
    assert list(pieces(distribute_tensor(torch.ones(4), others, [Shard(0)], src_data_rank=None))) == []


def test_terms_of_a_sum_are_refused(as_rank):
    as_rank(3)
    terms = DTensor.from_local(torch.ones(4), mesh(8), [Partial()])
    with pytest.raises(Unfillable, match=r"the placements P\(sum\) of a mesh of \[8\]: a rank holds no elements of it"):
        list(pieces(terms))


def test_a_rank_that_holds_another_shape_than_placed_is_refused(as_rank):
    as_rank(3)
    wrong = DTensor.from_local(torch.ones(3, 2), mesh(8), [Shard(0)], shape=torch.Size([16, 2]), stride=(2, 1))
    with pytest.raises(Unfillable, match=r"give this rank a shape of \[2, 2\], but it holds \[3, 2\]"):
        list(pieces(wrong))


def test_a_part_that_wraps_other_tensors_is_refused(as_rank):
    as_rank(3)
    local = TwoTensor(torch.ones(2), torch.ones(2))
    wrapped = DTensor.from_local(local, mesh(8), [Shard(0)], shape=torch.Size([16]), stride=(1,))
    with pytest.raises(Unfillable, match="the part of it on this rank is a tensor subclass, TwoTensor"):
        list(pieces(wrapped))
