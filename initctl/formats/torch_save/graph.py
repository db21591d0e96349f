"""The graph of a saved object: what is in what, walked once.

A value has *entries*, which have keys: what is in a dict, a list, an object or a module. It may lead to *others*, which
have no key: keys that are parts themselves, what a tensor is made of, what a module keeps beside its state dict.
Tensors are named by the keys that lead to them. What leads to bytes in any other way is unlisted.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.standins import CONTAINERS, DICT, PARTS, Call, StorageRef, leading
from initctl.formats.torch_save.tensors import behind, is_tensor

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from initctl.formats.table import Keys
    from initctl.formats.torch_save.looks import Looks, Pairs
    from initctl.formats.torch_save.standins import TensorCall

    Place = tuple[int, Keys]
    """A container, by its identity, and keys below it."""

_OF_A_PART, _OF_A_CONTAINER = 8, 16
"""What it takes to note a part, and a container or a tensor, as a look at an entry takes one: much of it is memory."""
_DEEPEST = 20
"""Keys that tell a place."""


class Graph:
    """The containers below `value` in which other parts are, by their identities; each is looked into once.

    `entries` are the keys and values of each, as far as these are tensors, containers or storages; `holders` are the
    identities of those that it is in, with its keys there: the first is the way that led to it. `modules` are those
    that were saved whole. What was `discarded` is in none of them. Raises `Malformed` if there are too many.
    """

    def __init__(self, value: Any, looks: Looks, discarded: Sequence[Any] = ()) -> None:  # noqa: ANN401 - whatever a pickle holds
        self.value = value
        self.looks = looks
        self.entries: dict[int, Pairs] = {}
        self.holders: dict[int, list[tuple[int, Any]]] = {}
        self.modules: set[int] = set()
        self._of_tensors: set[int] = set()
        """Containers that tensors are in."""
        self._tensors: set[int] = set()
        self._others: list[tuple[Place, Any]] = []
        """Parts without a key that containers lead to, and storages."""
        self._behind: list[tuple[Place, Any]] = []
        """Parts that tensors lead to."""
        self._discarded = discarded
        self._walk()

    def _walk(self) -> None:
        root = id(self.value)
        self.entries[root], others = self._parts(self.value)
        self.holders[root] = []
        self._others += (((root, ()), other) for other in others)
        waiting = [root]
        while waiting:
            here = waiting.pop()
            found = [id(part) for key, part in self.entries[here] if self._is_new(here, key, part)]
            waiting += reversed(found)

    def _is_new(self, here: int, key: Any, part: Any) -> bool:  # noqa: ANN401
        """Note what is at `key` of the container `here`. Whether it is a container that was not seen before."""
        if is_tensor(part):
            self._of_tensors.add(here)
            if id(part) not in self._tensors:
                self._tensors.add(id(part))
                self.looks.spend(_OF_A_CONTAINER)
                if others := behind(part):
                    self._behind += (((here, (key,)), other) for other in others)
            return False
        if isinstance(part, StorageRef):
            self._others.append(((here, ()), part))
            return False
        if id(part) in self.entries:
            self.holders[id(part)].append((here, key))
            return False
        return self._is_worth_it(here, key, part)

    def _is_worth_it(self, here: int, key: Any, part: Any) -> bool:  # noqa: ANN401
        """Look into a container. One that costs nearly nothing is looked into again, rather than remembered."""
        left = self.looks.left
        entries, others = self._parts(part)
        self._others += (((here, (key,)), other) for other in others)
        if not entries and left - self.looks.left < _OF_A_CONTAINER:
            return False
        self.looks.spend(_OF_A_CONTAINER)
        self.entries[id(part)], self.holders[id(part)] = entries, [(here, key)]
        return True

    def _parts(self, value: Any) -> tuple[Pairs, Sequence[Any]]:  # noqa: ANN401
        """The entries of a value, and others that it leads to.

        A module's entries are those that `state_dict` lists; any other object's are what it was filled with, its
        attributes, in slots or not, and what it was made from.
        """
        if isinstance(value, (list, tuple)):
            return self._kept(self._pairs(value)), ()
        if not isinstance(value, Call):
            return (), ()
        if is_tensor(value):
            return (), behind(value)
        if inner := self._module(value):
            self.modules.add(id(value))
            pairs = self._listed(value.state, inner)
        else:
            inner = _slots(value.state)
            arguments = value.arguments if isinstance(value.arguments, tuple) else ()
            layers = (value.items, *(inner or (value.state,)), arguments)
            pairs = chain(self.looks.pairs_of(value), *map(self._pairs, layers))
        entries = self._kept(pairs)
        return entries, self._rest((value, value.arguments, value.state, *inner), entries)

    def _rest(self, layers: Iterable[Any], entries: Pairs) -> list[Any]:
        """What a value leads to that is not among its `entries`; `layers` are what it was looked through for them."""
        through = [layer for layer in layers if isinstance(layer, CONTAINERS)]
        known = {id(part) for _, part in entries}.union(map(id, through))
        parts = chain.from_iterable(map(_steps, through))
        found = leading(part for part in parts if isinstance(part, PARTS) and id(part) not in known)
        self.looks.spend(_OF_A_PART * len(found))
        return found

    def _kept(self, pairs: Iterable[tuple[Any, Any]]) -> Pairs:
        """Those of `pairs` whose values may hold others, or are tensors or storages."""
        parts = (pair for pair in pairs if isinstance(pair[1], PARTS))
        found = list(islice(parts, self.looks.left // _OF_A_PART + 1))
        self.looks.spend(_OF_A_PART * len(found))
        return found

    def _pairs(self, layer: Any) -> Iterable[tuple[Any, Any]]:  # noqa: ANN401
        """What is in a dict by its keys, or in a list by numbers."""
        if isinstance(layer, (list, tuple)):
            self.looks.spend(len(layer) + 1)
            return enumerate(layer)
        return self.looks.pairs_of(layer)

    def _module(self, value: Call) -> Sequence[Call]:
        """The parameters, the buffers and the modules in a module that was saved whole, or nothing if it is not one."""
        attributes = self.looks.texts_of(value.state)
        inner = [part for name in _OF_A_MODULE if isinstance(part := attributes.get(name), Call)]
        return inner if len(inner) == len(_OF_A_MODULE) else ()

    def _listed(self, state: Call, inner: Sequence[Call]) -> Iterator[tuple[Any, Any]]:
        """What is in the `inner` dicts of a module, but for buffers that `state_dict` leaves out."""
        left_out = self._names(self.looks.texts_of(state).get("_non_persistent_buffers_set"))
        for key, part in chain.from_iterable(map(self.looks.pairs_of, inner)):
            if not (isinstance(key, str) and key in left_out):
                yield key, part

    def _names(self, value: Any) -> frozenset[str]:  # noqa: ANN401
        """The texts in a set, as either protocol writes it."""
        if not isinstance(value, Call):
            return frozenset()
        match value.arguments:
            case (list() as items,):
                pass
            case _:
                items = value.items or []
        self.looks.spend(len(items))
        return frozenset(name for name in items if isinstance(name, str))

    def unlisted(self) -> Iterator[tuple[Keys | None, TensorCall | StorageRef]]:
        """Tensors and bare storages that are listed nowhere and something leads to, each with keys that lead near.

        What leads back to what is listed is that itself: a module keeps its parameters in other places too, and an
        optimizer's state has them as keys. But if a tensor is made of a listed one, its own content is at stake; and
        what was discarded may have set one as an attribute.
        """
        seen: set[int] = set()
        containers = self.entries.keys()
        listed = containers | self._tensors if self._others else containers
        for known, places in ((listed, self._others), (containers, self._behind)):
            for place, part in places:
                yield from ((self._keys_to(*place), found) for found in self._reached(part, known, seen))
        for part in self._discarded:
            yield from ((None, found) for found in self._reached(part, containers, seen))

    def _reached(self, part: Any, known: Container[int], seen: set[int]) -> Iterator[TensorCall | StorageRef]:  # noqa: ANN401
        """Tensors and storages that `part` is or leads to, but for those that are `known`, and those `seen` before."""
        waiting = [part]
        while waiting:
            found = waiting.pop()
            if isinstance(found, StorageRef):
                yield found
            elif id(found) not in seen and id(found) not in known:
                seen.add(id(found))
                if is_tensor(found):
                    yield found
                entries, others = self._parts(found)
                waiting += leading(inner for _, inner in entries)
                waiting += others

    def _keys_to(self, container: int, below: Keys) -> Keys | None:
        keys = self.way_to(container, _DEEPEST)
        return None if keys is None else (*keys, *below)

    def is_alone(self, container: int) -> bool:
        """Whether a container, and all that it is in, are in one place each."""
        while container != id(self.value):
            if len(self.holders[container]) > 1:
                return False
            container, _ = self.holders[container][0]
        return True

    def to_tensors(self) -> dict[int, Pairs]:
        """For each container that tensors are in, however deep: keys and values that lead to them."""
        reaching: set[int] = set()
        waiting = list(self._of_tensors)
        while waiting:
            container = waiting.pop()
            if container not in reaching:
                reaching.add(container)
                waiting += (holder for holder, _ in self.holders[container])
        return {
            container: [(key, part) for key, part in self.entries[container] if is_tensor(part) or id(part) in reaching]
            for container in reaching
        }

    def way_to(self, container: int, at_most: int) -> Keys | None:
        """The keys that led to a container first, unless they are more than `at_most`."""
        keys: list[Any] = []
        while container != id(self.value):
            container, key = self.holders[container][0]
            keys.append(key)
            if len(keys) > at_most:
                return None
        return tuple(reversed(keys))


def _steps(value: Any) -> Iterable[Any]:  # noqa: ANN401
    """All that a container leads to in one step."""
    if isinstance(value, (list, tuple)):
        return value
    keys_and_values = chain.from_iterable(value.pairs or ())
    return chain((value.called, value.arguments, value.state), value.items or (), keys_and_values)


def _slots(state: Any) -> tuple[Call, ...]:  # noqa: ANN401
    """The dicts that an object's attributes are in, the last of those in slots, if its state is such."""
    match state:
        case (None, Call(called=called) as slots) if called == DICT:
            return (slots,)
        case (Call(called=called) as attributes, Call(called=other) as slots) if called == other == DICT:
            return attributes, slots
    return ()


def is_container(value: object) -> bool:
    """Whether tensors may be in `value`."""
    return isinstance(value, CONTAINERS) and not is_tensor(value)


_OF_A_MODULE = ("_parameters", "_buffers", "_modules")
