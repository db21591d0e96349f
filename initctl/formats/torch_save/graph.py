"""The graph of a saved object: which containers contain which values. It is walked once.

A container has *entries* with keys: those of a dict, a list, an object or a module. Tensors are named by the keys that
lead to them. Bytes that are reached in any other way are unlisted: through keys of dicts that are containers
themselves, through other arguments of a tensor, or through attributes of a module outside of its state dict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.formats.opening import Malformed
from initctl.formats.torch_save.standins import DICT, PARTS, Made, MadeTensor, StorageRef, leading
from initctl.formats.torch_save.tensors import behind

if TYPE_CHECKING:
    from initctl.formats.table import Keys
    from initctl.formats.torch_save.looks import Looks, Pairs

_OF_A_PART, _OF_A_CONTAINER = 8, 16
"""The steps for keeping a part, and a container or a tensor, mostly for memory; a look at an entry is one step."""
_OF_A_STEP = 10
"""The steps for following a path to tensors by one key."""
_DEEPEST_PLACE = 20
"""The most keys in the name of a place without a tensor."""
_DEEPEST = 100
"""The most keys that lead to a tensor."""
_MOST_TENSORS = 200_000
"""The most paths to tensors. A pickle that is within the other limits describes fewer tensors."""
_MOST_BYTES = 50_000_000
"""The most bytes of the names of all tensors, and of their keys."""
_TOO_MANY = f"has more than {_MOST_TENSORS:,} paths to tensors, paths of more than {_DEEPEST} keys, or too long names"


@dataclass(slots=True, eq=False)
class Container:
    """A value with `entries`: keys, and values that are tensors, containers or storages.

    `holders` are the containers that contain it, with its keys there; the first one is on the path that was walked.
    `to_tensors` are the entries that lead to tensors, directly or not.
    """

    value: Any
    entries: Pairs
    holders: list[tuple[Container, Any]] = field(default_factory=list)
    to_tensors: Pairs = ()
    is_module: bool = False
    """Whether it is a module that was saved whole."""
    is_entered: bool = False
    """Whether it is on the path that is being walked."""


class _Way(NamedTuple):
    """A path of keys, their approximate size in bytes, and the number of the first key inside a whole saved module."""

    keys: Keys = ()
    size: int = 0
    module: int | None = None

    def to(self, key: object) -> _Way:
        size = _OF_A_NUMBER
        if isinstance(key, str):
            size = _OF_A_PLACE + len(key) * (1 if key.isascii() else 4)
        return _Way((*self.keys, key), self.size + size, self.module)

    def into(self, container: Container) -> _Way:
        """The same path, which leads to `container`."""
        return self._replace(module=len(self.keys)) if container.is_module and self.module is None else self

    @property
    def names(self) -> Keys:
        """The keys. If those inside a module are all text, they are joined into one, as `state_dict` names tensors."""
        if self.module is None:
            return self.keys
        parts = [key for key in self.keys[self.module :] if isinstance(key, str)]
        is_one = parts and len(parts) == len(self.keys) - self.module
        return (*self.keys[: self.module], ".".join(parts)) if is_one else self.keys


_OF_A_PLACE, _OF_A_NUMBER = 9, 30


class Graph:
    """The containers below `value`, by identity. Each is read once.

    `discarded` are values of the pickle that are in none of them. Raises `Malformed` if there are too many containers.
    """

    def __init__(self, value: Any, looks: Looks, discarded: Sequence[Any] = ()) -> None:  # noqa: ANN401 - whatever a pickle holds
        self.looks = looks
        self._discarded = discarded
        self._tensors: set[int] = set()
        self._behind: list[tuple[Container, Any, Any]] = []
        """Values that tensors refer to, each with the container and the key of the tensor."""
        self.root = self._container(value)
        self.containers = {id(value): self.root}
        waiting = [self.root]
        while waiting:
            waiting += reversed(self._looked_into(waiting.pop()))

    def _looked_into(self, here: Container) -> list[Container]:
        """Note the entries of `here`. Returns the containers that were not seen before."""
        found = []
        for key, part in here.entries:
            if isinstance(part, MadeTensor):
                if id(part) not in self._tensors:
                    self._tensors.add(id(part))
                    self.looks.spend(_OF_A_CONTAINER)
                    self._behind += ((here, key, other) for other in behind(part))
            elif known := self.containers.get(id(part)):
                known.holders.append((here, key))
            elif not isinstance(part, StorageRef) and (new := self._worth_it(part)):
                new.holders.append((here, key))
                self.containers[id(part)] = new
                found.append(new)
        return found

    def _worth_it(self, value: Any) -> Container | None:  # noqa: ANN401
        """A container; None if it has no entries and is cheap to read: then it may be read again."""
        left = self.looks.left
        found = self._container(value)
        if not found.entries and left - self.looks.left < _OF_A_CONTAINER:
            return None
        self.looks.spend(_OF_A_CONTAINER)
        return found

    def _container(self, value: Any) -> Container:  # noqa: ANN401
        """The container `value`. The entries of a module are those that `state_dict` lists. The entries of any other
        object are its items, its attributes, in slots or not, and the arguments of the call that makes it.
        """
        if not isinstance(value, Made):
            return Container(value, self._kept(self._pairs(value)))
        if inner := self._module(value):
            self.looks.spend(_OF_A_PART)  # for its other attributes
            return Container(value, self._kept(self._listed(value.state, inner)), is_module=True)
        arguments = value.arguments if isinstance(value.arguments, tuple) else ()
        layers = (value.items, *(_slots(value.state) or (value.state,)), arguments)
        return Container(value, self._kept(chain(self.looks.pairs_of(value), *map(self._pairs, layers))))

    def _kept(self, pairs: Iterable[tuple[Any, Any]]) -> Pairs:
        """The `pairs` whose values are containers, tensors or storages."""
        parts = (pair for pair in pairs if isinstance(pair[1], PARTS))
        found = list(islice(parts, self.looks.left // _OF_A_PART + 1))
        self.looks.spend(_OF_A_PART * len(found))
        return found

    def _pairs(self, layer: Any) -> Iterable[tuple[Any, Any]]:  # noqa: ANN401
        """The entries of a dict with their keys, or of a list with their indices."""
        if isinstance(layer, (list, tuple)):
            self.looks.spend(len(layer) + 1)
            return enumerate(layer)
        return self.looks.pairs_of(layer)

    def _module(self, value: Made) -> Sequence[Made]:
        """The parameters, buffers and submodules of a module that was saved whole; nothing if `value` is not one."""
        attributes = self.looks.texts_of(value.state)
        inner = [part for name in _OF_A_MODULE if isinstance(part := attributes.get(name), Made)]
        return inner if len(inner) == len(_OF_A_MODULE) else ()

    def _listed(self, state: Made, inner: Sequence[Made]) -> Iterator[tuple[Any, Any]]:
        """The entries of the `inner` dicts of a module, except buffers that `state_dict` leaves out."""
        left_out = self._names(self.looks.texts_of(state).get("_non_persistent_buffers_set"))
        for key, part in chain.from_iterable(map(self.looks.pairs_of, inner)):
            if not (isinstance(key, str) and key in left_out):
                yield key, part

    def _names(self, value: Any) -> frozenset[str]:  # noqa: ANN401
        """The texts in a set, in the form of any pickle protocol."""
        if not isinstance(value, Made):
            return frozenset()
        match value.arguments:
            case (list() as items,):
                pass
            case _:
                items = value.items or []
        self.looks.spend(len(items))
        return frozenset(name for name in items if isinstance(name, str))

    def named(self) -> Iterator[tuple[Keys, MadeTensor]]:
        """Each tensor with the keys that lead to it, in order. Raises `Malformed` if there are too many.

        A tensor is listed once for each path that leads to it. Circular paths are not followed. Keys inside a module
        that was saved whole are joined into one, as `state_dict` names tensors.
        """
        self._find_ways()
        size = 0
        for count, (way, tensor) in enumerate(self._ways(self.root, _Way()), 1):
            size += way.size
            if count > _MOST_TENSORS or size > _MOST_BYTES:
                raise Malformed(_TOO_MANY)
            yield way.names, tensor

    def _find_ways(self) -> None:
        """Set `to_tensors` of each container that leads to tensors."""
        reaching: set[int] = set()
        waiting = [c for c in self.containers.values() if any(isinstance(part, MadeTensor) for _, part in c.entries)]
        while waiting:
            container = waiting.pop()
            if id(container.value) not in reaching:
                reaching.add(id(container.value))
                waiting += (holder for holder, _ in container.holders)
        reaching |= self._tensors
        for container in self.containers.values():
            if id(container.value) in reaching:
                container.to_tensors = [pair for pair in container.entries if id(pair[1]) in reaching]

    def _ways(self, here: Container, way: _Way) -> Iterator[tuple[_Way, MadeTensor]]:
        way = way.into(here)
        here.is_entered = True
        for key, part in here.to_tensors:
            further = way.to(key)
            if isinstance(part, MadeTensor):
                yield further, part
            elif not (inner := self.containers[id(part)]).is_entered:
                self.looks.spend(_OF_A_STEP)
                if len(further.keys) > _DEEPEST:
                    raise Malformed(_TOO_MANY)
                yield from self._ways(inner, further)
        here.is_entered = False

    def unlisted(self) -> Iterator[tuple[Keys | None, MadeTensor | StorageRef]]:
        """Unlisted tensors and bare storages, each with keys that lead near it.

        Paths that lead back to a listed tensor are skipped: a module keeps its parameters in other places too, and an
        optimizer's state may have them as keys. They are not skipped from a tensor that is made of a listed one, since
        its values depend on it; nor from discarded values, which may have set a tensor as an attribute.
        """
        seen: set[int] = set()
        containers = self.containers.keys()
        listed = containers | self._tensors
        for here in self.containers.values():
            aside = [(key, part) for key, part in here.entries if id(part) not in listed]
            for key, part in aside:
                if not isinstance(part, StorageRef):
                    yield from self._led(partial(self._keys_to, here, key), self._reached([part], listed, seen))
            yield from self._led(partial(self.way_to, here), self._reached(_steps(here.value), listed, seen))
        for here, key, part in self._behind:
            yield from self._led(partial(self._keys_to, here, key), self._reached([part], containers, seen))
        yield from ((None, found) for found in self._reached(self._discarded, containers, seen))

    def _reached(
        self, parts: Iterable[Any], known: Collection[int], seen: set[int]
    ) -> Iterator[MadeTensor | StorageRef]:
        """Tensors and storages that `parts` are or lead to, without those `known`, and those `seen` before."""
        waiting = _leading(parts, known)
        while waiting:
            found = waiting.pop()
            if not isinstance(found, StorageRef):
                if id(found) in seen:
                    continue
                seen.add(id(found))
                waiting += _leading(behind(found) if isinstance(found, MadeTensor) else _steps(found), known)
            self.looks.spend(_OF_A_PART)
            if isinstance(found, (StorageRef, MadeTensor)):
                yield found

    @staticmethod
    def _led(
        way: Callable[[], Keys | None], found: Iterable[MadeTensor | StorageRef]
    ) -> Iterator[tuple[Keys | None, MadeTensor | StorageRef]]:
        """Each of `found` with the keys that `way` returns. It is called at most once."""
        if reached := list(found):
            keys = way()
            yield from ((keys, one) for one in reached)

    def _keys_to(self, container: Container, key: object) -> Keys | None:
        keys = self.way_to(container)
        return None if keys is None else (*keys, key)

    def is_alone(self, container: Container) -> bool:
        """Whether a container, and each container around it, is in only one place."""
        while container is not self.root:
            if len(container.holders) > 1:
                return False
            container, _ = container.holders[0]
        return True

    def way_to(self, container: Container, at_most: int = _DEEPEST_PLACE) -> Keys | None:
        """The keys of the first path to a container; None if there are more than `at_most`."""
        keys: list[Any] = []
        while container is not self.root:
            container, key = container.holders[0]
            keys.append(key)
            if len(keys) > at_most:
                return None
        return tuple(reversed(keys))


def _steps(value: Any) -> Iterable[Any]:  # noqa: ANN401
    """All values that a container contains directly."""
    if isinstance(value, (list, tuple)):
        return value
    keys_and_values = chain.from_iterable(value.pairs or ())
    return chain((value.called, value.arguments, value.state), value.items or (), keys_and_values)


def _leading(parts: Iterable[Any], known: Collection[int]) -> list[Any]:
    """The `parts` that may lead to storages, without those `known`."""
    return leading(part for part in parts if isinstance(part, PARTS) and id(part) not in known)


def _slots(state: Any) -> tuple[Made, ...]:  # noqa: ANN401
    """The dicts of an object's attributes, if its state is made for a class with slots; those in slots are last."""
    match state:
        case (None, Made(called=called) as slots) if called == DICT:
            return (slots,)
        case (Made(called=called) as attributes, Made(called=other) as slots) if called == other == DICT:
            return attributes, slots
    return ()


_OF_A_MODULE = ("_parameters", "_buffers", "_modules")
