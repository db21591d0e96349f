"""What a state of an optimizer begins at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn

from initctl.errors import shown
from initctl.formats.optimizers.kinds import Copied, Option, Recomputed, Unknown, kind_of
from initctl.initializers import Unfit
from initctl.planning.fits import check_holds
from initctl.planning.optimizers.refusing import refuse
from initctl.stream import Constant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.tensors import TensorSpec


class State(NamedTuple):
    """What an optimizer keeps of one parameter under one name; messages say that it is at `place`.

    `states` are all that it keeps of the parameter, and `options` those of the parameter's group, if that is known.
    `hint` says what to do if it cannot be set back.
    """

    name: str
    tensor: TensorSpec | None
    states: Mapping[str, TensorSpec | None]
    options: Mapping[str, float] | None
    place: str
    hint: str

    def refuse(self, why: str) -> NoReturn:
        """Raise the `FitError` that says `why` it cannot be set back."""
        refuse(f"{self.place}: {why}", self.hint)


class Beginning(NamedTuple):
    """What is written to `tensor`: `value`, or, without one, what the parameter gets."""

    tensor: TensorSpec
    value: float | None


def beginning(state: State) -> Beginning | None:
    """What `state` begins at; nothing if it may stay. Raises `FitError` if it cannot be set back."""
    kind = kind_of(state.name, state.states, state.options or ())
    if kind is None or (state.name == "momentum_buffer" and (state.options or {}).get("dampening")):
        state.refuse(f"what {shown(state.name)} begins at is not known")
    match kind.begins:
        case Recomputed():
            return None
        case Unknown(why):
            state.refuse(f"{shown(state.name)} {why}")
        case Copied():
            return Beginning(_writable(state), None)
        case Option() as option:
            value = _option(state, option)
        case float() as value:
            pass
    tensor = _writable(state)
    try:
        check_holds(tensor.dtype, Constant(value))
    except Unfit as fact:
        state.refuse(f"{shown(state.name)} cannot be set back: {fact}")
    return Beginning(tensor, value)


def _option(state: State, option: Option) -> float:
    """The value of a group's option."""
    if state.options is None or (option.otherwise is None and option.name not in state.options):
        state.refuse(f"{shown(state.name)} begins at the option {option.name} of its group, which is not known")
    if option.otherwise is None and state.tensor and state.tensor.dtype.parts > 1:
        state.refuse(f"what {shown(state.name)} begins at is not known for complex numbers")
    return state.options.get(option.name, option.otherwise or 0.0)


def _writable(state: State) -> TensorSpec:
    if state.tensor is None:
        state.refuse(f"{shown(state.name)} is not a tensor, and cannot be changed in the pickle")
    if state.tensor.unwritable:
        state.refuse(f"{shown(state.name)} cannot be written: {state.tensor.unwritable}")
    return state.tensor
