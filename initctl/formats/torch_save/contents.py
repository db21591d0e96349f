"""What a saved object holds beside tensors: values in a word or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.looks import MAPPINGS
from initctl.formats.torch_save.standins import Call, Global
from initctl.formats.torch_save.tensors import is_tensor

if TYPE_CHECKING:
    from initctl.formats.torch_save.looks import Looks

_OF_A_WORD = 20
"""What it takes to note a word, as a look at an entry takes one: most of it is memory."""
_SHOWN_TEXT = 80
_SHOWN_BITS = 64


def contents_of(value: Any, looks: Looks) -> dict[str, str]:  # noqa: ANN401 - whatever a pickle holds
    """What is at the top of `value` beside tensors, by its keys, in a word or two."""
    contents: dict[str, str] = {}
    for key, held in looks.pairs_of(value):
        if not is_tensor(held) and isinstance(key, str):
            looks.spend(_OF_A_WORD)
            contents[key] = in_a_word(held)
    return contents


def in_a_word(value: Any) -> str:  # noqa: ANN401
    """A number or a text itself, anything else by the name of its type, without looking the type up."""
    match value:
        case int() if value.bit_length() > _SHOWN_BITS:
            return f"a number of {value.bit_length()} bits"
        case None | int() | float():
            return str(value)
        case str():
            return value[:_SHOWN_TEXT]
        case bytes() | bytearray() | list() | tuple():
            return f"{type(value).__name__} of {len(value)}"
        case Call() if is_tensor(value):
            return "one bare tensor"
        case Call(called=Global()):
            return _call_in_a_word(value)
        case Global():
            return str(value)
    return "an object"


def _call_in_a_word(value: Call) -> str:
    match value.called, value.arguments:
        case called, (list() as entries,) if called in MAPPINGS and value.pairs is None:
            return f"{called.name} of {len(entries)}"
        case called, _ if called in MAPPINGS:
            return f"{called.name} of {len(value.pairs or ())}"
        case Global(module="copyreg" | "copy_reg", name="_reconstructor"), (Global() as kind, *_):
            return str(kind)
    return str(value.called)
