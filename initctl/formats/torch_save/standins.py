"""Stand-ins for the values that a pickle would create. Nothing is looked up, imported or called for them."""

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
    """The result of calling `called` with `arguments`, and values that are added to it afterwards.

    `pairs` are keys and values of a dict, in order, `items` are elements of a list or set, and `state` contains the
    attributes. It `is_shared` if it may be in several places.
    """

    called: Any
    arguments: Any = ()
    pairs: list[tuple[Any, Any]] | None = None
    items: list[Any] | None = None
    state: Any = None
    is_shared: bool = False


class MadeTensor(Made):
    """The result of a function that rebuilds a tensor; `tensors.py` describes it."""

    __slots__ = ()


@dataclass(slots=True, eq=False, repr=False)
class StorageRef:
    """A persistent id: the bytes of a tensor elsewhere in the file."""

    id: Any


class PatchableInt(int):
    """A step: a whole number that fills `width` bytes of the pickle, little-endian, from byte `position`."""

    position: int
    width: int


def leading(values: Iterable[Any]) -> list[Any]:
    """The `values` that are storages, or contain anything."""
    return [value for value in values if isinstance(value, PARTS) and _leads_on(value)]


def _leads_on(value: Any) -> bool:  # noqa: ANN401 - whatever a pickle holds
    if isinstance(value, Made):
        is_plain = isinstance(value.called, Global) and not (value.arguments or value.pairs or value.items)
        return not is_plain or value.state is not None
    return isinstance(value, StorageRef) or bool(value)


CONTAINERS = (list, tuple, Made)
PARTS = (*CONTAINERS, StorageRef)
"""Types of values that may lead to storages."""
DICT = Global("builtins", "dict")
SET = Global("builtins", "set")
FROZENSET = Global("builtins", "frozenset")
LONG_TEXT = Global("builtins", "str")
