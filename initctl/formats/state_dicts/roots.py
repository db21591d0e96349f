"""Where in a saved object the state dict is: the root, which names are relative to.

Beside it there may be other state dicts with the same names: an average, a target network, a copy of the best model.
Rules reach only one of them, and a program that loads the checkpoint may read another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, UsageError, listed, shown
from initctl.formats.state_dicts.names import WRAPPER_PREFIXES, relative_names, without_prefix
from initctl.formats.state_dicts.ties import with_sure_aliases, with_ties
from initctl.grouping import grouped

if TYPE_CHECKING:
    from initctl.formats.table import Entry, Keys
    from initctl.tensors import Shape, TensorSpec

KEYS = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "params", "weights",
    "generator", "params_ema", "ema", "ema_state_dict", "state_dict_ema", "model_ema", "net_ema", "g_ema",
    "discriminator",
)  # fmt: skip
"""Keys under which training frameworks save a state dict. The first one with tensors below it is used."""
RESUMED = "current_model_state"
"""The weights that training resumes from, if Lightning's callback WeightAveraging or EMAWeightAveraging saved their
average as `state_dict`.
"""
_DEEPEST = 10
"""The most keys that a root consists of."""
_DEEPEST_TWIN = 6
"""The most keys that lead to another state dict beside it."""
_OPTIMIZERS = ("optim", "opt_")
"""Beginnings of keys under which optimizers keep moments, or copies of parameters, by the parameters' names."""


class Rooted(NamedTuple):
    """The tensors of the state dict at `root`, named relative to it, and those `outside`, under their full names.

    `others` are roots that could have been used instead.
    """

    root: str
    tensors: tuple[TensorSpec, ...]
    outside: tuple[TensorSpec, ...]
    others: tuple[str, ...] = ()


def rooted(entries: Sequence[Entry], root: str | None, path: str, left_out: Collection[str] = ()) -> Rooted:
    """Find the state dict at `root`; if `root` is None, where training frameworks put it.

    Tensors named in `left_out`, by their full names, belong to it only if `root` is given. Raises `UsageError` about
    the checkpoint `path` if no tensor is at `root`.
    """
    eligible = [e for e in entries if e.tensor.name not in left_out] if left_out and root is None else entries
    candidates = root_keys([entry.keys for entry in eligible]) if root is None else [root]
    chosen = candidates[0] if candidates else ""
    prefix = f"{chosen}." if chosen else ""
    inside = [entry.tensor for entry in eligible if entry.tensor.name.startswith(prefix)]
    if root and not inside:
        raise _no_root(root, entries, path)
    names = {tensor.name for tensor in inside}
    outside = [entry.tensor for entry in entries if entry.tensor.name not in names]
    reached = named_apart(relative_names(without_prefix(tensor, prefix) for tensor in inside))
    others = candidates[1:]
    if chosen and root is None:
        others = list(dict.fromkeys([*others, *_twins(reached, (e for e in eligible if e.tensor.name not in names))]))
    return Rooted(chosen, reached, with_ties(outside), tuple(others))


def root_keys(paths: Collection[Keys]) -> list[str]:
    """The possible roots, dotted, the likeliest first; none if the object is the state dict itself.

    If no key is a known one, the root is the only key that leads to tensors. A root may continue below a known key
    (`{"model": {"state_dict": …}}`) if the inner key leads to all tensors of the outer one.
    """
    first, *others = _known_keys(paths, 0) or [""]
    root = [first] if first else list(_only_keys(paths))
    while root and len(root) < _DEEPEST:
        depth = len(root)
        paths = [path for path in paths if path[depth - 1] == root[-1] and len(path) > depth]
        inner = next(iter(_known_keys(paths, depth)), None)
        if inner is None or not all(path[depth] == inner for path in paths):
            break
        root.append(inner)
    return [".".join(root), *others] if root else []


def _only_keys(paths: Collection[Keys]) -> Iterator[str]:
    """The keys that all of `paths` share, up to a state dict, which has dots in its names. No key is a known one.

    Without dots, as in `{"fc": {"weight": …, "bias": …}}`, the inner dict is a module rather than a state dict.
    """
    if not any("." in key for path in paths for key in path[-1:] if isinstance(key, str)):
        return
    for depth in range(_DEEPEST):
        found = {path[depth] if len(path) > depth + 1 else None for path in paths}
        key = found.pop() if len(found) == 1 else None
        if not isinstance(key, str) or key in KEYS:
            break
        yield key


def _known_keys(paths: Iterable[Keys], depth: int) -> list[str]:
    """The `KEYS` that are at `depth` of `paths` and have something below them."""
    found = {path[depth] for path in paths if len(path) > depth + 1 and isinstance(path[depth], str)}
    return [key for key in KEYS if key in found]


def named_apart(tensors: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """`tensors` of a state dict with their ties; those that no rule can name are marked as unwritable."""
    return with_ties(with_sure_aliases(_told_apart(tuple(tensors))))


def _told_apart(tensors: Sequence[TensorSpec]) -> list[TensorSpec]:
    often = Counter(tensor.name for tensor in tensors)
    closed = {name: reason for name in often if (reason := _unnameable(name, often))}
    return [replace(t, unwritable=t.unwritable or closed[t.name]) if t.name in closed else t for t in tensors]


def _unnameable(name: str, often: Mapping[str, int]) -> str | None:
    if often[name] > 1:
        return "another tensor has the same name, and a rule could not distinguish them"
    if not name.isascii() and any("\ud800" <= char <= "\udfff" for char in name):
        return "its name contains half a surrogate pair, and is not valid text"
    return None


def _no_root(root: str, entries: Sequence[Entry], path: str) -> UsageError:
    found = list(dict.fromkeys(entry.tensor.name.rpartition(".")[0] for entry in entries))
    above = list(dict.fromkeys(name.partition(".")[0] for name in found if name))
    named = f"there are tensors under {listed([shown(name) for name in above])}"
    hint = named if above else "remove --root: names of tensors have no dots"
    return UsageError(Problem("root.missing", f"{shown(path)}: there is no tensor under {shown(root)}", hint))


def _twins(tensors: Sequence[TensorSpec], outside: Iterable[Entry]) -> list[str]:
    """The dotted keys of other state dicts with most of the names and shapes of `tensors`.

    Also of lists with most of the shapes in the same order, such as the `shadow_params` of torch_ema and diffusers.
    """
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    beside = [entry for entry in outside if all(map(_may_lead_to_twins, entry.keys[:_DEEPEST_TWIN]))]
    named = Counter(prefix for entry in beside for prefix in _prefixes(entry, shapes))
    listed = {prefix for prefix, found in _lists(beside).items() if _is_in_order(found, list(shapes.values()))}
    return [prefix for prefix in _in_order(beside) if 2 * named[prefix] > len(shapes) or prefix in listed]


def _may_lead_to_twins(key: object) -> bool:
    """Whether `key` can be a part of a root, and is not an optimizer's."""
    return isinstance(key, int) or (isinstance(key, str) and not key.startswith(_OPTIMIZERS))


def _prefixes(entry: Entry, shapes: Mapping[str, Shape]) -> Iterator[str]:
    """The keys below which the tensor of `entry` has a name in `shapes`, and the same shape."""
    for depth in range(1, min(len(entry.keys), _DEEPEST_TWIN + 1)):
        name = _dotted(entry.keys[depth:])
        for wrapper in WRAPPER_PREFIXES:
            name = name.removeprefix(wrapper)
        if shapes.get(name) == entry.tensor.shape:
            yield _dotted(entry.keys[:depth])


def _lists(entries: Iterable[Entry]) -> dict[str, list[Shape]]:
    """The shapes in each list of tensors, by the keys that lead to it."""
    inside = [e for e in entries if 1 < len(e.keys) <= _DEEPEST_TWIN and isinstance(e.keys[-1], int)]
    return grouped((_dotted(entry.keys[:-1]), entry.tensor.shape) for entry in inside)


def _is_in_order(found: Sequence[Shape], shapes: Sequence[Shape]) -> bool:
    """Whether `found` are most of `shapes`, in their order. Some may be missing, such as those of buffers."""
    waiting = iter(shapes)
    return len(found) > 1 and 2 * len(found) > len(shapes) and all(shape in waiting for shape in found)


def _in_order(entries: Iterable[Entry]) -> list[str]:
    """All keys that lead to some of `entries`, each once."""
    ways = (entry.keys[:depth] for entry in entries for depth in range(1, min(len(entry.keys), _DEEPEST_TWIN + 1)))
    return list(dict.fromkeys(map(_dotted, ways)))


def _dotted(keys: Keys) -> str:
    return ".".join(map(str, keys))
