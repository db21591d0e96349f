"""Processes that stay, so that each imports torch once: jobs are run by groups of them, over gloo on this machine.

A job is a function of a test module. Each rank calls it with the same arguments, and its result comes back. A job that
fails on a rank, or hangs, fails the test, and ends the processes.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

_SPAWNED = multiprocessing.get_context("spawn")
_PATIENCE = 90
"""Seconds for a job. A machine under load may need 10."""


class Ranks:
    """Up to `size` ranks of process groups."""

    def __init__(self, folder: Path, size: int = 4) -> None:
        self.folder, self.size, self.jobs = folder, size, 0
        self._workers: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def run(self, size: int, job: Callable[..., Any], *args: object, **named: object) -> list[Any]:
        """What `job` returns on each of the first `size` ranks, inside of a process group of their own."""
        self.jobs += 1
        store = str(self.folder / f"store-{self.jobs}")
        workers = self._started()[:size]
        for rank, (_, pipe) in enumerate(workers):
            pipe.send((partial(job, *args, **named), rank, size, store))
        waiting, results, deadline = (
            {pipe: rank for rank, (_, pipe) in enumerate(workers)},
            {},
            time.monotonic() + _PATIENCE,
        )
        while waiting:
            for pipe in (ready := wait(list(waiting), max(0, deadline - time.monotonic()))):
                rank = waiting.pop(pipe)
                results[rank], fault = self._received(pipe)
                if fault:
                    self.stop()
                    pytest.fail(f"{job.__name__} on rank {rank} of {size}:\n{fault}")
            if not ready:
                self.stop()
                pytest.fail(f"{job.__name__}: ranks {sorted(waiting.values())} of {size} hang")
        return [results[rank] for rank in range(size)]

    def stop(self) -> None:
        """End the processes. The next job starts new ones."""
        for process, pipe in self._workers:
            pipe.close()
            process.kill()
            process.join()
        self._workers = []

    @staticmethod
    def _received(pipe: Connection) -> tuple[Any, str | None]:
        try:
            return pipe.recv()
        except EOFError:
            return None, "the process has died"

    def _started(self) -> list[tuple[multiprocessing.process.BaseProcess, Connection]]:
        while len(self._workers) < self.size:
            ours, theirs = _SPAWNED.Pipe()
            process = _SPAWNED.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._workers.append((process, ours))
        return self._workers


def _serve(pipe: Connection) -> None:
    """Run the jobs that come, one after another."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    with suppress(EOFError, ConnectionResetError):
        while True:
            job, rank, size, store = pipe.recv()
            try:
                dist.init_process_group(
                    "gloo", store=dist.FileStore(store, size), rank=rank, world_size=size, timeout=timedelta(seconds=30)
                )
                pipe.send((job(), None))
                dist.destroy_process_group()
            except BaseException:
                pipe.send((None, traceback.format_exc()))
