"""What stands in a pickle for what it would make: nothing of it is looked up, imported or called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function, by its name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class Made:
    """What calling `called` with `arguments` would give, and what it is given afterwards.

    `pairs` are keys and values as a dict takes them, in order, `items` are elements as a list or set takes them, and
    `state` is what its attributes are set from. It `is_shared` if it may be in several places.
    """

    called: Any
    arguments: Any = ()
    pairs: list[tuple[Any, Any]] | None = None
    items: list[Any] | None = None
    state: Any = None
    is_shared: bool = False


class MadeTensor(Made):
    """The call of a function that rebuilds a tensor: what `tensors.py` knows how to describe."""

    __slots__ = ()


@dataclass(slots=True, eq=False, repr=False)
class StorageRef:
    """What the pickle leaves to its reader: the bytes of a tensor, kept elsewhere in the file."""

    id: Any


class PatchableInt(int):
    """A step: a whole number that fills `width` bytes of the pickle, little-endian, from byte `position`."""

    position: int
    width: int


def leading(values: Iterable[Any]) -> list[Any]:
    """Those of `values` that are storages, or hold anything."""
    return [value for value in values if isinstance(value, PARTS) and _leads_on(value)]


def _leads_on(value: Any) -> bool:  # noqa: ANN401 - whatever a pickle holds
    if isinstance(value, Made):
        is_plain = isinstance(value.called, Global) and not (value.arguments or value.pairs or value.items)
        return not is_plain or value.state is not None
    return isinstance(value, StorageRef) or bool(value)


CONTAINERS = (list, tuple, Made)
PARTS = (*CONTAINERS, StorageRef)
"""What a container is made of, as far as it leads to storages."""
DICT = Global("builtins", "dict")
SET = Global("builtins", "set")
FROZENSET = Global("builtins", "frozenset")
LONG_TEXT = Global("builtins", "str")
