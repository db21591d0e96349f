"""Which parameter of an optimizer each tensor is: by names, else by order and shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import FitError, Problem, listed, shown
from initctl.formats.file_formats import TORCH, TORCH_LEGACY
from initctl.formats.optimizers.kinds import FACTORED, FACTORED_OTHERWISE, FULL
from initctl.formats.state_dicts.names import wrapper_prefix
from initctl.grouping import grouped
from initctl.planning.computed import measured_kind
from initctl.planning.near_misses import hint_for
from initctl.planning.optimizers.refusing import uncertain
from initctl.rules import Glob

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.formats.optimizers import Group, Optimizer, ParameterKey
    from initctl.tensors import Shape, TensorSpec

_ORDERED = (TORCH, TORCH_LEGACY)
"""Formats of single files that hold tensors in the order of the state dict."""
_NAME_THEM = "name the tensors that it has no state of (buffers, frozen parameters) with --buffers"


class Candidates:
    """The tensors of `checkpoint` that an optimizer may have state of: all but those that match one of `buffers`."""

    def __init__(self, checkpoint: Checkpoint, buffers: Sequence[str]) -> None:
        self.checkpoint = checkpoint
        self.by_name = {name: tensor for tensor in checkpoint.tensors for name in (tensor.name, *tensor.aliases)}
        self._states = frozenset(name for optimizer in checkpoint.optimizers for name in optimizer.tensors)
        self._buffers = _named(buffers, [tensor.name for tensor in checkpoint.tensors])
        self.parameters: dict[str, TensorSpec] = {}
        for tensor in checkpoint.tensors:
            if self.may_be_parameter(tensor):
                self.parameters.setdefault(tensor.value_name, tensor)

    def may_be_parameter(self, tensor: TensorSpec) -> bool:
        """Whether `tensor` may be a parameter of an optimizer: running statistics never are."""
        return (
            tensor.dtype.is_floating
            and measured_kind(tensor) is None
            and tensor.name not in self._buffers
            and f"{self.checkpoint.root}.{tensor.name}".removeprefix(".") not in self._states
        )

    @property
    def others(self) -> list[TensorSpec]:
        """Floating-point tensors outside of the state dict, which other networks may have as parameters."""
        return [t for t in self.checkpoint.outside if t.dtype.is_floating and t.name not in self._states]

    @property
    def are_ordered(self) -> bool:
        """Whether tensors are in the model's order; safetensors and indexes sort them by name."""
        return self.checkpoint.format in _ORDERED


def _named(patterns: Sequence[str], names: Sequence[str]) -> frozenset[str]:
    """The `names` that match a pattern. Raises `FitError` if a pattern matches none."""
    found: set[str] = set()
    for pattern in patterns:
        matched = [name for name in names if Glob(pattern).matches(name)]
        if not matched:
            message = f"buffers: {shown(pattern)} matches no tensor"
            raise FitError(Problem("optimizer.buffers", message, hint_for(pattern, names)))
        found.update(matched)
    return frozenset(found)


class Match(NamedTuple):
    """Which of an optimizer's `parameters` each tensor is, by the name that its random values depend on.

    `by_name` if the optimizer names them. The tensors `by_order` have the shape of others, and only their order
    distinguishes them.
    """

    parameters: Mapping[str, ParameterKey]
    by_name: bool
    by_order: frozenset[str] = frozenset()


def matched(optimizer: Optimizer, tensors: Candidates, names: Collection[str], *, whole: Collection[str] = ()) -> Match:
    """Which parameter of `optimizer` each tensor is, for at least the tensors `names`. Raises `FitError`.

    `whole` are names of tensors that rules fill completely. If all tensors of one shape are among them, the match does
    not matter: the states of all are reset.
    """
    if named := _names(optimizer):
        match = Match(_by_name(optimizer, named, tensors), by_name=True)
    else:
        found = _by_order(optimizer, tensors, names, frozenset(whole))
        match = Match(found, by_name=False, by_order=_alike(found, tensors, frozenset(whole)))
    for name, parameter in match.parameters.items():
        if shape(optimizer, parameter) not in (None, tensors.by_name[name].shape):
            uncertain(optimizer, f"the state of parameter {shown(parameter)} has another shape than {shown(name)}")
    return match


def _alike(found: Iterable[str], tensors: Candidates, whole: frozenset[str]) -> frozenset[str]:
    """Those of the tensors `found` that share a shape with others, unless all of that shape are `whole`."""
    by_shape = grouped((tensors.by_name[name].shape, name) for name in found)
    return frozenset(n for names in by_shape.values() if len(names) > 1 and not whole.issuperset(names) for n in names)


def _names(optimizer: Optimizer) -> dict[str, ParameterKey]:
    """The parameters by their names, if the optimizer knows all of them."""
    if optimizer.groups and all(group.names for group in optimizer.groups):
        return {
            name: parameter
            for group in optimizer.groups
            for name, parameter in zip(group.names or (), group.parameters, strict=True)
        }
    parameters = _parameters(optimizer.groups) or list(optimizer.state)
    named = [p for p in parameters if isinstance(p, str) and not p.isdecimal()]  # numbers may be stored as strings
    return {p: p for p in named} if len(named) == len(parameters) else {}


def _by_name(optimizer: Optimizer, named: Mapping[str, ParameterKey], tensors: Candidates) -> dict[str, ParameterKey]:
    root = f"{tensors.checkpoint.root}."
    named = {name.removeprefix(root): parameter for name, parameter in named.items()}
    if missing := [name for name in named if name not in tensors.by_name]:
        prefix = wrapper_prefix(list(named))
        named = {name.removeprefix(prefix): parameter for name, parameter in named.items()}
        missing = [name for name in named if name not in tensors.by_name]
    if missing:
        uncertain(optimizer, f"parameter {shown(missing[0])} is not a tensor of the state dict")
    return {tensors.by_name[name].value_name: parameter for name, parameter in named.items()}


def _by_order(
    optimizer: Optimizer, tensors: Candidates, names: Collection[str], whole: frozenset[str]
) -> dict[str, ParameterKey]:
    """Parameters are numbered in the order in which the model lists them, group after group.

    A tied parameter counts at its first place. If there is one group, with as many parameters as tensors, they are
    matched in this order. Otherwise each shape is matched by itself: its parameters must be in one group, in the order
    of its tensors, and of the same number. If the file keeps no order, only one tensor may have the shape, or all that
    have it must be `whole`. Tensors of a shape that no parameter has belong to another optimizer. Parameters without
    state, such as frozen ones, do not matter: there is nothing to reset.
    """
    if not optimizer.groups:
        uncertain(optimizer, "it numbers its parameters and does not name them")
    parameters, candidates = _parameters(optimizer.groups), tensors.parameters
    shapes = {p: shape(optimizer, p) for p in parameters if optimizer.state.get(p) or optimizer.numbers.get(p)}
    if tensors.are_ordered and len(optimizer.groups) == 1 and len(parameters) == len(candidates):
        return dict(zip(candidates, parameters, strict=True))
    wanted = dict.fromkeys(tensor.shape for name, tensor in candidates.items() if name in names)
    if wanted:
        _check_shapes(optimizer, shapes, tensors)
    stateless = next((parameter for parameter in parameters if parameter not in shapes), None)
    if stateless is not None and any(tensor.shape in wanted for tensor in tensors.others):
        uncertain(optimizer, f"it has no state of parameter {shown(stateless)}, so that may be any tensor")
    found: dict[str, ParameterKey] = {}
    for one in wanted:
        named = [name for name, tensor in candidates.items() if tensor.shape == one]
        of_shape = [parameter for parameter, its in shapes.items() if its == one]
        if not whole.issuperset(named) or len(of_shape) != len(named):
            _check_order(optimizer, one, shapes, tensors, named)
        if of_shape:
            found |= zip(named, of_shape, strict=True)
    return found


def _check_shapes(optimizer: Optimizer, shapes: Mapping[ParameterKey, Shape | None], tensors: Candidates) -> None:
    """Refuse if a parameter may be any tensor, or several tensors in one piece."""
    known = {tensor.shape for tensor in (*tensors.checkpoint.tensors, *tensors.others)}
    for parameter, found in shapes.items():
        if found is None:
            uncertain(optimizer, f"its state of parameter {shown(parameter)} shows no shape, so that may be any tensor")
        if found not in known:
            whole = sum(prod(tensor.shape) for tensor in tensors.parameters.values())
            size = "as many elements as all parameters together" if prod(found) == whole else "which no tensor has"
            why = f"the state of parameter {shown(parameter)} has shape {list(found)}, {size}"
            uncertain(optimizer, f"{why}: it may hold several parameters in one piece")


def _check_order(
    optimizer: Optimizer,
    wanted: Shape,
    shapes: Mapping[ParameterKey, Shape | None],
    tensors: Candidates,
    named: Sequence[str],
) -> None:
    """Refuse unless the tensors `named`, all of one shape, are parameters of the optimizer in their order, or none is.

    `shapes` are those of the parameters that have state.
    """
    alike = [group for group in optimizer.groups if any(shapes.get(p) == wanted for p in group.parameters)]
    if not alike:
        return
    found = list(shapes.values()).count(wanted)
    if len(alike) > 1 or found != len(named):
        those = f"{listed(list(map(shown, named)))}, of shape {list(wanted)}"
        if found < len(named):
            uncertain(optimizer, f"it has state of only {found} of {those}", _NAME_THEM)
        uncertain(optimizer, f"it is unclear which of them are {those}")
    if not tensors.are_ordered and found > 1:
        why = f"several have shape {list(wanted)}, but this kind of file does not keep the order of tensors"
        uncertain(optimizer, why)
    given = [shapes[parameter] for parameter in alike[0].parameters if parameter in shapes]
    in_turn: Iterator[Shape | None] = (tensor.shape for tensor in tensors.parameters.values())
    if tensors.are_ordered and not all(shape in in_turn for shape in given):  # each after the one before
        uncertain(optimizer, "they are not in the order of the state dict")


def _parameters(groups: Iterable[Group]) -> list[ParameterKey]:
    return [parameter for group in groups for parameter in group.parameters]


def shape(optimizer: Optimizer, parameter: ParameterKey) -> Shape | None:
    """The shape of a parameter: the shape of states that have an element for each of its elements."""
    kept = optimizer.state.get(parameter, {})
    shapes = {tensor.shape for kind, tensor in kept.items() if kind in FULL}
    if len(shapes) > 1:
        uncertain(optimizer, f"the states of parameter {shown(parameter)} have several shapes")
    return next(iter(shapes), None) or _factored(optimizer, parameter)


def _factored(optimizer: Optimizer, parameter: ParameterKey) -> Shape | None:
    """The shape of a parameter whose state is factored into numbers for its rows and for its columns."""
    kept = optimizer.state.get(parameter, {})
    if any(FACTORED_OTHERWISE in group.options for group in optimizer.groups):
        return None
    for rows, columns, keeps_dims in FACTORED:
        if rows in kept and columns in kept:
            by_row = kept[rows].shape[:-1] if keeps_dims else kept[rows].shape
            return (*by_row, *kept[columns].shape[-1:])
    return None
