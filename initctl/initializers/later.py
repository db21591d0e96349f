"""Modules of initializers that are imported once one of their functions is called: most plans need none of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Later:
    """The functions of the module called `name`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, function: str) -> Callable[..., Any]:
        return lambda *arguments, **named: getattr(import_module(self._name), function)(*arguments, **named)
