"""Finding optimizers' states by the names of tensors, in each spelling that trainers use.

    optimizer.state.0.exp_avg               torch: a number for each parameter
    optimizer.state.fc.weight.exp_avg       torch.distributed.checkpoint.state_dict, nested or flattened; FSDP
    optimizer.state.exp_avg.fc.weight       Megatron-core, also below chained_0 and the like
    optim.fc.weight.exp_avg                 the tensor's own name, then the kind of state
    optim.exp_avg.fc.weight                 the kind of state, then the tensor's own name

Any keys may precede that: `app.optim`, `optimizer_states.0`, `optimizer_state_dict.base_optimizer_state`. A module of a
model may also be named `optimizer` or `state`, so the kinds of states decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from initctl.formats.optimizers.kinds import BY_NAME, DISTINCT, FULL
from initctl.formats.optimizers.optimizer import Optimizer, OptimizerFacts, ParameterKey

if TYPE_CHECKING:
    from initctl.tensors import Shape, TensorSpec

    Entries = Iterable[tuple[tuple[object, ...], TensorSpec]]

_STATE, _GROUPS = "state", "param_groups"
_AN_OPTIMIZER = "optim"
"""A part of all keys that trainers use for optimizers: `optim`, `optimizer_g`, `last_optimizer_state`."""
_DEEPEST = 3
"""The most keys that lead to a state dict whose names an optimizer uses."""


class _Place(NamedTuple):
    """One state: its optimizer, its parameter, and its kind."""

    owner: str
    parameter: str
    kind: str


@dataclass(slots=True)
class _Spelled:
    """The states found of one optimizer. It `is_sure` if something proves that it is an optimizer, and `is_nested` if
    its states are below a key `state`.
    """

    state: dict[ParameterKey, dict[str, TensorSpec]] = field(default_factory=lambda: defaultdict(dict))
    tensors: set[str] = field(default_factory=set)
    is_sure: bool = False
    is_nested: bool = False

    def add(self, parameter: ParameterKey, kind: str, tensor: TensorSpec) -> None:
        self.state[parameter][kind] = tensor
        self.tensors.add(tensor.name)


def optimizers(entries: Entries, facts: Mapping[str, OptimizerFacts]) -> tuple[Optimizer, ...]:
    """The optimizers whose states are among `entries`, tensors by the keys that lead to them.

    `facts` are facts from pickles about some of them, by their dotted keys.
    """
    found: dict[str, _Spelled] = {name: _Spelled(is_sure=True, is_nested=True) for name in facts}
    suspects: list[TensorSpec] = []
    others: list[TensorSpec] = []
    for keys, tensor in entries:
        match keys:
            case (*above, "state", int() | str() as parameter, str(kind)) if (
                name := ".".join(map(str, above))
            ) in facts:
                found[name].add(parameter, kind, tensor)
            case _:
                is_suspect = not _KINDS.isdisjoint(tensor.name.split("."))
                (suspects if is_suspect else others).append(tensor)
    rest = [*others, *_place_all(suspects, others, found)]
    sure = {name: one for name, one in found.items() if one.is_sure}
    _claim(rest, sure)
    return tuple(_optimizer(name, one, facts.get(name)) for name, one in sure.items())


def _optimizer(name: str, found: _Spelled, facts: OptimizerFacts | None) -> Optimizer:
    groups, numbers = facts or ((), {})
    return Optimizer(name, groups, found.state, numbers, frozenset(found.tensors))


def _place_all(
    suspects: Sequence[TensorSpec], others: Sequence[TensorSpec], found: dict[str, _Spelled]
) -> Iterator[TensorSpec]:
    """Add each of `suspects` to its optimizer. Yields the tensors that are not an optimizer's state."""
    if not suspects:
        return
    known = dict(_relative(others))
    for tensor in suspects:
        place = _place(tensor.name.split("."), known)
        if place is None:
            yield tensor
            continue
        owner = found.setdefault(place.owner, _Spelled())
        owner.add(place.parameter, place.kind, tensor)
        owner.is_nested |= tensor.name.startswith(_below(place.owner, _STATE))
        is_of_its_shape = place.kind in FULL and known.get(place.parameter) == tensor.shape
        owner.is_sure |= place.kind in DISTINCT or is_of_its_shape


def _relative(tensors: Iterable[TensorSpec]) -> Iterator[tuple[str, Shape]]:
    """The names that tensors may have in an optimizer, relative to any root, and their shapes."""
    for tensor in tensors:
        name = tensor.name
        for _ in range(_DEEPEST):
            yield name, tensor.shape
            _, dot, name = name.partition(".")
            if not dot:
                break


def _place(parts: list[str], known: Mapping[str, Shape]) -> _Place | None:
    """The place of the tensor whose name consists of `parts`; `known` are names of other tensors."""
    below_state = [*_below_state(parts)]
    for place in below_state:
        if place.parameter in known or place.parameter.isdecimal():
            return place
    if below_state:
        return below_state[0]
    for at, part in enumerate(parts):
        if part in DISTINCT and (found := _by_kind(parts[:at], part, parts[at + 1 :], known)):
            return found
    return None


def _below_state(parts: list[str]) -> Iterator[_Place]:
    """The possible places below each key `state`, with the kind at the end or at the beginning."""
    for at, part in enumerate(parts):
        inner = parts[at + 1 :]
        if part == _STATE and len(inner) > 1:
            owner = ".".join(parts[:at])
            if inner[-1] in BY_NAME:
                yield _Place(owner, ".".join(inner[:-1]), inner[-1])
            if inner[0] in BY_NAME:
                yield _Place(owner, ".".join(inner[1:]), inner[0])


def _by_kind(before: list[str], kind: str, after: list[str], known: Mapping[str, Shape]) -> _Place | None:
    """A possible place without a key `state`: the `kind` beside the name of a tensor, or below an optimizer's key."""
    if after and ".".join(after) in known:
        return _Place(".".join(before), ".".join(after), kind)
    for start in range(len(before) if not after else 0):
        if (name := ".".join(before[start:])) in known:
            return _Place(".".join(before[:start]), name, kind)
    for at, part in enumerate(before):
        if _AN_OPTIMIZER in part.lower():
            return _Place(".".join(before[: at + 1]), ".".join([*before[at + 1 :], *after]), kind)
    return None


def _claim(tensors: Iterable[TensorSpec], found: Mapping[str, _Spelled]) -> None:
    """Add its other tensors to each optimizer: states of unknown kinds, options, gradient scales."""
    prefixes = {prefix: one for name, one in found.items() for prefix in _prefixes(name, one)}
    if not prefixes:
        return
    every = tuple(prefixes)
    for tensor in tensors:
        if not tensor.name.startswith(every):
            continue
        prefix = next(prefix for prefix in every if tensor.name.startswith(prefix))
        one = prefixes[prefix]
        parameter, _, kind = tensor.name.removeprefix(prefix).rpartition(".")
        if parameter and prefix.endswith(f"{_STATE}."):
            one.add(parameter, kind, tensor)
        one.tensors.add(tensor.name)


def _prefixes(name: str, found: _Spelled) -> Iterator[str]:
    """The prefixes of the names of an optimizer's tensors."""
    if found.is_nested:
        yield _below(name, _STATE)
        yield _below(name, _GROUPS)
    if _AN_OPTIMIZER in name.rpartition(".")[2].lower():
        yield f"{name}."


def _below(name: str, key: str) -> str:
    """The prefix of the names of tensors below a `key` of an optimizer."""
    return f"{name}.{key}." if name else f"{key}."


_KINDS = frozenset(BY_NAME)
