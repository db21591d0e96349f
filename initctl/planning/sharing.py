"""Tensors that share memory: rules must treat them alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from initctl.errors import Problem, escape, listed, shown
from initctl.grouping import grouped, shared_start
from initctl.planning.action import Action, Kept
from initctl.rules import Call, quoted
from initctl.stream import SAME_EVERYWHERE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.formats import Checkpoint
    from initctl.tensors import Block, Shape, TensorSpec

    Entry = Action | Kept
    Place = Literal["state dict", "outside", "unlisted"]
    """Where a tensor is, which decides whether rules reach it. `unlisted` entries only refer to bytes."""

_MOST_PAIRS = 1_000_000
"""Neighbors in memory that are compared at most."""
_WORK, _HARD_PAIRS, _LITTLE_WORK = 100_000, 2_000, 1_000
"""Work limit of `np.shares_memory` for the first `_HARD_PAIRS` pairs, and for each later one; above it, arrays count as
overlapping.
"""


class _Extent(NamedTuple):
    """The bytes of a file that a block of a tensor spans, and the action that fills it, if any."""

    start: int
    stop: int
    tensor: TensorSpec
    block: Block
    action: Action | None
    place: Place

    @property
    def is_reset(self) -> bool:
        """Whether it is optimizer state, reset because rules fill its parameter."""
        return self.action is not None and self.place != "state dict"

    @property
    def array(self) -> NDArray[Any]:
        """A dummy array at the block's address, whose data is never read."""
        import numpy as np

        width = self.tensor.dtype.bits // 8
        interface = {
            "version": 3,
            "data": (self.start + 1, True),  # NumPy refuses address 0
            "typestr": f"|V{width}",
            "shape": self.block.shape,
            "strides": tuple(stride * width for stride in self.block.strides),
        }
        return np.asarray(SimpleNamespace(__array_interface__=interface))


def shared(
    checkpoint: Checkpoint, actions: Sequence[Action], kept: Sequence[Kept], resets: Sequence[Action]
) -> list[Problem]:
    """A problem for each tensor that shares memory with one decided otherwise. `resets` fill optimizer state."""
    entries: list[Entry] = [*actions, *kept]
    return [*_all_torn(checkpoint.tensors, entries)] or [*_all_overlapping(_extents(checkpoint, entries, resets))]


def _all_torn(tensors: Iterable[TensorSpec], entries: Iterable[Entry]) -> Iterator[Problem]:
    """A problem for each set of tied tensors that is not decided alike."""
    ties = dict.fromkeys(tensor.tied for tensor in tensors if tensor.tied)
    by_name = grouped((entry.tensor.name, entry) for entry in (entries if ties else ()))
    for names in ties:
        if len({tuple(map(_decision, by_name[name])) for name in names}) > 1:
            yield _torn({name: by_name[name] for name in names})


def _all_overlapping(files: Iterable[Sequence[_Extent]]) -> Iterator[Problem]:
    """A problem for each filled tensor that overlaps one whose values would be overwritten."""
    found: dict[str, tuple[_Extent, _Extent]] = {}
    for number, (one, other) in enumerate(pair for extents in files for pair in _neighbors(extents)):
        if number == _MOST_PAIRS:
            message = f"more than {_MOST_PAIRS:,} pairs of tensors overlap in memory"
            yield Problem("rule.overlap", message, _APART)
            return
        work = _WORK if number < _HARD_PAIRS else _LITTLE_WORK
        if one.tensor.name not in found and not _agree(one, other) and _share(one, other, work):
            found[one.tensor.name] = one, other
    alike: dict[tuple[str, str, str], list[tuple[_Extent, _Extent]]] = defaultdict(list)
    for one, other in found.values():
        alike[str(one.action and one.action.rule), _whose(other), _hint(one, other)].append((one, other))
    yield from map(_overlap, alike.values())


def _extents(checkpoint: Checkpoint, entries: Iterable[Entry], resets: Sequence[Action]) -> Iterator[Sequence[_Extent]]:
    """The extents of each file in which two of them overlap, in order."""
    reset = {action.tensor.name for action in resets}
    aside = [Kept(tensor, None) for tensor in checkpoint.outside if tensor.name not in reset]
    by_file: dict[str, list[_Extent]] = defaultdict(list)
    _add(by_file, (entry for entry in entries if not entry.tensor.tied or entry.tensor.represents_ties), "state dict")
    _add(by_file, (*resets, *aside), "outside")
    _add(by_file, (Kept(tensor, None) for tensor in checkpoint.unlisted), "unlisted")
    for extents in by_file.values():
        extents.sort(key=itemgetter(0))
        if any(one.stop > other.start for one, other in pairwise(extents)):
            yield extents


def _add(by_file: dict[str, list[_Extent]], entries: Iterable[Entry], place: Place) -> None:
    sizes: dict[tuple[Shape, Shape], int] = {}
    for entry in entries:
        tensor, width = entry.tensor, entry.tensor.dtype.bits // 8
        blocks = tensor.blocks if entry.rows is None else entry.part.blocks
        for block in blocks if tensor.numel else ():
            layout = block.shape, block.strides
            if layout not in sizes:
                sizes[layout] = block.extent
            stop = block.offset + sizes[layout] * width
            action = entry if isinstance(entry, Action) else None
            by_file[block.file].append(_Extent(block.offset, stop, tensor, block, action, place))


def _neighbors(extents: Sequence[_Extent]) -> Iterator[tuple[_Extent, _Extent]]:
    """Pairs that overlap, if an action fills one of the two; `extents` are in order."""
    filled: list[_Extent] = []
    others: list[_Extent] = []
    for extent in extents:
        filled = [earlier for earlier in filled if earlier.stop > extent.start]
        if not extent.action:
            yield from ((earlier, extent) for earlier in filled)
            others.append(extent)
            continue
        others = [earlier for earlier in others if earlier.stop > extent.start]
        yield from ((extent, earlier) for earlier in (*filled, *others))
        filled.append(extent)


def _agree(one: _Extent, other: _Extent) -> bool:
    """Whether both are filled with the same constant."""
    if not one.action or not other.action or one.tensor.dtype != other.tensor.dtype:
        return False
    return isinstance(one.action.law, SAME_EVERYWHERE) and one.action.law == other.action.law


def _share(one: _Extent, other: _Extent, work: int) -> bool:
    """Whether they have a byte in common, or finding out takes too much `work`."""
    import numpy as np

    try:
        return bool(np.shares_memory(one.array, other.array, max_work=work))  # type: ignore[arg-type]  # any number is taken
    except np.exceptions.TooHardError:
        return True


def _decision(entry: Entry) -> object:
    """What is done to a part of a tensor, no matter which rule does it."""
    if isinstance(entry, Action):
        return (entry.rows, entry.initializer, *sorted(entry.params.items()))
    return entry.rows


def _torn(entries: Mapping[str, Sequence[Entry]]) -> Problem:
    names = list(entries)
    decided = [f"{shown(name)} by {_rules(parts)}" for name, parts in entries.items()]
    tied = listed([shown(name) for name in names])
    message = f"{tied} are one tensor, but rules treat them differently: {listed(decided)}"
    filled = next(entry for parts in entries.values() for entry in parts if isinstance(entry, Action))
    rows = filled.rule.selector.rows
    rule = f"{alternatives(names)}{rows.text if rows else ''}={_call(filled)}"
    return Problem("rule.tied", message, f"write '{escape(rule)}'")


def _call(action: Action) -> Call:
    """The rule's call with expressions replaced by their values, which might differ for other names."""
    numbers = {key: value for key, value in action.arguments.items() if not isinstance(value, str)}
    call = action.rule.call
    return Call(call.name, tuple((key, str(numbers.get(key, text))) for key, text in call.arguments))


def _rules(parts: Sequence[Entry]) -> str:
    return " and ".join(dict.fromkeys(str(part.rule) for part in parts if part.rule)) or "no rule"


def alternatives(names: Sequence[str]) -> str:
    """A pattern that matches `names` and no others."""
    parts = [quoted(name).split(".") for name in names]
    shortest = min(map(len, parts)) - 1
    first = min(shortest, shared_start(parts))
    last = min(shortest - first, shared_start([part[::-1] for part in parts]))
    middles = [".".join(part[first : len(part) - last]) for part in parts]
    shared, end = parts[0][:first], parts[0][len(parts[0]) - last :]
    return ".".join([*shared, f"{{{','.join(middles)}}}", *end])


def _overlap(alike: Sequence[tuple[_Extent, _Extent]]) -> Problem:
    """The problem of pairs that have the same fault."""
    one, other = alike[0]
    name = ("an entry at " if other.place == "unlisted" else "") + shown(other.tensor.name)
    more = f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else ""
    fault = f"tensor {shown(one.tensor.name)}{more} shares memory with {name}, which {_whose(other)}"
    problem = one.action.rule.problem if one.action else Problem
    return problem("rule.overlap", fault, _hint(one, other))


def _whose(extent: _Extent) -> str:
    if extent.action:
        return f"{extent.action.rule} fills"
    return "no rule can reach" if extent.place == "unlisted" else "no rule fills"


def _hint(one: _Extent, other: _Extent) -> str:
    if one.is_reset or other.is_reset:
        return _START_ANEW
    if other.place == "unlisted":
        return _ALONE
    return _APART if one.place == other.place == "state dict" else _TAKE_ALL


_ALONE = "convert to safetensors first, so that it has its own memory"
_START_ANEW = "leave --reset-optimizer out, and start training with a new optimizer"
_TAKE_ALL = "add --root '', so that rules reach both"
_APART = "fill both with the same constant, or convert to safetensors first, so that each has its own memory"
