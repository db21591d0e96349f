"""The processes of `ranks`, in which other tests run: a job that fails or hangs is a failed test, and not a pass."""

from __future__ import annotations

import time

import pytest
import torch
import torch.distributed as dist

from tests import ranks as module


def rank_and_sum(addend):
    total = torch.tensor(dist.get_rank() + addend)
    dist.all_reduce(total)
    return dist.get_rank(), int(total)


def fail_on(rank):
    if dist.get_rank() == rank:
        raise ValueError("as planned")
    dist.barrier()


def sleep():
    time.sleep(100)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_job_runs_on_each_rank_of_its_own_group(ranks, size):
    assert ranks.run(size, rank_and_sum, 10) == [(rank, sum(range(size)) + 10 * size) for rank in range(size)]


def test_a_failure_of_one_rank_fails_the_test_even_if_another_one_waits(tmp_path):
    some = module.Ranks(tmp_path, 2)
    with pytest.raises(pytest.fail.Exception, match=r"fail_on on rank 1 of 2:\n(.*\n)*ValueError: as planned"):
        some.run(2, fail_on, 1)


def test_a_job_that_hangs_fails_the_test(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 1)
    some = module.Ranks(tmp_path, 1)
    with pytest.raises(pytest.fail.Exception, match=r"sleep: ranks \[0\] of 1 hang"):
        some.run(1, sleep)
