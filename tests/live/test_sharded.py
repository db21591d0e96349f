"""A model that is spread over ranks gets the bits of the file that `apply` writes, however torch spreads it."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file, save_file

import initctl
from tests.live import sharded
from tests.live.sharded import MLP_RULES, ZOO_RULES, Mlp, Zoo

SEED = 7
RULES = {Zoo: ZOO_RULES, Mlp: MLP_RULES}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The digests of the tensors in a file that `apply` wrote, by model."""
    folder, found = tmp_path_factory.mktemp("applied"), {}
    for kind, rules in RULES.items():
        path, output = folder / f"{kind.__name__}.safetensors", folder / f"{kind.__name__}-applied.safetensors"
        save_file(kind().state_dict(), path)
        initctl.apply(path, output, rules=rules, seed=SEED)
        found[kind] = {name: sharded.digest(tensor) for name, tensor in load_file(output).items()}
    return found


def filled(kind, shard):
    model = sharded.from_meta(kind, shard)
    initctl.init_(model, rules=RULES[kind], seed=SEED)
    return sharded.held(model)


@pytest.mark.parametrize(
    ("kind", "shard", "sizes"),
    [
        (Zoo, sharded.fsdp2, (1, 2, 4)),
        (Zoo, sharded.fsdp2_dim1, (2, 4)),
        (Zoo, sharded.hsdp, (4,)),
        (Zoo, sharded.replicated, (2,)),
        (Zoo, sharded.cut_in_two_dims, (2, 4)),
        (Zoo, sharded.cut_twice_in_one_dim, (4,)),
        (Mlp, sharded.fsdp2_offloaded, (2,)),
        (Mlp, sharded.tp, (1, 2, 4)),
        (Mlp, sharded.fsdp2_tp, (4,)),
        (Mlp, sharded.fsdp2_dim1, (3,)),
    ],
)
def test_a_sharded_model_gets_the_bits_of_the_file(ranks, expected, kind, shard, sizes):
    for size in sizes:
        for found in ranks.run(size, filled, kind, shard):
            assert found == expected[kind]
