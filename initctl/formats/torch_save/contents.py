"""Contents of a saved object besides tensors: values in a word or two, and signs that it is one rank's part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from initctl.formats.torch_save.looks import MAPPINGS, Looks
from initctl.formats.torch_save.standins import Global, Made, MadeTensor
from initctl.formats.torch_save.tensors import is_part

_OF_A_WORD = 20
"""The steps for keeping a word, mostly for its memory; a look at an entry is one step."""
_SHOWN_TEXT = 80
_SHOWN_BITS = 64
_PLACES = ("args", "hyper_parameters", "cfg", "config")
"""Keys below which numbers of ranks may be: Megatron-LM saves `args`, Lightning `hyper_parameters` (NeMo: `cfg`)."""
_DEEPEST = 2
_MOST_RANKS = 2**31
_NUMBERS = (
    "tensor_model_parallel_size",  # megatron/training/arguments.py, NeMo
    "pipeline_model_parallel_size",
    "model_parallel_size",  # Megatron-LM before 2.0, metaseq
    "mp_world_size",  # deepspeed/runtime/engine.py
)


def contents_of(value: Any, looks: Looks) -> dict[str, str]:  # noqa: ANN401 - whatever a pickle holds
    """The values at the top of `value` that are not tensors, in a word or two, by their keys."""
    contents: dict[str, str] = {}
    for key, held in looks.pairs_of(value):
        if not isinstance(held, MadeTensor) and isinstance(key, str):
            looks.spend(_OF_A_WORD)
            contents[key] = in_a_word(held)
    return contents


def in_a_word(value: Any) -> str:  # noqa: ANN401
    """A number or a text as it is, anything else by the name of its type. The type is not imported."""
    match value:
        case int() if value.bit_length() > _SHOWN_BITS:
            return f"a number of {value.bit_length()} bits"
        case None | int() | float():
            return str(value)
        case str():
            return value[:_SHOWN_TEXT]
        case bytes() | bytearray() | list() | tuple():
            return f"{type(value).__name__} of {len(value)}"
        case MadeTensor():
            return "a single tensor"
        case Made(called=Global() as called, arguments=arguments):
            match arguments:
                case (list() as entries,) if called in MAPPINGS and value.pairs is None:
                    return f"{called.name} of {len(entries)}"
                case (Global() as kind, *_) if called.name == "_reconstructor" and called.module.startswith("copy"):
                    return str(kind)
            return f"{called.name} of {len(value.pairs or ())}" if called in MAPPINGS else str(called)
        case Global():
            return str(value)
    return "an object"


def of_one_rank(value: Any, named: Iterable[Global], looks: Looks) -> tuple[str, ...]:  # noqa: ANN401
    """The signs that `value` is one rank's part, as ends of sentences about it. Its pickle names `named`."""
    said = ((name, fields[name]) for fields in _said(value, looks, _DEEPEST) for name in _NUMBERS if name in fields)
    numbers = [
        f"was saved with {name}={int(number)}"
        for name, number in said
        if isinstance(number, int) and 1 < number < _MOST_RANKS
    ]
    held = sorted({kind.name for kind in named if is_part(kind)})
    return (*numbers, *(f"contains a {name}, of which each rank saved a part" for name in held))


def _said(value: Any, looks: Looks, deepest: int) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """The fields of `value`, and those below `_PLACES`."""
    fields = looks.texts_of(value)
    if isinstance(value, Made) and value.state is not None:
        fields = {**fields, **looks.texts_of(value.state)}
    yield fields
    for place in _PLACES if deepest else ():
        if place in fields:
            yield from _said(fields[place], looks, deepest - 1)
