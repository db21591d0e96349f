"""Tensors that share memory: what decides one of them must suit the others."""

from __future__ import annotations

from collections import defaultdict
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import Problem, escape, listed, shown
from initctl.planning.action import Action, Kept
from initctl.rules import quoted
from initctl.stream import Constant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from initctl.formats import Checkpoint
    from initctl.tensors import Block, TensorSpec

    Entry = Action | Kept

_MOST_PAIRS = 1_000_000
"""Neighbours in memory that are compared at most."""
_WORK, _HARD_PAIRS, _LITTLE_WORK = 100_000, 2_000, 1_000
"""Steps that NumPy takes at most to tell whether two arrays share memory, before it is taken for granted: for so many
pairs, and for each one after them.
"""


class _Extent(NamedTuple):
    """The bytes of a file that a block lies within; `action` fills it, if anything does.

    `rooted` is whether the tensor lies in the state dict that rules reach: what fills another one sets it back. One
    that is not `listed` is no tensor, but something that leads to these bytes.
    """

    start: int
    stop: int
    tensor: TensorSpec
    block: Block
    action: Action | None
    rooted: bool
    listed: bool = True

    @property
    def is_reset(self) -> bool:
        return self.action is not None and not self.rooted

    @property
    def array(self) -> NDArray[Any]:
        """An array that lies where the block does, never to be read."""
        import numpy as np

        return np.asarray(_Placed(self.start, self.block, self.tensor.dtype.bits // 8))


class _Placed:
    def __init__(self, address: int, block: Block, width: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address + 1, True),
            "typestr": f"|V{width}",
            "shape": block.shape,
            "strides": tuple(stride * width for stride in block.strides),
        }


class Others(NamedTuple):
    """What may share memory with tensors that rules reach: see `Checkpoint`. `resets` fill some of those outside."""

    outside: Sequence[TensorSpec]
    unlisted: Sequence[TensorSpec]
    resets: Sequence[Action]


def shared(
    checkpoint: Checkpoint, actions: Sequence[Action], kept: Sequence[Kept], forgotten: Sequence[Action]
) -> list[Problem]:
    """A problem for each tensor that shares memory with one that is decided otherwise."""
    entries: list[Entry] = [*actions, *kept]
    others = Others(checkpoint.outside, checkpoint.unlisted, forgotten)
    return [*torn(checkpoint.tensors, entries)] or [*overlapping(entries, others)]


def torn(tensors: Sequence[TensorSpec], entries: Sequence[Entry]) -> Iterator[Problem]:
    """A problem for each set of tied tensors that is not decided alike."""
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_name[entry.tensor.name].append(entry)
    for names in dict.fromkeys(tensor.tied for tensor in tensors if tensor.tied):
        if len({tuple(map(_decision, by_name[name])) for name in names}) > 1:
            yield _torn({name: by_name[name] for name in names})


def overlapping(entries: Sequence[Entry], others: Others) -> Iterator[Problem]:
    """A problem for each tensor that would be filled and shares memory with one that would not hold its own values."""
    by_file: dict[str, list[_Extent]] = defaultdict(list)
    reset = {action.tensor.name for action in others.resets}
    aside: list[Entry] = [Kept(tensor, None) for tensor in others.outside if tensor.name not in reset]
    for entry in entries:
        if entry.tensor.is_first:
            _add(by_file, entry, rooted=True)
    for entry in (*others.resets, *aside):
        _add(by_file, entry, rooted=False)
    for tensor in others.unlisted:
        _add(by_file, Kept(tensor, None), rooted=False, listed=False)
    found: dict[str, tuple[_Extent, _Extent]] = {}
    for number, (one, other) in enumerate(pair for extents in by_file.values() for pair in _neighbours(extents)):
        if number == _MOST_PAIRS:
            message = f"more than {_MOST_PAIRS:,} pairs of tensors lie within each other's memory"
            yield Problem("rule.overlap", message, _APART)
            return
        work = _WORK if number < _HARD_PAIRS else _LITTLE_WORK
        if one.tensor.name not in found and not _agree(one, other) and _share(one, other, work):
            found[one.tensor.name] = one, other
    alike: dict[tuple[str, str, str], list[tuple[_Extent, _Extent]]] = defaultdict(list)
    for one, other in found.values():
        alike[str(one.action and one.action.rule), _whose(other), _hint(one, other)].append((one, other))
    yield from map(_overlap, alike.values())


def _add(by_file: dict[str, list[_Extent]], entry: Entry, *, rooted: bool, listed: bool = True) -> None:
    """Note where the blocks of `entry` lie."""
    tensor, width = entry.tensor, entry.tensor.dtype.bits // 8
    action = entry if isinstance(entry, Action) else None
    for block in entry.part.blocks if entry.part.numel else ():
        stop = block.offset + block.extent * width
        by_file[block.file].append(_Extent(block.offset, stop, tensor, block, action, rooted, listed))


def _neighbours(extents: Iterable[_Extent]) -> Iterator[tuple[_Extent, _Extent]]:
    """Pairs that lie within the same bytes, where something fills one of the two."""
    filled: list[_Extent] = []
    others: list[_Extent] = []
    for extent in sorted(extents, key=lambda extent: extent.start):
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
    return (
        one.tensor.dtype == other.tensor.dtype
        and one.action is not None
        and other.action is not None
        and isinstance(one.action.law, Constant)
        and one.action.law == other.action.law
    )


def _share(one: _Extent, other: _Extent, work: int) -> bool:
    """Whether they have a byte in common, or that is too much `work` to tell."""
    import numpy as np

    try:
        return bool(np.shares_memory(one.array, other.array, max_work=work))  # type: ignore[arg-type]  # any number is taken
    except np.exceptions.TooHardError:
        return True


def _decision(entry: Entry) -> object:
    """What is done to a part of a tensor, by whatever rule."""
    if isinstance(entry, Action):
        return (entry.rows, entry.initializer, *sorted(entry.params.items()))
    return entry.rows


def _torn(entries: Mapping[str, Sequence[Entry]]) -> Problem:
    names = list(entries)
    decided = [f"{shown(name)} by {_rules(parts)}" for name, parts in entries.items()]
    message = f"{listed([shown(name) for name in names])} are one tensor, and must be decided alike: {listed(decided)}"
    filled = next(entry for parts in entries.values() for entry in parts if isinstance(entry, Action))
    rows = filled.rule.selector.rows
    rule = f"{_alternatives(names)}{rows.text if rows else ''}={filled.rule.call}"
    return Problem("rule.tied", message, f"write '{escape(rule)}'")


def _rules(parts: Sequence[Entry]) -> str:
    """What decides the parts of a tensor."""
    return " and ".join(dict.fromkeys(str(part.rule) for part in parts if part.rule)) or "none"


def _alternatives(names: Sequence[str]) -> str:
    """A pattern that matches `names` and no others."""
    parts = [quoted(name).split(".") for name in names]
    shortest = min(map(len, parts)) - 1
    first = min(shortest, _shared(parts))
    last = min(shortest - first, _shared([part[::-1] for part in parts]))
    middles = [".".join(part[first : len(part) - last]) for part in parts]
    shared, end = parts[0][:first], parts[0][len(parts[0]) - last :]
    return ".".join([*shared, f"{{{','.join(middles)}}}", *end])


def _shared(sequences: Sequence[Sequence[str]]) -> int:
    """How many items all `sequences` begin with."""
    return sum(1 for _ in takewhile(lambda items: len(set(items)) == 1, zip(*sequences, strict=False)))


def _overlap(alike: Sequence[tuple[_Extent, _Extent]]) -> Problem:
    """What is wrong with pairs that are decided in the same way."""
    one, other = alike[0]
    rule = one.action.rule if one.action else None
    name = shown(other.tensor.name) if other.listed else f"something that is kept at {shown(other.tensor.name)}"
    more = f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else ""
    message = f"{rule}: tensor {shown(one.tensor.name)}{more} shares memory with {name}, which {_whose(other)}"
    return Problem("rule.overlap", message, _hint(one, other))


def _whose(extent: _Extent) -> str:
    """What decides it."""
    if extent.action:
        return f"{extent.action.rule} decides"
    return "no rule fills" if extent.listed else "no rule can reach"


def _hint(one: _Extent, other: _Extent) -> str:
    if one.is_reset or other.is_reset:
        return _START_ANEW
    if not other.listed:
        return _ALONE
    return _APART if one.rooted and other.rooted else _TAKE_ALL


_ALONE = "convert to safetensors first, where it has its own"
_START_ANEW = "leave --reset-optimizer out, and start training with a new optimizer"
_TAKE_ALL = "--root '' takes all tensors, so that both can be decided alike"
_APART = "fill both with the same constant, or convert to safetensors first, where each has its own"
