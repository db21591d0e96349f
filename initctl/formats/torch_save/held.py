"""What lies in what: every container below a value, once, however many ways lead to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.tensors import beside, is_tensor
from initctl.formats.torch_save.values import Persistent

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from initctl.formats.table import Keys
    from initctl.formats.torch_save.parts import Pairs, Parts
    from initctl.formats.torch_save.values import Made

    Place = tuple[int, Any]
    """A container, by its identity, and a key in it."""

_STEPS = 16
"""What a container or a tensor takes, as a look at an entry takes one: much of it is memory."""
_DEEPEST = 20
"""Keys that tell a place."""


class Held:
    """The containers below `value` in which other parts lie, by their identities.

    `below` are the keys and values of each, where these are tensors or containers; `above` are the identities of those
    that it lies in, with its keys there: the first is the way that led to it. What was `discarded` lies in none of
    them. Raises `Malformed` where there are too many.
    """

    def __init__(self, value: Any, parts: Parts, discarded: Sequence[Any] = ()) -> None:  # noqa: ANN401 - whatever a pickle holds
        self.value = value
        self.parts = parts
        self.below: dict[int, Pairs] = {id(value): parts.below(value)}
        self.above: dict[int, list[Place]] = {id(value): []}
        self._holders: set[int] = set()
        """Those that tensors lie in."""
        self._tensors: set[int] = set()
        self._aside: list[tuple[Place | None, Any]] = []
        """What containers at some places lead to beside what is listed."""
        self._beside: list[tuple[Place, Any]] = []
        """What tensors at some places lead to beside their own elements."""
        self._discarded = discarded
        self._note(None, value, self.below[id(value)])
        waiting = [id(value)]
        while waiting:
            here = waiting.pop()
            waiting += reversed([inner for key, part in self.below[here] if (inner := self._found(here, key, part))])

    def _found(self, here: int, key: Any, part: Any) -> int | None:  # noqa: ANN401
        """The identity of `part`, at `key` in the container `here`, if it is another container."""
        if is_tensor(part):
            self._holders.add(here)
            if id(part) not in self._tensors:
                self.parts.spend(_STEPS)
                self._tensors.add(id(part))
                self._beside += (((here, key), other) for other in beside(part))
            return None
        inner = id(part)
        if inner in self.below:
            self.above[inner].append((here, key))
            return None
        left = self.parts.left
        below = self.parts.below(part)
        self._note((here, key), part, below)
        if not below and left - self.parts.left < _STEPS:
            return None  # so little is looked at again, rather than remembered
        self.parts.spend(_STEPS)
        self.below[inner] = below
        self.above[inner] = [(here, key)]
        return inner

    def _note(self, place: Place | None, container: Any, below: Pairs) -> None:  # noqa: ANN401
        self._aside += ((place, other) for other in self.parts.aside(container, below))

    def unlisted(self) -> Iterator[tuple[Keys | None, Persistent | Made]]:
        """Tensors and bare storages that are listed nowhere and something leads to, each with keys that lead near.

        What leads back to what is listed is that itself: a module keeps its parameters in other places too, and an
        optimizer's state has them as keys. But where a tensor is made of a listed one, its own content is at stake; and
        what was discarded may have set one as an attribute.
        """
        seen: set[int] = set()
        listed = self.below.keys() | self._tensors
        for place, part in self._aside:
            yield from ((self._keys_to(place), found) for found in self._led_to(part, listed, seen))
        for place, part in self._beside:
            yield from ((self._keys_to(place), found) for found in self._led_to(part, self.below.keys(), seen))
        for part in self._discarded:
            yield from ((None, found) for found in self._led_to(part, self.below.keys(), seen))

    def _led_to(self, part: Any, known: Container[int], seen: set[int]) -> Iterator[Persistent | Made]:  # noqa: ANN401
        """Tensors and storages that `part` is or leads to, but for those that are `known`, and those `seen` before."""
        waiting = [part]
        while waiting:
            found = waiting.pop()
            if isinstance(found, Persistent):
                yield found
            elif id(found) not in seen and id(found) not in known:
                seen.add(id(found))
                if is_tensor(found):
                    yield found
                waiting += beside(found) if is_tensor(found) else self.parts.inside(found)

    def _keys_to(self, place: Place | None) -> Keys | None:
        if place is None:
            return ()
        keys = self.way_to(place[0], _DEEPEST)
        return None if keys is None else (*keys, place[1])

    def is_alone(self, container: int) -> bool:
        """Whether a container, and all that it lies in, stand in one place each."""
        while container != id(self.value):
            if len(self.above[container]) > 1:
                return False
            container, _ = self.above[container][0]
        return True

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
