"""Each rank's share of every tensor in FSDP's flat parameters is where FSDP puts it together."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.distributed.tensor import init_device_mesh

from initctl.errors import InputError
from initctl.live import fsdp1
from initctl.live.flat_share import FlatShare
from tests.live import sharded


class Net(nn.Module):
    """Tied, in a module of its own, without a bias, of odd sizes, and in another order of memory."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 5)
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.block = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 5))
        self.head = nn.Linear(5, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.block(self.embed(ids)))


def wrapped(net, **options):
    return sharded.fsdp1(net, auto_wrap_policy=ModuleWrapPolicy({nn.Sequential}), **options)


def flat_shares(model):
    return {name: share for name, share in fsdp1.tensors(model).items() if isinstance(share, FlatShare)}


def numbers(shape):
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


def names_put_together_wrongly(**options):
    """The names of the tensors, and of those that are not `numbers` after each rank has filled its pieces with them."""
    model = wrapped(Net(), **options)
    shares = flat_shares(model)
    for share in shares.values():
        for memory, start in share.pieces:
            there = tuple(slice(first, first + size) for first, size in zip(start, memory.shape, strict=True))
            memory.copy_(numbers(share.shape)[there])
    names = [*shares]
    with FullyShardedDataParallel.summon_full_params(model):
        found = dict(model.named_parameters(remove_duplicate=False))
        return names, [name for name in names if not torch.equal(found[name], numbers(found[name].shape))]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("strategy", ["FULL_SHARD", "SHARD_GRAD_OP", "NO_SHARD"])
@pytest.mark.parametrize("use_orig_params", [True, False])
def test_the_pieces_of_all_ranks_make_up_each_tensor(ranks, size, strategy, use_orig_params):
    options = {"sharding_strategy": ShardingStrategy[strategy], "use_orig_params": use_orig_params}
    for names, wrong in ranks.run(size, names_put_together_wrongly, **options):
        assert sorted(names) == sorted(name for name, _ in Net().named_parameters(remove_duplicate=False))
        assert wrong == []


def most_pieces():
    model = wrapped(Net())
    return max(len(list(share.pieces)) - 2 * len(share.shape) for share in flat_shares(model).values())


def test_a_share_has_fewer_than_two_pieces_a_dim(ranks):
    assert max(ranks.run(3, most_pieces)) < 0


def is_tied():
    shares = flat_shares(wrapped(Net()))
    return shares["head.weight"] is shares["embed.weight"]


def test_tied_tensors_are_one_share(ranks):
    assert ranks.run(1, is_tied) == [True]


def listed_while_put_together():
    model = wrapped(Net())
    with FullyShardedDataParallel.summon_full_params(model):
        return list(flat_shares(model))


def test_tensors_that_are_put_together_are_parameters_and_no_shares(ranks):
    assert ranks.run(2, listed_while_put_together) == [[], []]


def refused_between_forward_and_backward():
    model = wrapped(Net(), sharding_strategy=ShardingStrategy.SHARD_GRAD_OP)
    flat_shares(model)
    loss = model(torch.zeros(1, dtype=torch.int64)).sum()
    with pytest.raises(InputError) as caught:
        flat_shares(model)
    loss.backward()
    flat_shares(model)
    return str(caught.value)


def test_tensors_that_a_forward_pass_left_whole_are_refused(ranks):
    for said in ranks.run(2, refused_between_forward_and_backward):
        assert said.startswith(
            "a forward pass has put FSDP's parameters together, and the next one would use them again"
        )


def group_sizes(shape):
    options = {"device_mesh": init_device_mesh("cpu", shape), "sharding_strategy": ShardingStrategy.HYBRID_SHARD}
    model = wrapped(Net(), **options if len(shape) > 1 else {})
    return [group.size() for group in fsdp1.groups(model)], fsdp1.groups(Net())


@pytest.mark.parametrize(("shape", "sizes"), [((3,), [3]), ((2, 2), [2, 2])])
def test_the_ranks_that_must_agree_are_those_of_the_model(ranks, shape, sizes):
    size = prod(shape)
    assert ranks.run(size, group_sizes, shape) == [(sizes, [])] * size
