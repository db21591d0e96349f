"""What in a saved object shows that it is one rank's part: the numbers of ranks, and classes that hold a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.standins import Call
from initctl.formats.torch_save.tensors import is_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.formats.torch_save.looks import Looks
    from initctl.formats.torch_save.standins import Global

_PLACES = ("args", "hyper_parameters", "cfg", "config")
"""Where it is said, beside the top: Megatron-LM saves `args`, Lightning `hyper_parameters` (NeMo: `cfg` in them)."""
_DEEPEST = 2
_MOST = 2**31
"""Ranks."""
_NUMBERS = (
    "tensor_model_parallel_size",  # megatron/training/arguments.py, NeMo
    "pipeline_model_parallel_size",
    "model_parallel_size",  # Megatron-LM before 2.0, metaseq
    "mp_world_size",  # deepspeed/runtime/engine.py
)


def of_one_rank(value: Any, named: Iterable[Global], looks: Looks) -> tuple[str, ...]:  # noqa: ANN401 - whatever a pickle holds
    """What in `value`, whose pickle has `named` these, shows that it is one rank's part: ends of sentences about it."""
    said = ((name, fields[name]) for fields in _said(value, looks, _DEEPEST) for name in _NUMBERS if name in fields)
    numbers = [
        f"was saved with {name}={int(number)}"
        for name, number in said
        if isinstance(number, int) and 1 < number < _MOST
    ]
    held = sorted({kind.name for kind in named if is_part(kind)})
    return (*numbers, *(f"holds a {name}, of which each rank saved a part" for name in held))


def _said(value: Any, looks: Looks, deepest: int) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """What `value` says, and what its arguments do."""
    fields = looks.texts_of(value)
    if isinstance(value, Call) and value.state is not None:
        fields = {**fields, **looks.texts_of(value.state)}
    yield fields
    for place in _PLACES if deepest else ():
        if place in fields:
            yield from _said(fields[place], looks, deepest - 1)
