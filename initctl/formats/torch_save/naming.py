"""The names of tensors: the keys that lead to them, one by one or as a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.standins import Call, Global, PatchableInt
from initctl.formats.torch_save.tensors import is_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.formats.table import Keys
    from initctl.formats.torch_save.graph import Graph
    from initctl.formats.torch_save.standins import TensorCall

_MOST_TENSORS = 200_000
"""On all ways to them: no pickle that is read to its end describes more on plain ways."""
_MOST_BYTES = 50_000_000
"""Of the names of all tensors together, and of the keys that they consist of."""
_DEEPEST = 100
"""Keys that lead to a tensor."""
_TOO_MANY = f"leads to tensors on more than {_MOST_TENSORS:,} ways, over more than {_DEEPEST} keys, or by endless names"
_OF_A_STEP = 10
"""What it takes to go one step further on a way, as a look at an entry takes one."""


def named_tensors(graph: Graph) -> Iterator[tuple[Keys, TensorCall]]:
    """Each tensor with the keys that lead to it, in order. Raises `Malformed` if there are too many.

    A tensor that several ways lead to comes once for each of them; a way that leads back into itself is not taken. The
    parts of a module that was saved whole are one key together, as `state_dict` names them.
    """
    leading, modules, root = graph.to_tensors(), graph.modules, id(graph.value)
    way = _Way()
    entered: list[int] = [root]
    module = 0 if root in modules else _DEEPEST
    waiting = [iter(leading.get(root, ()))]
    while waiting:
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            entered.pop()
            if len(way.keys) == module:
                module = _DEEPEST
            way.leave()
            continue
        key, found = step
        if is_tensor(found):
            keys = way.to(key)
            yield keys if module == _DEEPEST else _with_module(keys, module), found
        elif id(found) not in entered:
            graph.looks.spend(_OF_A_STEP)
            way.enter(key)
            entered.append(id(found))
            waiting.append(iter(leading[id(found)]))
            if module == _DEEPEST and id(found) in modules:
                module = len(way.keys)


class _Way:
    """The keys that lead to here, and how long the names of all tensors are. Raises `Malformed` if that is too much."""

    def __init__(self) -> None:
        self.keys: Keys = ()
        self._sizes = [0]
        """Bytes of the keys up to here, and up to each container before."""
        self._tensors = 0
        self._bytes = 0

    def enter(self, key: object) -> None:
        self.keys = (*self.keys, key)
        self._sizes.append(self._sizes[-1] + _size(key))
        if len(self.keys) > _DEEPEST:
            raise Malformed(_TOO_MANY)

    def leave(self) -> None:
        self.keys = self.keys[:-1]
        self._sizes.pop()

    def to(self, key: object) -> Keys:
        """The keys of a tensor that `key` leads to."""
        self._tensors += 1
        self._bytes += self._sizes[-1] + _size(key)
        if self._tensors > _MOST_TENSORS or self._bytes > _MOST_BYTES:
            raise Malformed(_TOO_MANY)
        return (*self.keys, key)


def _size(key: object) -> int:
    """About how many bytes `key` takes, and its place among others."""
    if not isinstance(key, str):
        return _OF_A_NUMBER
    return _OF_A_PLACE + len(key) * (1 if key.isascii() else 4)


_OF_A_PLACE, _OF_A_NUMBER = 9, 30


def _with_module(keys: Keys, module: int) -> Keys:
    """`keys`, those from number `module` on as one, if they are texts."""
    parts = [key for key in keys[module:] if isinstance(key, str)]
    return (*keys[:module], ".".join(parts)) if parts and len(parts) == len(keys) - module else keys


def name_of(keys: Keys) -> str:
    """The name of what `keys` lead to."""
    return ".".join([key if type(key) is str else _text_of(key) for key in keys])


def is_name(keys: Keys) -> bool:
    """Whether `keys` are texts and numbers, and nothing that a rule could not name."""
    return _NAMED.issuperset(map(type, keys))


def place_of(keys: Keys | None) -> str:
    """Where something is kept that has no name."""
    if keys is None:
        return "a place without a name"
    return ".".join(_text_of(key)[:_SHOWN_KEY] for key in keys)[:_SHOWN_KEYS] or "the top"


def _text_of(key: Any) -> str:  # noqa: ANN401 - whatever a pickle holds
    """A key as a part of a name; what is neither text nor a number is told by its type."""
    if isinstance(key, str):
        return key
    if type(key) in _NAMED and key.bit_length() <= _LONGEST_NUMBER:
        return str(key)
    return "<object>" if isinstance(key, (Call, Global)) else f"<{type(key).__name__}>"


_NAMED = frozenset((str, int, PatchableInt))
_SHOWN_KEY, _SHOWN_KEYS = 40, 120
"""Characters."""
_LONGEST_NUMBER = 64
"""Bits."""
