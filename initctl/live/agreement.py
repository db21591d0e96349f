"""Whether all ranks that share a model plan the same. Each fills its own shards, which would not fit otherwise."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import torch.distributed as dist
from torch import nn

from initctl.errors import ConflictError, InitctlError, Problem, listed
from initctl.escaping import as_line
from initctl.grouping import grouped
from initctl.live.named import is_fsdp1, own_tensors
from initctl.live.pieces import is_dtensor
from initctl.planning.documents import tensors_digest

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup

    from initctl.planning import Plan

_Rest = TypeVar("_Rest")
"""What was prepared besides the plan."""


class _Vote(NamedTuple):
    """What a rank is about to do: its seed, and digests of its tensors and of its actions; or why it cannot."""

    tensors: str = ""
    seed: str = ""
    actions: str = ""
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: Plan) -> Self:
        actions = [
            [action.tensor.name, action.value_name, action.rows, action.initializer, sorted(action.params.items())]
            for action in plan.actions
        ]
        digest = sha256(json.dumps(actions).encode()).hexdigest()
        return cls(tensors_digest(plan.checkpoint), f"{plan.seed} of {plan.rng}", digest)

    @classmethod
    def against(cls, error: Exception) -> Self:
        if isinstance(error, InitctlError):
            return cls(faults=tuple(problem.in_python() for problem in error.problems))
        return cls(faults=(as_line(f"{type(error).__name__}: {error}"),))

    def difference(self, other: _Vote) -> str:
        """The first way in which it differs from `other`. This explains those after it."""
        if self.tensors != other.tensors:
            return "other tensors"
        return "another seed" if self.seed != other.seed else "other rules"


def reshard(model: object) -> None:
    """Let the parameters be shards again if a forward pass of FSDP2 has left them whole."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp and isinstance(model, nn.Module):
        for module in model.modules():
            if isinstance(module, fsdp.FSDPModule):
                module.reshard()


def groups_of(model: object) -> list[ProcessGroup]:
    """The groups of this rank along each dim of the mesh that `model` is on, or that FSDP uses; none if it is whole."""
    if isinstance(model, nn.Module) and is_fsdp1(model):
        from initctl.live import fsdp1

        return fsdp1.groups(model)
    if sharded := [tensor for tensor in _tensors(model) if is_dtensor(tensor)]:
        from initctl.live import dtensors

        return dtensors.groups(sharded)
    return []


def _tensors(model: object) -> Iterable[torch.Tensor]:
    if isinstance(model, nn.Module):
        return own_tensors(model)
    return model.values() if isinstance(model, Mapping) else ()


def agreed(groups: Sequence[ProcessGroup], prepare: Callable[[], tuple[Plan, _Rest]]) -> tuple[Plan, _Rest]:
    """The result of `prepare`, if its plan is the same on all ranks. `groups` are as from `groups_of`.

    The ranks exchange some hundred bytes along each dim, even if `prepare` fails: otherwise the others would wait
    for it. If some fail or plan differently, each raises the same `ConflictError`, which names them. If all fail alike,
    each raises its own error.
    """
    if not groups:
        return prepare()
    try:
        prepared = prepare()
        own = _Vote.of(prepared[0])
    except Exception as error:
        votes = _exchanged(_Vote.against(error), groups)
        if len(set(votes.values())) == 1:
            raise
        raise ConflictError(*_failures(votes)) from error
    votes = _exchanged(own, groups)
    if problems := list(_failures(votes)) or list(_differences(votes)):
        raise ConflictError(*problems)
    return prepared


def _exchanged(own: _Vote, groups: Sequence[ProcessGroup]) -> dict[int, _Vote]:
    """The votes of all ranks, by rank."""
    votes = {dist.get_rank(): own}
    for group in groups:
        gathered: list[dict[int, _Vote]] = [{}] * group.size()
        dist.all_gather_object(gathered, votes, group)
        votes = {rank: vote for each in gathered for rank, vote in each.items()}
    return dict(sorted(votes.items()))


def _failures(votes: Mapping[int, _Vote]) -> Iterator[Problem]:
    faults = grouped((fault, rank) for rank, vote in votes.items() for fault in vote.faults)
    for fault, ranks in faults.items():
        yield Problem("live.rank_failed", f"{_ranks(ranks)}: {fault}")


def _differences(votes: Mapping[int, _Vote]) -> Iterator[Problem]:
    """A problem for each way in which ranks differ from the most common plan; from the first rank's if none is."""
    ((usual, _),) = Counter(votes.values()).most_common(1)
    first = next(rank for rank, vote in votes.items() if vote == usual)
    others = grouped((vote.difference(usual), rank) for rank, vote in votes.items() if vote != usual)
    for difference, ranks in others.items():
        have = "has" if len(ranks) == 1 else "have"
        message = f"{_ranks(ranks)} {have} {difference} than rank {first}"
        yield Problem("live.ranks_differ", message, "give every rank the same model, rules and seed")


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {listed(list(map(str, ranks)), at_most=8)}"
