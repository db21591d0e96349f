"""What a saved object holds: every tensor by the keys that lead to it, and the rest by the names of types."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

from initctl.formats.optimizers import Group, OptimizerFacts
from initctl.formats.torch_save.inert import DICT, Global, Made, Placed
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.tensors import is_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initctl.formats.table import Keys
    from initctl.tensors import TensorSpec

_MOST_STEPS = 200_000
"""Dicts, lists and tensors on all ways to tensors: no pickle that is read to its end describes more on plain ways."""
_MOST_CHARACTERS = 50_000_000
"""Of the names of all tensors together."""
_DEEPEST = 100
"""Keys that lead to a tensor."""
_TOO_MANY = f"leads to tensors on more than {_MOST_STEPS:,} ways, over more than {_DEEPEST} keys, or by endless names"


def tensors_in(value: Any) -> Iterator[tuple[Keys, Made]]:  # noqa: ANN401 - whatever a pickle holds
    """Each tensor below `value` with the keys that lead to it, in order. Raises `Malformed` where there are too many.

    A tensor that several ways lead to comes once for each of them; a way that leads back into itself is not taken. The
    parts of a module that was saved whole are one key together, as `state_dict` names them.
    """
    leading = _ways_to_tensors(value)
    budget = _Budget()
    path: list[Any] = []
    entered: list[int] = [id(value)]
    module = 0 if _is_module(value) else _DEEPEST
    waiting = [iter(leading.get(id(value), ()))]
    while waiting:
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            entered.pop()
            if len(path) == module:
                module = _DEEPEST
            del path[-1:]
            continue
        key, found = step
        if is_tensor(found):
            budget.spend((*path, key))
            yield _named_parts((*path, key), module), found
        elif id(found) not in entered:
            budget.spend((*path, key))
            path.append(key)
            entered.append(id(found))
            waiting.append(iter(leading[id(found)]))
            if module == _DEEPEST and _is_module(found):
                module = len(path)


class _Budget:
    """What ways to tensors may come to, all together."""

    def __init__(self) -> None:
        self.steps = 0
        self.characters = 0

    def spend(self, keys: Keys) -> None:
        """Count the step that ends the way of `keys`. Raises `Malformed` where there are too many."""
        self.steps += 1
        self.characters += sum(len(key) for key in keys if isinstance(key, str))
        if self.steps > _MOST_STEPS or self.characters > _MOST_CHARACTERS or len(keys) > _DEEPEST + 1:
            raise Malformed(_TOO_MANY)


def _named_parts(keys: Keys, module: int) -> Keys:
    """`keys`, those from number `module` on as one, where they are texts."""
    parts = [key for key in keys[module:] if isinstance(key, str)]
    return (*keys[:module], ".".join(parts)) if parts and len(parts) == len(keys) - module else keys


def _ways_to_tensors(value: Any) -> dict[int, list[tuple[Any, Any]]]:  # noqa: ANN401
    """For each container below `value` that tensors lie in, however deep: keys and values that lead to them."""
    ways: dict[int, list[tuple[Any, Any]]] = {}
    parents: dict[int, list[int]] = {id(value): []}
    waiting, holders = [value], []
    while waiting:
        container = waiting.pop()
        ways[id(container)] = [way for way in children(container) if is_tensor(way[1]) or is_container(way[1])]
        for _, child in ways[id(container)]:
            if is_tensor(child):
                holders.append(id(container))
                continue
            if id(child) not in parents:
                parents[id(child)] = []
                waiting.append(child)
            parents[id(child)].append(id(container))
    leading: set[int] = set()
    while holders:
        holder = holders.pop()
        if holder not in leading:
            leading.add(holder)
            holders += parents[holder]
    return {
        holder: [(key, child) for key, child in ways[holder] if is_tensor(child) or id(child) in leading]
        for holder in leading
    }


def is_container(value: object) -> bool:
    """Whether tensors may lie in `value`."""
    return isinstance(value, (list, tuple, Made)) and not is_tensor(value)


def children(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
    """Keys and values of a dict or a list, or of what stands in for one; a module's as `state_dict` lists them.

    Of any other object, what it was made from and what its attributes are.
    """
    if isinstance(value, (list, tuple)):
        yield from enumerate(value)
    elif isinstance(value, Made) and not is_tensor(value):
        if (module := _module(value)) is not None:
            yield from module
        else:
            yield from pairs_of(value)
            yield from enumerate(value.items or ())
            yield from pairs_of(value.state) if isinstance(value.state, Made) else ()
            yield from enumerate(value.arguments) if isinstance(value.arguments, tuple) else ()


def pairs_of(value: Made) -> list[tuple[Any, Any]]:
    """The entries of a dict, an OrderedDict, or any other class that was filled as one."""
    if value.pairs is not None:
        return value.pairs
    match value.arguments:
        case (list() as entries,) if value.called in _MAPPINGS:  # as Python 2 wrote an OrderedDict
            return [(e[0], e[1]) for e in entries if isinstance(e, (list, tuple)) and len(e) == 2]
    return []


def texts_of(value: Any) -> dict[str, Any]:  # noqa: ANN401
    """The entries of a dict, or of what stands in for one, whose keys are texts."""
    return {key: held for key, held in pairs_of(value) if isinstance(key, str)} if isinstance(value, Made) else {}


def _module(value: Made) -> list[tuple[Any, Any]] | None:
    """What a module saved whole holds, or nothing where it is none: parameters, then buffers, then modules in it."""
    attributes = texts_of(value.state)
    parts = [part for name in _OF_A_MODULE if isinstance(part := attributes.get(name), Made)]
    if len(parts) < len(_OF_A_MODULE):
        return None
    left_out = _names(attributes.get("_non_persistent_buffers_set"))
    return [
        (key, held) for part in parts for key, held in pairs_of(part) if not (isinstance(key, str) and key in left_out)
    ]


def _is_module(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, Made) and _module(value) is not None


def _names(value: Any) -> frozenset[str]:  # noqa: ANN401
    """The texts in a set, as either protocol writes it."""
    if not isinstance(value, Made):
        return frozenset()
    match value.arguments:
        case (list() as items,):
            pass
        case _:
            items = value.items or []
    return frozenset(name for name in items if isinstance(name, str))


def contents_of(value: Any) -> dict[str, str]:  # noqa: ANN401
    """What lies at the top of `value` beside tensors, by its keys, in a word or two."""
    return {key: in_a_word(held) for key, held in texts_of(value).items() if not is_tensor(held)}


def in_a_word(value: Any) -> str:  # noqa: ANN401
    """A number or a text itself, anything else by the name of its type, without looking the type up."""
    match value:
        case int() if value.bit_length() > _SHOWN_BITS:
            return f"a number of {value.bit_length()} bits"
        case None | int() | float():
            return str(value)
        case str():
            return value[:_SHOWN_TEXT]
        case bytes() | bytearray() | list() | tuple():
            return f"{type(value).__name__} of {len(value)}"
        case Made() if is_tensor(value):
            return "one bare tensor"
        case Made(called=Global()):
            return _made_in_a_word(value)
        case Global():
            return str(value)
    return "an object"


def _made_in_a_word(value: Made) -> str:
    match value.called, value.arguments:
        case called, _ if called in _MAPPINGS:
            return f"{called.name} of {len(pairs_of(value))}"
        case Global(module="copyreg" | "copy_reg", name="_reconstructor"), (Global() as kind, *_):
            return str(kind)
    return str(value.called)


def optimizers_in(value: Any, scalar: Callable[[str, Any], TensorSpec | None]) -> dict[str, OptimizerFacts]:  # noqa: ANN401
    """What is said of each optimizer below `value` beside its tensors, by the dotted keys that lead to it.

    `scalar` tells of what is kept beside tensors, by its dotted keys, which tensor it amounts to.
    """
    found: dict[str, OptimizerFacts] = {}
    seen: set[int] = set()
    waiting: list[tuple[Keys, Any]] = [((), value)]
    while waiting:
        keys, container = waiting.pop()
        if id(container) in seen or len(keys) > _DEEPEST_OPTIMIZER:
            continue
        seen.add(id(container))
        entries = [(key, held) for key, held in children(container) if _is_plain(key)]
        named = dict(entries)
        if isinstance(named.get("param_groups"), list) and isinstance(named.get("state"), Made):
            name = ".".join(map(str, keys))
            numbers = {
                parameter: {kind: scalar(f"{name}.state.{parameter}.{kind}", number) for kind, number in kept.items()}
                for parameter, kept in _numbers(named["state"]).items()
            }
            found[name] = OptimizerFacts(_groups(named["param_groups"]), numbers)
        else:
            waiting += (((*keys, key), held) for key, held in entries if is_container(held))
    return found


def _groups(param_groups: list[Any]) -> tuple[Group, ...]:
    """The groups, or none where one is not as torch writes it: then nothing can be told of their order."""
    groups: list[Group] = []
    known: set[int | str] = set()
    count = 0
    for group in param_groups:
        fields = texts_of(group)
        parameters, names = fields.get("params"), fields.get("param_names") or ()
        if not isinstance(parameters, list) or not all(map(_is_plain, parameters)):
            return ()
        known.update(parameters)
        count += len(parameters)
        if len(known) < count:
            raise Malformed("an optimizer has a parameter twice")
        told = tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()
        options = {key: _as_float(held) for key, held in fields.items()}
        groups.append(Group(tuple(parameters), told if len(told) == len(parameters) else None, options))
    return tuple(groups)


def _as_float(held: object) -> float:
    """A number, or NaN for what is none."""
    try:
        return float(held) if isinstance(held, (int, float)) else nan
    except OverflowError:
        return inf


def _numbers(state: Made) -> dict[int | str, dict[str, Any]]:
    """What each parameter has beside tensors, but for what is empty."""
    return {
        parameter: {key: held for key, held in texts_of(kept).items() if held is not None and not is_tensor(held)}
        for parameter, kept in pairs_of(state)
        if _is_plain(parameter)
    }


def _is_plain(key: object) -> bool:
    """Whether `key` is a text, or a number that nobody chose to make dicts slow."""
    return type(key) is str or (isinstance(key, int) and type(key) in (int, Placed) and 0 <= key < _LARGEST_KEY)


_LARGEST_KEY = 2**32
_DEEPEST_OPTIMIZER = 4
"""Keys that lead to an optimizer's state at most."""
_OF_A_MODULE = ("_parameters", "_buffers", "_modules")
_MAPPINGS = (DICT, Global("__builtin__", "dict"), Global("collections", "OrderedDict"))
_SHOWN_TEXT = 80
_SHOWN_BITS = 64
