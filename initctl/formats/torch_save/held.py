"""What lies in what: every container below a value, once, however many ways lead to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.tensors import is_tensor

if TYPE_CHECKING:
    from initctl.formats.table import Keys
    from initctl.formats.torch_save.parts import Pairs, Parts

_STEPS = 8
"""What a container takes, as a look at an entry takes one: most of it is memory."""


class Held:
    """The containers below `value` in which other parts lie, by their identities.

    `below` are the keys and values of each, where these are tensors or containers; `above` are the identities of those
    that it lies in, with its keys there: the first is the way that led to it. Raises `Malformed` where there are too
    many.
    """

    def __init__(self, value: Any, parts: Parts) -> None:  # noqa: ANN401 - whatever a pickle holds
        self.value = value
        self.parts = parts
        self.below: dict[int, Pairs] = {id(value): parts.below(value)}
        self.above: dict[int, list[tuple[int, Any]]] = {id(value): []}
        self._holders: set[int] = set()
        """Those that tensors lie in."""
        waiting = [id(value)]
        while waiting:
            here = waiting.pop()
            waiting += reversed([inner for key, part in self.below[here] if (inner := self._found(here, key, part))])

    def _found(self, here: int, key: Any, part: Any) -> int | None:  # noqa: ANN401
        """The identity of `part`, at `key` in the container `here`, if it is another container."""
        if is_tensor(part):
            self._holders.add(here)
            return None
        inner = id(part)
        if inner in self.below:
            self.above[inner].append((here, key))
            return None
        left = self.parts.left
        below = self.parts.below(part)
        if not below and left - self.parts.left < _STEPS:
            return None  # so little is looked at again, rather than remembered
        self.parts.spend(_STEPS)
        self.below[inner] = below
        self.above[inner] = [(here, key)]
        return inner

    def to_tensors(self) -> dict[int, Pairs]:
        """For each container that tensors lie in, however deep: keys and values that lead to them."""
        leading: set[int] = set()
        waiting = list(self._holders)
        while waiting:
            holder = waiting.pop()
            if holder not in leading:
                leading.add(holder)
                waiting += (above for above, _ in self.above[holder])
        return {
            holder: [(key, part) for key, part in self.below[holder] if is_tensor(part) or id(part) in leading]
            for holder in leading
        }

    def way_to(self, container: int, at_most: int) -> Keys | None:
        """The keys that led to a container first, unless they are more than `at_most`."""
        keys: list[Any] = []
        while container != id(self.value):
            container, key = self.above[container][0]
            keys.append(key)
            if len(keys) > at_most:
                return None
        return tuple(reversed(keys))
