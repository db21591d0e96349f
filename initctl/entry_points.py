"""Plugins: entry points of other packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from initctl.errors import Problem, UsageError, shown

Added = TypeVar("Added")


def added(group: str, kind: type[Added], code: str) -> Iterator[Added]:
    """The objects of the entry points in `group`, each of type `kind`.

    Raises `UsageError` with `code` for one that cannot be loaded or has another type.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=group):
        try:
            found = entry.load()
        except Exception as error:
            raise _broken(entry.value, f"cannot be loaded: {error}", code) from error
        if not isinstance(found, kind):
            raise _broken(entry.value, f"is {type(found).__name__}, not an initctl {kind.__name__}", code)
        yield found


def _broken(entry: str, fault: str, code: str) -> UsageError:
    return UsageError(Problem(code, f"plugin {shown(entry)} {fault}", "repair or uninstall the package that adds it"))
