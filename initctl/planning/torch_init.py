"""Actions as torch.nn.init would do them: in the tensor's dtype, with torch's random numbers."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING

from initctl.errors import FitError, shown
from initctl.initializers import REGISTRY, Unfit
from initctl.planning.fits import Unfits
from initctl.planning.optimizers.refusing import WEIGHTS_ALONE, refuse
from initctl.stream import Constant

if TYPE_CHECKING:
    from initctl.planning.action import Action

_ARGUMENTS = {
    "uniform": ("a", "b"),
    "normal": ("mean", "std"),
    "trunc_normal": ("mean", "std", "a", "b"),
    "xavier_uniform": ("gain",),
    "xavier_normal": ("gain",),
    "kaiming_uniform": ("a", "mode", "nonlinearity"),
    "kaiming_normal": ("a", "mode", "nonlinearity"),
    "orthogonal": ("gain",),
    "sparse": ("sparsity", "std"),
}
"""The initializers of torch.nn.init that draw random numbers, and their parameters there."""
_WITHOUT_RANDOM_NUMBERS = ("zeros", "ones", "constant", "bias_from_prob", "nan", "eye", "dirac")
_HALVES = ("float16", "bfloat16")
_DTYPES = (*_HALVES, "float32", "float64")


def all_by_torch(actions: Iterable[Action]) -> list[Action]:
    """`actions` by torch.nn.init. Raises `FitError` with every action that it cannot do."""
    found: list[Action] = []
    unfits = Unfits()
    for action in actions:
        try:
            found.append(by_torch(action))
        except Unfit as fact:
            fault = f"{action.rule.call.name} does not fit: {fact}"
            unfits.tensors_with(action.rule, fact, fault).append(action.tensor)
    if problems := unfits.problems(found):
        raise FitError(*problems)
    return found


def check_drawn_once(resets: Iterable[Action]) -> None:
    """Refuse to reset an optimizer's copy of a weight to the weight's random numbers: torch draws them only once."""
    for action in resets:
        if action.initializer in _ARGUMENTS:
            copy = f"{shown(action.tensor.name)} is the optimizer's copy of {shown(action.value_name)}"
            refuse(f"{copy}, but --rng torch cannot draw the same values twice", WEIGHTS_ALONE)


def by_torch(action: Action) -> Action:
    """`action` by torch.nn.init. Raises `Unfit` if torch cannot do it."""
    name = action.initializer
    if name in _WITHOUT_RANDOM_NUMBERS:
        return action
    if name not in _ARGUMENTS:
        raise Unfit("--rng torch: torch.nn.init has no such initializer")
    defaults = {parameter.name: parameter.default for parameter in REGISTRY.find(name).parameters}
    known = _ARGUMENTS[name]
    if more := [key for key, value in action.arguments.items() if key not in known and value != defaults[key]]:
        raise Unfit(f"--rng torch: torch.nn.init.{name}_ has no parameter {' or '.join(more)}")
    if action.tensor.dtype.name not in _DTYPES:
        raise Unfit(f"--rng torch: torch cannot draw {action.tensor.dtype.name}")
    if name == "orthogonal" and action.tensor.dtype.name in _HALVES:
        raise Unfit(f"--rng torch: torch cannot decompose {action.tensor.dtype.name} matrices")
    if not action.part.numel:
        return action._replace(law=Constant(0))
    shape, origin = action.tensor.shape, 0
    if action.rows:
        start, stop = action.rows
        shape, origin = (stop - start, *shape[1:]), start * prod(shape[1:])
    arguments = {key: action.arguments[key] for key in known if key in action.arguments}
    from initctl.stream.torch_draw import TorchDraw

    law = TorchDraw(f"{name}_", arguments, shape, action.tensor.dtype.name, action.device, origin)
    return action._replace(law=law)
