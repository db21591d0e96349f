"""State dicts beside the one that is the root, which have its names: an average of it, a target, a copy of the best.

Rules reach one of them, and whatever goes on from the checkpoint may read another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from initctl.formats.state_dicts.names import WRAPPER_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initctl.formats.table import Entry, Keys
    from initctl.tensors import Shape, TensorSpec

_DEEPEST = 6
"""Keys that lead to a state dict."""
_OPTIMIZERS = ("optim", "opt_")
"""How keys begin under which optimizers keep moments, and copies of parameters, by the parameters' names."""


def twins(tensors: Sequence[TensorSpec], outside: Iterable[Entry]) -> list[str]:
    """The dotted keys under which most of `tensors` are once more, with the same names and shapes; or the same shapes
    in the same order, in a list, as torch_ema and diffusers keep `shadow_params`.
    """
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    beside = [entry for entry in outside if not any(map(_is_optimizer_s, entry.keys[:_DEEPEST]))]
    named = Counter(prefix for entry in beside for prefix in _prefixes(entry, shapes))
    listed = {prefix for prefix, found in _lists(beside).items() if _is_in_order(found, list(shapes.values()))}
    return [prefix for prefix in _in_order(beside) if 2 * named[prefix] > len(shapes) or prefix in listed]


def _is_optimizer_s(key: object) -> bool:
    return isinstance(key, str) and key.startswith(_OPTIMIZERS)


def _prefixes(entry: Entry, shapes: Mapping[str, Shape]) -> Iterator[str]:
    """The keys that lead to a state dict which has the tensor of `entry` under a name of `shapes`, with its shape."""
    for depth in range(1, min(len(entry.keys), _DEEPEST + 1)):
        name = _dotted(entry.keys[depth:])
        for wrapper in WRAPPER_PREFIXES:
            name = name.removeprefix(wrapper)
        if shapes.get(name) == entry.tensor.shape:
            yield _dotted(entry.keys[:depth])


def _lists(entries: Iterable[Entry]) -> dict[str, list[Shape]]:
    """The shapes in each list of tensors, by the keys that lead to it."""
    lists: dict[str, list[Shape]] = defaultdict(list)
    for entry in entries:
        if 1 < len(entry.keys) <= _DEEPEST and isinstance(entry.keys[-1], int):
            lists[_dotted(entry.keys[:-1])].append(entry.tensor.shape)
    return lists


def _is_in_order(found: Sequence[Shape], shapes: Sequence[Shape]) -> bool:
    """Whether `found` are most of `shapes` in their order: buffers may be left out."""
    waiting = iter(shapes)
    return len(found) > 1 and 2 * len(found) > len(shapes) and all(shape in waiting for shape in found)


def _in_order(entries: Iterable[Entry]) -> list[str]:
    """All keys that lead to some of `entries`, each once."""
    ways = (entry.keys[:depth] for entry in entries for depth in range(1, min(len(entry.keys), _DEEPEST + 1)))
    return list(dict.fromkeys(map(_dotted, ways)))


def _dotted(keys: Keys) -> str:
    return ".".join(map(str, keys))
