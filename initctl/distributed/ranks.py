"""The ranks of one run as coworkers. Over a gloo group of their own, they exchange what they found, and failures."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from initctl.coworkers import ALONE, Loads, handed_out
from initctl.distributed.launcher import TORCHRUN, launched
from initctl.errors import ConflictError, InitctlError, Problem, StorageError, listed
from initctl.escaping import as_line
from initctl.grouping import grouped

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from initctl.coworkers import Coworkers
    from initctl.distributed.launcher import Launch

_Found = TypeVar("_Found")
_MEETING = timedelta(minutes=10)
"""Ranks that start later than that do not meet."""
_WORKING = timedelta(days=7)
"""The longest that a rank waits for another one to do its share. A rank that dies is noticed at once."""


class Failure(NamedTuple):
    """An error that ended the work of a rank."""

    kind: type[InitctlError]
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, error: Exception) -> Failure:
        if isinstance(error, InitctlError):
            return cls(type(error), error.problems)
        return cls(StorageError, (Problem("ranks.failed", as_line(f"{type(error).__name__}: {error}")),))


class Ranks:
    """A process is number `rank`, from 0, of `size`. Its `group` is for nothing else."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self.rank, self.size = group.rank(), group.size()
        self.agreed: Exception | None = None
        """The error that all ranks raise, once one has failed."""
        self._loads = Loads(self.size)

    @property
    def count(self) -> int:
        """As for all `Coworkers`."""
        return self.size

    def own(self, sizes: Sequence[int]) -> list[int]:
        """As for all `Coworkers`."""
        return handed_out(sizes, self.size)[self.rank]

    def takes(self, size: int) -> bool:
        """As for all `Coworkers`."""
        return self._loads.add(size) == self.rank

    def all_of(self, found: _Found) -> list[_Found]:
        """What each rank `found`, by rank. Raises the same error on all ranks if one has failed, or has left."""
        every: list[Any] = self._exchanged(found)
        if failures := {rank: one for rank, one in enumerate(every) if isinstance(one, Failure)}:
            self.agreed = _error(failures, self.size)
            raise self.agreed
        return every

    def fail(self, error: Exception) -> None:
        """Hand `error` over to all ranks. If all failed alike, this returns, and each raises its own error; otherwise
        all raise the same one, which names the ranks that failed.
        """
        own = Failure.of(error)
        every = self._exchanged(own)
        if all(one == own for one in every):
            self.agreed = error
            return
        self.agreed = _error({rank: one for rank, one in enumerate(every) if isinstance(one, Failure)}, self.size)
        raise self.agreed from error

    def _exchanged(self, own: object) -> list[Any]:
        import torch.distributed as dist

        every: list[Any] = [None] * self.size
        try:
            dist.all_gather_object(every, own, self._group)
        except RuntimeError as error:
            fault = f"rank {self.rank}: another rank has ended, or cannot be reached: {_reason(error)}"
            raise StorageError(Problem("ranks.lost", fault, "run the same command again: it continues")) from error
        return every


def _error(failures: Mapping[int, Failure], size: int) -> InitctlError:
    """One error that names the ranks of each problem; unless all have it."""
    ranks = grouped((problem, rank) for rank, failure in failures.items() for problem in failure.problems)
    kind = next(iter(failures.values())).kind
    return kind(*(_named(problem, who) if len(who) < size else problem for problem, who in ranks.items()))


def _named(problem: Problem, ranks: Sequence[int]) -> Problem:
    return problem._replace(message=f"{ranks_text(ranks)}: {problem.message}")


def ranks_text(ranks: Sequence[int]) -> str:
    """`rank 3`, `ranks 1, 2`."""
    return f"rank{'s' * (len(ranks) > 1)} {listed(list(map(str, ranks)), at_most=8)}"


_current: Ranks | None = None


def coworkers() -> Coworkers:
    """Those that share the work of this process: the ranks that have joined, or nobody."""
    return _current or ALONE


@contextmanager
def joined(launch: Launch) -> Iterator[Ranks]:
    """The ranks of a `launch`, which share the work in the body: each must run it. The ranks leave together."""
    import torch.distributed as dist

    try:
        dist.init_process_group(
            "gloo",
            init_method=f"tcp://{launch.address}:{launch.port}" if launch.launcher != TORCHRUN else "env://",
            rank=launch.rank,
            world_size=launch.size,
            timeout=_MEETING,
        )
    except (RuntimeError, ValueError, OSError) as error:
        place = f"{launch.address}:{launch.port}"
        fault = f"rank {launch.rank} of {launch.size} cannot meet the others at {place}: {_reason(error)}"
        hint = "check MASTER_ADDR and MASTER_PORT, and that all ranks are started"
        raise ConflictError(Problem("ranks.meeting", fault, hint)) from error
    try:
        with _sharing(Ranks(_own_group())) as ranks:
            yield ranks
    finally:
        dist.destroy_process_group()


@contextmanager
def group_of_process(*, alone: bool) -> Iterator[Ranks | None]:
    """The ranks of the process group that this process already has, for the body; None if it is `alone`, or the only
    one. Raises `ConflictError` if it is one of several that a launcher started, but they have no group: each would do
    all the work.
    """
    if alone or _current:
        yield None if alone else _current
        return
    dist = sys.modules.get("torch.distributed")
    if dist and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        with _sharing(Ranks(_own_group())) as ranks:
            yield ranks
    elif launch := launched(os.environ):
        fault = f"this is rank {launch.rank} of {launch.size}, and each would write the whole result"
        hint = "call torch.distributed.init_process_group on all ranks first; or pass alone=True on one of them"
        raise ConflictError(Problem("ranks.group", fault, hint))
    else:
        yield None


@contextmanager
def _sharing(ranks: Ranks) -> Iterator[Ranks]:
    """Let `ranks` share the work of the body. A failure outside of an exchange is handed over; all leave together."""
    global _current
    _current = ranks
    try:
        yield ranks
        ranks.all_of(None)
    except Exception as error:
        if not ranks.agreed and not _is_lost(error):
            ranks.fail(error)
        raise
    finally:
        _current = None


def _reason(error: Exception) -> str:
    """The first sentence of an error of torch or gloo, without the place in its code."""
    return as_line(re.sub(r"^\[[^\]]*\] ", "", str(error)).partition(". ")[0])


def _is_lost(error: Exception) -> bool:
    return isinstance(error, InitctlError) and error.problems[0].code == "ranks.lost"


def _own_group() -> ProcessGroup:
    import torch.distributed as dist

    group: ProcessGroup = dist.new_group(backend="gloo", timeout=_WORKING)
    return group
