"""What an optimizer remembers of parameters that are filled anew: set back to where it began."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NoReturn

from initctl.errors import FitError, Problem, listed, shown
from initctl.formats.names import wrapper_prefix
from initctl.initializers import Unfit
from initctl.planning.fitting import check_holds
from initctl.planning.plan import Action
from initctl.rules import Call, Glob, Rule, Selector, quoted
from initctl.stream import Constant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initctl.formats import Checkpoint
    from initctl.formats.optimizers import Group, Optimizer, Parameter
    from initctl.tensors import TensorPart, TensorSpec

SOURCE = "--reset-optimizer"
_BEGINS_AT = dict.fromkeys(
    (
        "step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg",
        "acc_delta", "sum", "row_var", "col_var", "variance", "exp_avg_sq_row", "exp_avg_sq_col",
    ),
    0.0,
) | {"mu_product": 1.0}  # fmt: skip
"""What torch's optimizers, and others that follow them, keep for a parameter, and the value that each begins at."""
_OPTIONS = {"sum": "initial_accumulator_value"}
"""Options of a group that say what a state begins at."""
_BUFFERS = ("running_mean", "running_var")
"""What batch normalization calls floating-point tensors that no optimizer is given."""


def resets(checkpoint: Checkpoint, filled: Iterable[TensorPart]) -> tuple[Action, ...]:
    """Actions that set back the state of exactly the parameters that are `filled`, in every optimizer.

    Where some rows of a parameter are, so is what is kept for each of its elements, and the rest stays. Raises
    `FitError` where there is no optimizer, or it is not certain which of its states belong to them.
    """
    if not checkpoint.optimizers:
        _refuse(f"{shown(checkpoint.path)}: holds no optimizer's state", "leave the flag out")
    parts: dict[str, list[TensorPart]] = defaultdict(list)
    for part in filled:
        if part.tensor.is_first:
            parts[part.tensor.stream_name].append(part)
    _check_whose(checkpoint, parts)
    actions = tuple(action for optimizer in checkpoint.optimizers for action in _of(optimizer, checkpoint, parts))
    outside = {tensor.name for tensor in checkpoint.outside}
    stored = {t.name for o in checkpoint.optimizers for kept in o.state.values() for t in kept.values()}
    if inside := [a.tensor.name for a in actions if a.tensor.name in stored - outside]:
        _refuse(f"{shown(inside[0])}: lies where rules reach, too", "name the state dict with --root")
    return actions


def _check_whose(checkpoint: Checkpoint, parts: Mapping[str, Sequence[TensorPart]]) -> None:
    """Refuse where an optimizer may as well be of another state dict, whose tensors have the same shapes: where there
    is a second one that matches the same tensors.
    """
    states = tuple(f"{optimizer.name}.state." for optimizer in checkpoint.optimizers)
    others = [t for t in checkpoint.outside if t.dtype.is_floating and not t.name.startswith(states)]
    twins = {tensor.shape: tensor for tensor in reversed(others)}
    filled = [part.tensor for (part, *_) in parts.values() if _may_be_parameter(part.tensor, checkpoint.optimizers)]
    twin = next((twins[tensor.shape] for tensor in filled if tensor.shape in twins), None)
    if twin is None or len(checkpoint.optimizers) < 2:
        return
    found: dict[str, list[str]] = defaultdict(list)
    for optimizer in checkpoint.optimizers:
        for name in _matched(optimizer, checkpoint, {tensor.stream_name for tensor in checkpoint.tensors}):
            found[name].append(optimizer.name)
    for name, several in found.items():
        if len(several) > 1:
            both = listed([shown(optimizer) for optimizer in sorted(several)])
            why = f"{both} may each be of the state dict at {shown(checkpoint.root)}, or of another: both match"
            _refuse(f"{why} {shown(name)}, and {shown(twin.name)} lies outside", _ON_ITS_OWN)


def _of(optimizer: Optimizer, checkpoint: Checkpoint, parts: Mapping[str, Sequence[TensorPart]]) -> Iterator[Action]:
    by_name = _matched(optimizer, checkpoint, set(parts))
    options = {parameter: group.options for group in optimizer.groups for parameter in group.parameters}
    unknown = _unknown_kinds(optimizer)
    for name in sorted(parts.keys() & by_name.keys()):
        parameter = by_name[name]
        place = f"{shown(optimizer.name)}: state of {shown(name)}"
        kept = {**optimizer.state.get(parameter, {}), **optimizer.numbers.get(parameter, {})}
        if unknown and not kept:
            _refuse(f"{place}: may lie in {shown(unknown[0])}, of which nothing is known", _START_ANEW)
        for kind, tensor in kept.items():
            if tensor is None:
                _refuse(f"{place}: {shown(kind)} is no tensor, and cannot be changed in the pickle", _START_ANEW)
            value = _beginning(kind, tensor, options.get(parameter, {}), place)
            for part in parts[name]:
                if part.rows is None or tensor.shape == part.tensor.shape:
                    yield _reset(tensor, value, part.rows)


def _beginning(kind: str, tensor: TensorSpec, options: Mapping[str, float], place: str) -> float:
    """What `tensor`, a parameter's state at `place`, begins at under the `options` of its group."""
    if kind not in _BEGINS_AT or (kind == "momentum_buffer" and options.get("dampening")):
        _refuse(f"{place}: what {shown(kind)} begins at is not known", _START_ANEW)
    if tensor.unwritable:
        _refuse(f"{place}: {shown(kind)} cannot be written: {tensor.unwritable}", _START_ANEW)
    value = options.get(_OPTIONS.get(kind, ""), _BEGINS_AT[kind])
    try:
        check_holds(tensor.dtype, Constant(value))
    except Unfit as fact:
        _refuse(f"{place}: {shown(kind)} cannot be set back: {fact}", _START_ANEW)
    return value


def _reset(tensor: TensorSpec, value: float, rows: tuple[int, int] | None) -> Action:
    name = "constant" if value else "zeros"
    arguments = {"val": value} if value else {}
    call = Call(name, tuple((key, f"{number:g}") for key, number in arguments.items()))
    pattern = quoted(tensor.name)
    rule = Rule(f"{pattern}={name}", SOURCE, Selector(Glob(pattern)), call)
    return Action(tensor, rule, name, arguments, {}, Constant(value), rows=rows)


def _matched(optimizer: Optimizer, checkpoint: Checkpoint, names: set[str]) -> Mapping[str, Parameter]:
    """Which parameter of `optimizer` each tensor is, for at least those called `names`."""
    tensors = {tensor.name: tensor for tensor in checkpoint.tensors}
    told = _by_name(optimizer)
    if told:
        prefix = wrapper_prefix(list(told))
        named = {name.removeprefix(prefix): parameter for name, parameter in told.items()}
        if missing := [name for name in named if name not in tensors]:
            _uncertain(optimizer, f"its parameter {shown(missing[0])} is no tensor of the state dict")
        matched = {tensors[name].stream_name: parameter for name, parameter in named.items()}
    else:
        candidates: dict[str, TensorSpec] = {}
        for tensor in checkpoint.tensors:
            if _may_be_parameter(tensor, checkpoint.optimizers):
                candidates.setdefault(tensor.stream_name, tensor)
        matched = _by_order(optimizer, candidates, names)
    for name, parameter in matched.items():
        if _shape(optimizer, parameter) not in (None, tensors[name].shape):
            _uncertain(optimizer, f"the state of parameter {shown(parameter)} has another shape than {shown(name)}")
    return matched


def _by_name(optimizer: Optimizer) -> dict[str, Parameter]:
    """The parameters by their names, where the optimizer knows all of them."""
    if optimizer.groups and all(group.names for group in optimizer.groups):
        return {
            name: parameter
            for group in optimizer.groups
            for name, parameter in zip(group.names or (), group.parameters, strict=True)
        }
    parameters = _parameters(optimizer.groups) or list(optimizer.state)
    named = [p for p in parameters if isinstance(p, str) and not p.isdecimal()]  # numbers are texts where a key must be
    return {p: p for p in named} if len(named) == len(parameters) else {}


def _by_order(optimizer: Optimizer, tensors: Mapping[str, TensorSpec], names: set[str]) -> dict[str, Parameter]:
    """Parameters are numbered in the order that a model lists them, group after group; tied ones where they come first.

    With one group of as many parameters as there are tensors, that is all. Else those of one shape are matched: where
    they lie in one group, in the order of the tensors, and are as many as those of that shape. Where there are none,
    the tensors of that shape are another optimizer's.
    """
    if not optimizer.groups:
        _uncertain(optimizer, "it tells parameters by numbers, and does not say of which tensors")
    parameters = _parameters(optimizer.groups)
    shapes = {parameter: _shape(optimizer, parameter) for parameter in parameters}
    if len(optimizer.groups) == 1 and len(parameters) == len(tensors):
        return dict(zip(tensors, parameters, strict=True))
    if unknown := [parameter for parameter in parameters if shapes[parameter] is None]:
        _uncertain(optimizer, f"it has no state of parameter {unknown[0]}, which may be any tensor")
    there = Counter(tensor.shape for tensor in tensors.values())
    matched: dict[str, Parameter] = {}
    for shape in {tensor.shape for name, tensor in tensors.items() if name in names}:
        alike = [group for group in optimizer.groups if any(shapes[p] == shape for p in group.parameters)]
        if not alike:
            continue
        found = [p for p in alike[0].parameters if shapes[p] == shape]
        if len(alike) > 1 or len(found) != there[shape]:
            _uncertain(optimizer, f"several may be the tensors of shape {list(shape)}")
        listed: Iterator[tuple[int, ...] | None] = (tensor.shape for tensor in tensors.values())
        if not all(shapes[p] in listed for p in alike[0].parameters):  # each is sought behind the one before
            _uncertain(optimizer, "they are not in the order of the state dict")
        matched |= dict(zip((name for name, t in tensors.items() if t.shape == shape), found, strict=True))
    return matched


def _parameters(groups: Iterable[Group]) -> list[Parameter]:
    return [parameter for group in groups for parameter in group.parameters]


def _may_be_parameter(tensor: TensorSpec, optimizers: Iterable[Optimizer]) -> bool:
    remembered = tuple(f"{optimizer.name}." for optimizer in optimizers if optimizer.name)
    return tensor.dtype.is_floating and not tensor.name.endswith(_BUFFERS) and not tensor.name.startswith(remembered)


def _shape(optimizer: Optimizer, parameter: Parameter) -> tuple[int, ...] | None:
    """The shape of a parameter: that of what is known to be kept for each of its elements."""
    kept = optimizer.state.get(parameter, {})
    shapes = {tensor.shape for kind, tensor in kept.items() if kind in _OF_ITS_SHAPE}
    if len(shapes) > 1:
        _uncertain(optimizer, f"the states of parameter {shown(parameter)} have several shapes")
    return next(iter(shapes), None)


def _unknown_kinds(optimizer: Optimizer) -> list[str]:
    """What it keeps for any parameter and may be of others too, as L-BFGS keeps all that it knows with the first."""
    states = (*optimizer.state.values(), *optimizer.numbers.values())
    return [kind for kept in states for kind in kept if kind not in _BEGINS_AT]


def _uncertain(optimizer: Optimizer, why: str) -> NoReturn:
    _refuse(f"{shown(optimizer.name)}: its parameters cannot be matched for certain: {why}", _START_ANEW)


def _refuse(message: str, hint: str) -> NoReturn:
    raise FitError(Problem("optimizer.unmatched", f"{SOURCE}: {message}", hint))


_OF_ITS_SHAPE = frozenset(
    (
        "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "acc_delta",
        "sum", "variance", "ax", "prev", "step_size",
    )
)  # fmt: skip
"""What torch's optimizers, and others that follow them, keep for each element of a parameter."""
_ON_ITS_OWN = "save each network and its optimizer in a file of their own, or leave the flag out"
_START_ANEW = "leave the flag out, and start training with a new optimizer"
