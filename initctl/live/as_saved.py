"""The tensors of a model of transformers as `save_pretrained` writes them.

In memory, experts are fused: one parameter is many tensors of a file. When transformers saves, it renames and splits
parameters. Here it does so to tensors without memory, and their strides show where in a parameter each tensor of the
file is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from initctl.grouping import grouped
from initctl.live.window import Window
from initctl.tensors import row_major

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from initctl.live.pieces import Held

    Parameters = Mapping[str, Held]

_CONVERTING = "transformers.core_model_loading"
_CANNOT = (NotImplementedError, RuntimeError, ValueError)
"""What transformers raises if it cannot revert a conversion. Then it cannot save the model either."""


class AsSaved(NamedTuple):
    """The `tensors` by their names in a file. `names` are those of each parameter that has others in memory.

    `computed` are parameters, by their names in memory, whose elements are joined with others, or put in another order,
    when they are saved.
    """

    tensors: Mapping[str, Held]
    names: Mapping[str, Sequence[str]] = {}
    computed: Sequence[str] = ()


def as_saved(model: PreTrainedModel, parameters: Parameters) -> AsSaved:
    """`parameters` of `model`, given by their names in memory, as they are in a file of it; all are `computed` if
    transformers cannot revert its conversion.
    """
    try:
        windows = _windows(model, parameters)
    except _CANNOT:
        return AsSaved(parameters, computed=tuple(parameters))
    found = grouped((parameter, name) for name, (parameter, _) in windows.items())
    sizes = {name: prod(parameter.shape) for name, parameter in parameters.items()}
    computed = [
        name
        for name in parameters
        if windows and sum(prod(windows[new][1].shape) for new in found[name]) != sizes[name]
    ]
    names = {name: found[name] for name in parameters if name not in computed and found[name] not in ([], [name])}
    tensors: dict[str, Held] = {}
    for name, parameter in parameters.items():
        for new in names.get(name, [name]):
            tensors[new] = _simplified(windows[new][1]) if name in names else parameter
    return AsSaved(tensors, names, computed)


class _WithoutCopies(TorchFunctionMode):
    """Lets views stay views."""

    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        return args[0] if function is torch.Tensor.contiguous else function(*args, **(kwargs or {}))


def _windows(model: PreTrainedModel, parameters: Parameters) -> dict[str, tuple[str, Window]]:
    """Each tensor of a file that is in a parameter: the parameter's name, and the place. None if all are as they are in
    memory. Raises one of `_CANNOT`.
    """
    converting = sys.modules.get(_CONVERTING)
    if converting is None or getattr(model, "_hf_peft_config_loaded", False):
        return {}
    empty = {n: torch.empty(tuple(p.shape), dtype=p.dtype, device="meta") for n, p in parameters.items()}
    owners = {tensor.untyped_storage()._cdata: name for name, tensor in empty.items()}  # noqa: SLF001 - its identity
    with _WithoutCopies():
        reverted = converting.revert_weight_conversion(model, empty)
    found = {}
    for name, view in reverted.items():
        owner = owners.get(view.untyped_storage()._cdata)  # noqa: SLF001 - as above
        if owner is not None:
            place = Window(parameters[owner], tuple(view.shape), view.stride(), int(view.storage_offset()))
            found[name] = owner, place
    return found


def _simplified(window: Window) -> Held:
    """The parameter itself, if `window` shows all of it."""
    shape = tuple(window.parameter.shape)
    return window.parameter if (window.shape, window.strides) == (shape, row_major(shape)) else window
