"""A process that stands for one rank of many."""

from __future__ import annotations

import pytest
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore


@pytest.fixture
def as_rank():
    """Makes this process one rank of eight, whose collectives do nothing."""

    def as_rank(rank):
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=8)

    yield as_rank
    if dist.is_initialized():
        dist.destroy_process_group()
