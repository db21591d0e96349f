"""The ranks of one run as coworkers. Over a gloo group of their own, they exchange what they found, and failures."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from initctl.coworkers import ALONE, Loads, handed_out
from initctl.distributed.launcher import TORCHRUN, launched
from initctl.distributed.waiting import is_one_left, waited, waited_until
from initctl.errors import ConflictError, InitctlError, Problem, StorageError, UncertainError, listed
from initctl.escaping import as_line
from initctl.grouping import grouped

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store
    from torch.distributed import ProcessGroup

    from initctl.coworkers import Coworkers
    from initctl.distributed.launcher import Launch

_Found = TypeVar("_Found")
_MEETING = timedelta(minutes=10)
"""Ranks that start later than that do not meet."""
_LATER = 2 * _MEETING
"""When torch gives up to meet: nobody waits for it any more."""
_PATIENCE = timedelta(seconds=10)
"""After that, a rank says that it waits for others to start."""
_WORKING = timedelta(days=7)
"""The longest that a rank waits for another one to do its share. If its process dies, gloo notices that at once, unless
it is stopped itself at that moment.
"""


class Failure(NamedTuple):
    """An error that ended the work of a rank. If it is not one of this package, it has no `kind`."""

    kind: type[InitctlError] | None
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, error: Exception) -> Failure:
        if isinstance(error, InitctlError):
            return cls(type(error), error.problems)
        return cls(None, (Problem("ranks.failed", as_line(f"{type(error).__name__}: {error}")),))


class Ranks:
    """A process is number `rank`, from 0, of `count`. Its `group` is for nothing else."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self.rank, self.count = group.rank(), group.size()
        self.agreed: Exception | None = None
        """The error that all ranks raise, once one has failed."""
        self.reached: str | None = None
        """What the ranks have reached that cannot be undone, once they have; for a message."""
        self._loads = Loads(self.count)

    def own(self, sizes: Sequence[int]) -> list[int]:
        """As for all `Coworkers`."""
        return handed_out(sizes, self.count)[self.rank]

    def takes(self, size: int) -> bool:
        """As for all `Coworkers`."""
        return self._loads.add(size) == self.rank

    def all_of(self, found: _Found) -> list[_Found]:
        """What each rank `found`, by rank. Raises the same error on all ranks if one has failed, or has left."""
        every: list[Any] = self._exchanged(found)
        if failures := {rank: one for rank, one in enumerate(every) if isinstance(one, Failure)}:
            self.agreed = _error(failures, self.count)
            raise self.agreed
        return every

    def fail(self, error: Exception) -> None:
        """Hand `error` over to all ranks. All raise the same one, which names the ranks that failed. But if all failed
        alike, or if `error` is not one of this package, this returns, and the rank raises its own.
        """
        own = Failure.of(error)
        every = self._exchanged(own)
        if own.kind is None or all(one == own for one in every):
            self.agreed = error
            return
        self.agreed = _error({rank: one for rank, one in enumerate(every) if isinstance(one, Failure)}, self.count)
        raise self.agreed from error

    def _exchanged(self, own: object) -> list[Any]:
        import torch.distributed as dist

        every: list[Any] = [None] * self.count
        try:
            waited(partial(dist.all_gather_object, every, own, self._group))
        except RuntimeError as error:
            fault = f"rank {self.rank}: another rank has ended, or cannot be reached: {_reason(error)}"
            if self.reached:
                raise UncertainError(Problem("ranks.lost", f"{self.reached}; but {fault}")) from error
            raise StorageError(Problem("ranks.lost", fault, "run the same command again: it continues")) from error
        return every


def _error(failures: Mapping[int, Failure], size: int) -> Exception:
    """One error that names the ranks of each problem; unless all have it."""
    ranks = grouped((problem, rank) for rank, failure in failures.items() for problem in failure.problems)
    problems = [_named(problem, who) if len(who) < size else problem for problem, who in ranks.items()]
    kinds = [failure.kind for failure in failures.values()]
    if None in kinds or kinds[0] is None:
        return RuntimeError("; ".join(problem.message for problem in problems))
    return kinds[0](*problems)


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
def joined(launch: Launch, on_wait: Callable[[Problem], None]) -> Iterator[Ranks]:
    """The ranks of a `launch`, which share the work in the body: each must run it. The ranks leave together.

    `on_wait` gets a warning if they do not meet soon.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch would report each attempt to meet
    import torch.distributed as dist

    place = f"{launch.address}:{launch.port}"
    limit = f"{_MEETING // timedelta(minutes=1)} minutes at most"
    warning = Problem("ranks.waiting", f"rank {launch.rank} of {launch.size} waits for the others at {place}, {limit}")
    try:
        waited_until(partial(_meet, launch), _MEETING, _PATIENCE, partial(on_wait, warning))
    except (RuntimeError, ValueError, OSError) as error:
        fault = f"rank {launch.rank} of {launch.size} cannot meet the others at {place}: {_reason(error)}"
        hint = f"start all ranks, and check MASTER_ADDR and MASTER_PORT; or unset {launch.variable} to run alone"
        raise ConflictError(Problem("ranks.meeting", fault, hint)) from error
    try:
        with _sharing() as ranks:
            yield ranks
    finally:
        if not is_one_left():
            dist.destroy_process_group()


def _meet(launch: Launch) -> None:
    """Make the process group of `launch`, once all ranks have come."""
    import torch.distributed as dist

    dist.init_process_group("gloo", store=_store(launch), rank=launch.rank, world_size=launch.size, timeout=_LATER)


def _store(launch: Launch) -> Store:
    """Where the ranks of `launch` find each other. torchrun's store serves all commands that its processes run, one
    after another: each has keys of its own.
    """
    from torch._C._distributed_c10d import PrefixStore, TCPStore
    from torch.distributed.rendezvous import rendezvous

    if launch.launcher != TORCHRUN:
        return TCPStore(launch.address, launch.port, launch.size, launch.rank == 0, timeout=_LATER)
    store, _, _ = next(rendezvous("env://", launch.rank, launch.size, timeout=_LATER))
    return PrefixStore(f"initctl-{store.add(f'initctl-runs-{launch.rank}', 1)}", store)


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
        with _sharing() as ranks:
            yield ranks
    elif launch := launched(os.environ):
        fault = f"this is rank {launch.rank} of {launch.size}, and each would write the whole result"
        hint = "call torch.distributed.init_process_group on all ranks first; or pass alone=True on one of them"
        raise ConflictError(Problem("ranks.group", fault, hint))
    else:
        yield None


@contextmanager
def _sharing() -> Iterator[Ranks]:
    """Let all ranks share the work of the body, over a group of their own. A failure outside of an exchange is handed
    over; all leave together.
    """
    global _current
    import torch.distributed as dist

    group = _own_group()
    _current = ranks = Ranks(group)
    try:
        yield ranks
        ranks.all_of(None)
    except Exception as error:
        if not ranks.agreed and not _is_lost(error):
            ranks.fail(error)
        raise
    finally:
        _current = None
        if not is_one_left():
            dist.destroy_process_group(group)


def _own_group() -> ProcessGroup:
    """A group of all ranks, once all have come. From then on they wait for each other as long as the work takes."""
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import _set_pg_timeout

    try:
        group: ProcessGroup = waited(partial(dist.new_group, backend="gloo", timeout=_MEETING))
        waited(partial(dist.barrier, group))
    except (RuntimeError, ValueError) as error:
        fault = f"rank {dist.get_rank()}: not all ranks have come: {_reason(error)}"
        hint = "run this on every rank; in Python, alone=True lets one rank work by itself"
        raise ConflictError(Problem("ranks.meeting", fault, hint)) from error
    _set_pg_timeout(_WORKING, group)
    return group


def _reason(error: Exception) -> str:
    """The first sentence of an error of torch or gloo, without the place in its code."""
    return as_line(re.sub(r"^\[[^\]]*\] ", "", str(error)).partition(". ")[0])


def _is_lost(error: Exception) -> bool:
    return isinstance(error, InitctlError) and error.problems[0].code == "ranks.lost"
