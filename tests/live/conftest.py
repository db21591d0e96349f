"""The processes that stand for ranks, started by the first test that uses them."""

from __future__ import annotations

import pytest
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from tests.live.ranks import Ranks


@pytest.fixture(scope="session")
def ranks(tmp_path_factory):
    processes = Ranks(tmp_path_factory.mktemp("ranks"))
    yield processes
    processes.stop()


@pytest.fixture
def as_rank():
    """Makes this process one rank of eight, whose collectives do nothing."""

    def as_rank(rank):
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=8)

    yield as_rank
    if dist.is_initialized():
        dist.destroy_process_group()
