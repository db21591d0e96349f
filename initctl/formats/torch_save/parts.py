"""What the values of a pickle are made of: the entries of dicts, lists, objects and modules.

A pickle can name one value in a million places, so that a small file holds a large thing: every look at an entry is
counted, and there are so many and no more.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.tensors import is_tensor
from initctl.formats.torch_save.values import DICT, Global, Made, Persistent, leads_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Pairs = Sequence[tuple[Any, Any]]

MOST_STEPS = 10_000_000
"""Four million or so are what a hundred thousand tensors with an optimizer take."""
MAPPINGS = (DICT, Global("__builtin__", "dict"), Global("collections", "OrderedDict"))


class Parts:
    """Looks up what the values of one file are made of. All raise `Malformed` where that comes to too much."""

    def __init__(self) -> None:
        self.left = MOST_STEPS
        self.modules: set[int] = set()
        """The identities of modules that were looked into."""

    def spend(self, steps: int) -> None:
        """Count looks at entries; or what takes as long."""
        self.left -= steps
        if self.left < 0:
            raise Malformed(f"takes more than {MOST_STEPS:,} looks: it has too many parts, or names them too often")

    def pairs_of(self, value: Made) -> Pairs:
        """The entries of a dict, an OrderedDict, or any other class that was filled as one."""
        if value.pairs is not None:
            self.spend(len(value.pairs))
            return value.pairs
        match value.arguments:
            case (list() as entries,) if value.called in MAPPINGS:  # as Python 2 wrote an OrderedDict
                self.spend(len(entries))
                return [(e[0], e[1]) for e in entries if isinstance(e, (list, tuple)) and len(e) == 2]
        return ()

    def texts_of(self, value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a pickle holds
        """The entries of a dict, or of what stands in for one, whose keys are texts."""
        if not isinstance(value, Made):
            return {}
        return {key: held for key, held in self.pairs_of(value) if isinstance(key, str)}

    def below(self, value: Any) -> Pairs:  # noqa: ANN401
        """Keys and values of a dict or a list, or of what stands in for one, where other parts may lie in them.

        A module's are those that `state_dict` lists; any other object's are what it was made from, and its attributes,
        in slots or not.
        """
        if isinstance(value, (list, tuple)):
            return self._numbered(value)
        if not isinstance(value, Made) or is_tensor(value):
            return ()
        if (module := self._module(value)) is not None:
            self.modules.add(id(value))
            return module
        return [
            *self._parts(self.pairs_of(value)),
            *self._numbered(value.items or ()),
            *self._attributes(value.state),
            *(self._numbered(value.arguments) if isinstance(value.arguments, tuple) else ()),
        ]

    def aside(self, value: Any, below: Pairs) -> list[Any]:  # noqa: ANN401
        """What a container leads to and is not `below` it: bare storages, keys that are parts, what a module keeps."""
        listed, through = {id(part) for _, part in below}, self._through(value)
        found, waiting = [], self.inside(value)
        while waiting:
            part = waiting.pop()
            if id(part) in through and not isinstance(part, Persistent):
                through.remove(id(part))
                waiting += self.inside(part)
            elif id(part) not in listed:
                found.append(part)
        self.spend(_STEPS * len(found))
        return found

    def inside(self, value: Any) -> list[Any]:  # noqa: ANN401
        """All that `value` leads to in one step, in any way."""
        if isinstance(value, (list, tuple)):
            self.spend(len(value) + 1)
            return _leading(value)
        pairs, items = value.pairs or (), value.items or ()
        self.spend(len(pairs) + len(items) + 1)
        return _leading((value.called, value.arguments, value.state, *items, *chain.from_iterable(pairs)))

    def _through(self, value: Any) -> set[int]:  # noqa: ANN401
        """The identities of what was looked through to tell what lies below a container."""
        if not isinstance(value, Made):
            return set()
        inner: list[Any] = []
        if id(value) in self.modules:
            attributes = self.texts_of(value.state)
            inner = [attributes[name] for name in _OF_A_MODULE]
        elif _has_slots(value.state):
            inner = list(value.state)
        return {id(value.arguments), id(value.state), *map(id, inner)}

    def _attributes(self, state: Any) -> Pairs:  # noqa: ANN401
        """What an object was given as its state: by name, in slots or not, or in an order that it knows."""
        if isinstance(state, Made):
            return self._parts(self.pairs_of(state))
        if _has_slots(state):
            return [pair for part in state if part for pair in self._parts(self.pairs_of(part))]
        return self._numbered(state) if isinstance(state, (list, tuple)) else ()

    def _numbered(self, values: Sequence[Any]) -> Pairs:
        self.spend(len(values) + 1)
        return self._parts(enumerate(values))

    def _parts(self, pairs: Iterable[tuple[Any, Any]]) -> Pairs:
        """Those of `pairs` whose values may hold others, or are tensors."""
        found = list(islice((pair for pair in pairs if isinstance(pair[1], _PARTS)), self.left // _STEPS + 1))
        self.spend(_STEPS * len(found))
        return found

    def _module(self, value: Made) -> Pairs | None:
        """What a module saved whole holds, or nothing where it is none: parameters, buffers, then modules in it."""
        if not isinstance(value.state, Made):
            return None
        attributes = self.texts_of(value.state)
        parts = [part for name in _OF_A_MODULE if isinstance(part := attributes.get(name), Made)]
        if len(parts) < len(_OF_A_MODULE):
            return None
        left_out = self._names(attributes.get("_non_persistent_buffers_set"))
        pairs = [pair for part in parts for pair in self._parts(self.pairs_of(part))]
        return [(key, held) for key, held in pairs if not (isinstance(key, str) and key in left_out)]

    def _names(self, value: Any) -> frozenset[str]:  # noqa: ANN401
        """The texts in a set, as either protocol writes it."""
        if not isinstance(value, Made):
            return frozenset()
        match value.arguments:
            case (list() as items,):
                pass
            case _:
                items = value.items or []
        self.spend(len(items))
        return frozenset(name for name in items if isinstance(name, str))


def _has_slots(state: Any) -> bool:  # noqa: ANN401
    """Whether an object's state is its attributes in two dicts, the second those in slots."""
    match state:
        case (None | Made(called=Global("builtins", "dict")), Made(called=Global("builtins", "dict"))):
            return True
    return False


def _leading(values: Iterable[Any]) -> list[Any]:
    """Those of `values` that a storage may lie behind."""
    return [value for value in values if isinstance(value, _LEADING) and leads_on(value)]


def is_container(value: object) -> bool:
    """Whether tensors may lie in `value`."""
    return isinstance(value, _PARTS) and not is_tensor(value)


_PARTS = (list, tuple, Made)
_LEADING = (*_PARTS, Persistent)
_STEPS = 8
"""What it takes to note a part, as a look at an entry takes one: most of it is memory."""
_OF_A_MODULE = ("_parameters", "_buffers", "_modules")
