"""Resets the optimizer state of filled parameters to its initial values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from initctl.dtypes import BY_NAME
from initctl.errors import Problem, listed, shown
from initctl.formats.optimizers.kinds import BY_NAME as KNOWN_KINDS
from initctl.formats.optimizers.kinds import OfParameter, Option, Unknown, kind_of
from initctl.formats.state_dicts.roots import RESUMED
from initctl.grouping import grouped
from initctl.initializers import Unfit
from initctl.planning.action import RESET, Action
from initctl.planning.fits import check_holds
from initctl.planning.optimizers.matching import Candidates, Match, matched
from initctl.planning.optimizers.refusing import ON_ITS_OWN, WEIGHTS_ALONE, refuse, start_anew
from initctl.rules import Call, Glob, Origin, Rule, Selector, quoted
from initctl.stream import Constant, RevisingLaw

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.formats.optimizers import Optimizer
    from initctl.tensors import TensorSpec

    Filled = Mapping[str, Sequence[Action]]
    """The actions that fill each tensor, or parts of it, by the name that its random values depend on."""

_FLOAT = BY_NAME["float32"]


class Resets(NamedTuple):
    """Actions that reset states, and warnings."""

    actions: tuple[Action, ...] = ()
    warnings: tuple[Problem, ...] = ()


class _State(NamedTuple):
    """The state of one parameter under one name, which messages call `place`.

    `states` are all states of the parameter, and `options` are those of its group, if that is known. `hint` says what
    to do if the state cannot be reset.
    """

    name: str
    tensor: TensorSpec | None
    states: Mapping[str, TensorSpec | None]
    options: Mapping[str, float] | None
    place: str
    hint: str

    def refuse(self, why: str) -> NoReturn:
        """Raise the `FitError` that says `why` it cannot be reset."""
        refuse(f"{self.place}: {why}", self.hint)


def resets(checkpoint: Checkpoint, actions: Iterable[Action], buffers: Sequence[str] = ()) -> Resets:
    """The actions that reset the state of exactly the parameters that `actions` fill, in every optimizer.

    If `actions` fill some rows of a parameter, only states with an element for each of its elements are reset, in these
    rows. No optimizer has state of tensors whose names match one of `buffers`. Raises `FitError` if there is no
    optimizer, or if its states cannot be matched with certainty.
    """
    if not checkpoint.optimizers:
        refuse(f"{shown(checkpoint.path)}: has no optimizer state", "leave the flag out")
    filled = grouped((action.tensor.value_name, action) for action in actions if action.tensor.represents_ties)
    tensors = Candidates(checkpoint, buffers)
    remembering = [optimizer for optimizer in checkpoint.optimizers if optimizer.kinds]
    if not remembering:
        return Resets((), (_nothing("nothing to reset", checkpoint.optimizers, "holds no state"),))
    _check_copies(checkpoint, filled, tensors)
    _check_whose(remembering, filled, tensors)
    whole = [name for name, actions in filled.items() if all(action.rows is None for action in actions)]
    matches = [(optimizer, matched(optimizer, tensors, filled, whole=whole)) for optimizer in remembering]
    found = tuple(action for optimizer, match in matches for action in _of(optimizer, match, filled))
    _check_outside(checkpoint, found)
    if found or not filled:
        return Resets(found, tuple(problem for one, match in matches for problem in _trusted(one, match, filled)))
    return Resets((), (_nothing("nothing is reset", remembering, "holds no state of a filled tensor"),))


def _nothing(what: str, optimizers: Sequence[Optimizer], why: str) -> Problem:
    names = listed([shown(optimizer.label) for optimizer in optimizers])
    return Problem("optimizer.nothing", f"{RESET}: {what}: {names} {why}")


def _trusted(optimizer: Optimizer, match: Match, filled: Filled) -> Iterator[Problem]:
    """A warning if filled tensors are matched with parameters of `optimizer` only by their order."""
    taken = [
        f"parameter {shown(p)} is {shown(n)}"
        for n, p in match.parameters.items()
        if n in match.by_order & filled.keys()
    ]
    if taken:
        why = "has several parameters of equal shape and does not name them, so by their order"
        message = f"{RESET}: {shown(optimizer.label)} {why} {listed(taken)}"
        unless = "if it received such parameters in another order than the state dict's"
        yield Problem("optimizer.order", message, f"{unless}, {start_anew(optimizer)}")


def _check_copies(checkpoint: Checkpoint, filled: Filled, tensors: Candidates) -> None:
    """Refuse if a filled tensor may have a copy from which training resumes: which copy is not certain."""
    if not any(tensors.may_be_parameter(action.tensor) for parts in filled.values() for action in parts):
        return
    if any(tensor.name.startswith(f"{RESUMED}.") for tensor in checkpoint.outside):
        what = f"Lightning resumes from the weights at {RESUMED}, which no rule reaches"
        refuse(what, f"leave the flag out, then apply the rules again to the result with --root {RESUMED} and {RESET}")
    for copies in checkpoint.masters:
        if not copies.of_states:
            what = f"holds copies of parameters ({copies.writer}), which resuming loads instead"
            refuse(f"{shown(copies.place)}: {what}", WEIGHTS_ALONE)


def _check_whose(optimizers: Sequence[Optimizer], filled: Filled, tensors: Candidates) -> None:
    """Refuse if two optimizers match the same tensors: one may belong to another state dict with the same shapes."""
    twins = {tensor.shape: tensor for tensor in reversed(tensors.others)}
    parameters = [action.tensor for (action, *_) in filled.values() if tensors.may_be_parameter(action.tensor)]
    twin = next((twins[tensor.shape] for tensor in parameters if tensor.shape in twins), None)
    if twin is None or len(optimizers) < 2:
        return
    names = {tensor.value_name for tensor in tensors.by_name.values()}
    found = grouped((name, one.label) for one in optimizers for name in matched(one, tensors, names).parameters)
    for name, several in found.items():
        if len(several) > 1:
            both = listed([shown(optimizer) for optimizer in sorted(several)])
            root = shown(tensors.checkpoint.root)
            why = f"it is unclear which of {both} belongs to the state dict at {root}"
            refuse(f"{why}: both match {shown(name)}, and {shown(twin.name)} is outside of it", ON_ITS_OWN)


def _check_outside(checkpoint: Checkpoint, actions: Iterable[Action]) -> None:
    """Refuse to reset states that rules also reach."""
    outside = {tensor.name for tensor in checkpoint.outside}
    stored = {name for optimizer in checkpoint.optimizers for name in optimizer.tensors}
    if inside := [a.tensor.name for a in actions if a.tensor.name in stored - outside]:
        refuse(f"{shown(inside[0])}: belongs to an optimizer, but rules reach it", "name the state dict with --root")


def _of(optimizer: Optimizer, match: Match, filled: Filled) -> Iterator[Action]:
    parameters = match.parameters
    options = {parameter: group.options for group in optimizer.groups for parameter in group.parameters}
    unknown, hint = _unknown_kinds(optimizer), start_anew(optimizer)
    for name in sorted(filled.keys() & parameters.keys()):
        place = f"{shown(optimizer.label)}: state of {shown(name)}"
        kept = {**optimizer.state.get(parameters[name], {}), **optimizer.numbers.get(parameters[name], {})}
        of_group = options.get(parameters[name])
        states = [_State(kind, tensor, kept, of_group, place, hint) for kind, tensor in kept.items()]
        if unknown and not states:
            refuse(f"{place}: may be in {shown(unknown[0])}, an unknown kind of state", hint)
        for state in states:
            if begins := _beginning(state):
                for action in filled[name]:
                    yield from _reset(state, *begins, action, by_name=match.by_name)


def _reset(
    state: _State, tensor: TensorSpec, value: float | None, action: Action, *, by_name: bool
) -> Iterator[Action]:
    """The reset of `state`, which `tensor` holds, in the rows of the parameter that `action` fills."""
    if action.rows is not None and not tensor.dtype.is_floating and tensor.shape:
        state.refuse(f"{shown(state.name)} has scales that rows share, so single rows cannot be reset")
    if value is None:
        yield _copied(state, tensor, action, by_name=by_name)
    elif action.rows is None or tensor.shape == action.tensor.shape:
        yield _constant(tensor, value, action.rows)


def _constant(tensor: TensorSpec, value: float, rows: tuple[int, int] | None) -> Action:
    name = "constant" if value else "zeros"
    arguments = {"val": value} if value else {}
    call = Call(name, tuple((key, f"{number:g}") for key, number in arguments.items()))
    pattern = quoted(tensor.name)
    rule = Rule(f"{pattern}={name}", Origin(RESET), Selector(Glob(pattern)), call)
    return Action(tensor, rule, name, arguments, {}, Constant(value), rows=rows)


def _copied(state: _State, tensor: TensorSpec, action: Action, *, by_name: bool) -> Action:
    """Gives `tensor`, the parameter before rounding, the values that `action` gives the parameter."""
    if not by_name or (tensor.dtype, tensor.shape) != (_FLOAT, action.tensor.shape):
        state.refuse(f"{shown(state.name)} may not be its copy in float32")
    if isinstance(action.law, RevisingLaw):
        state.refuse(f"{shown(state.name)} is its copy, but {action.initializer} depends on the old values")
    return action._replace(tensor=tensor, values_of=action.value_name)


def _unknown_kinds(optimizer: Optimizer) -> list[str]:
    """Unknown kinds of state of any parameter. They may belong to others: L-BFGS keeps all state with the first."""
    states = (*optimizer.state.values(), *optimizer.numbers.values())
    return [kind for kept in states for kind in kept if kind not in KNOWN_KINDS]


def _beginning(state: _State) -> tuple[TensorSpec, float | None] | None:
    """The tensor that holds `state`, and its initial value, which is None if it gets the parameter's new values. None
    if the state may stay. Raises `FitError` if it cannot be reset.
    """
    kind = kind_of(state.name, state.states, state.options or ())
    if kind is None or (state.name == "momentum_buffer" and (state.options or {}).get("dampening")):
        state.refuse(f"the initial value of {shown(state.name)} is unknown")
    match kind.begins:
        case None:
            return None
        case Unknown(why):
            state.refuse(f"{shown(state.name)} {why}")
        case OfParameter():
            return _writable(state), None
        case Option() as option:
            value = _option(state, option)
        case float() as value:
            pass
    tensor = _writable(state)
    try:
        check_holds(tensor.dtype, Constant(value))
    except Unfit as fact:
        state.refuse(f"{shown(state.name)} cannot be reset: {fact}")
    return tensor, value


def _option(state: _State, option: Option) -> float:
    if state.options is None or (option.otherwise is None and option.name not in state.options):
        state.refuse(f"{shown(state.name)} starts at the option {option.name} of its group, which is unknown")
    if option.otherwise is None and state.tensor and state.tensor.dtype.parts > 1:
        state.refuse(f"the initial value of {shown(state.name)} is unknown for complex numbers")
    return state.options.get(option.name, option.otherwise or 0.0)


def _writable(state: _State) -> TensorSpec:
    if state.tensor is None:
        state.refuse(f"{shown(state.name)} is not a tensor and cannot be changed in the pickle")
    if state.tensor.unwritable:
        state.refuse(f"{shown(state.name)} cannot be written: {state.tensor.unwritable}")
    return state.tensor
