"""What a saved object holds: every tensor by the keys that lead to it, and the rest by the names of types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.parts import MAPPINGS
from initctl.formats.torch_save.tensors import is_tensor
from initctl.formats.torch_save.values import Global, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.formats.table import Keys
    from initctl.formats.torch_save.held import Held
    from initctl.formats.torch_save.parts import Parts

_MOST_TENSORS = 200_000
"""On all ways to them: no pickle that is read to its end describes more on plain ways."""
_MOST_BYTES = 50_000_000
"""Of the names of all tensors together, and of the keys that they consist of."""
_DEEPEST = 100
"""Keys that lead to a tensor."""
_TOO_MANY = f"leads to tensors on more than {_MOST_TENSORS:,} ways, over more than {_DEEPEST} keys, or by endless names"
_STEPS, _OF_A_WORD = 10, 20
"""What it takes to go one step further on a way, and to note a word, as a look at an entry takes one."""


def tensors_in(held: Held) -> Iterator[tuple[Keys, Made]]:
    """Each tensor with the keys that lead to it, in order. Raises `Malformed` where there are too many.

    A tensor that several ways lead to comes once for each of them; a way that leads back into itself is not taken. The
    parts of a module that was saved whole are one key together, as `state_dict` names them.
    """
    leading, modules, root = held.to_tensors(), held.parts.modules, id(held.value)
    names = _Names()
    path: list[Any] = []
    entered: list[int] = [root]
    module = 0 if root in modules else _DEEPEST
    waiting = [iter(leading.get(root, ()))]
    while waiting:
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            entered.pop()
            if len(path) == module:
                module = _DEEPEST
            if path:
                names.leave(path.pop())
            continue
        key, found = step
        if is_tensor(found):
            names.count(key)
            yield _named_parts((*path, key), module), found
        elif id(found) not in entered:
            held.parts.spend(_STEPS)
            names.enter(key)
            path.append(key)
            entered.append(id(found))
            waiting.append(iter(leading[id(found)]))
            if module == _DEEPEST and id(found) in modules:
                module = len(path)


class _Names:
    """What the names of tensors come to, all together. Raises `Malformed` where that is too much."""

    def __init__(self) -> None:
        self.depth = 0
        self.size = 0
        """Bytes of the keys on the way, up to here."""
        self.tensors = 0
        self.bytes = 0

    def enter(self, key: object) -> None:
        """Go on by `key`."""
        self.depth += 1
        self.size += _size(key)
        if self.depth > _DEEPEST:
            raise Malformed(_TOO_MANY)

    def leave(self, key: object) -> None:
        """Go back from where `key` led."""
        self.depth -= 1
        self.size -= _size(key)

    def count(self, key: object) -> None:
        """Name a tensor that `key` leads to."""
        self.tensors += 1
        self.bytes += self.size + _size(key)
        if self.tensors > _MOST_TENSORS or self.bytes > _MOST_BYTES:
            raise Malformed(_TOO_MANY)


def _size(key: object) -> int:
    """About how many bytes `key` takes, and its place among others."""
    if not isinstance(key, str):
        return _OF_A_NUMBER
    return _OF_A_PLACE + len(key) * (1 if key.isascii() else 4)


_OF_A_PLACE, _OF_A_NUMBER = 9, 30


def _named_parts(keys: Keys, module: int) -> Keys:
    """`keys`, those from number `module` on as one, where they are texts."""
    parts = [key for key in keys[module:] if isinstance(key, str)]
    return (*keys[:module], ".".join(parts)) if parts and len(parts) == len(keys) - module else keys


def contents_of(value: Any, parts: Parts) -> dict[str, str]:  # noqa: ANN401
    """What lies at the top of `value` beside tensors, by its keys, in a word or two."""
    contents: dict[str, str] = {}
    for key, held in parts.pairs_of(value) if isinstance(value, Made) else ():
        if isinstance(key, str) and not is_tensor(held):
            parts.spend(_OF_A_WORD)
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
        case Made() if is_tensor(value):
            return "one bare tensor"
        case Made(called=Global()):
            return _made_in_a_word(value)
        case Global():
            return str(value)
    return "an object"


def _made_in_a_word(value: Made) -> str:
    match value.called, value.arguments:
        case called, (list() as entries,) if called in MAPPINGS and value.pairs is None:
            return f"{called.name} of {len(entries)}"
        case called, _ if called in MAPPINGS:
            return f"{called.name} of {len(value.pairs or ())}"
        case Global(module="copyreg" | "copy_reg", name="_reconstructor"), (Global() as kind, *_):
            return str(kind)
    return str(value.called)


_SHOWN_TEXT = 80
_SHOWN_BITS = 64
