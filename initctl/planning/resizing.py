"""From new sizes by patterns to a table with new shapes, or to an error with all faults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from initctl.errors import FitError, Problem, UsageError, escape, listed, shown
from initctl.formats.config import CONFIG
from initctl.formats.file_formats import TORCH, TORCH_LEGACY
from initctl.formats.state_dicts.ties import with_ties
from initctl.planning.near_misses import hint_for
from initctl.planning.quantized_weights import quantized_weights
from initctl.planning.sharing import alternatives
from initctl.reshaping import NewShape, Reshaping, reshaped
from initctl.reshaping.settings import with_settings
from initctl.rules import highest_numbers, quoted
from initctl.tensors import LARGEST_SIZE

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.reshaping.sizes import Resize
    from initctl.tensors import TensorSpec

    Choices = Mapping[str, Resize]
    """What decides the shape of a tensor, by its name."""
    Matched = Sequence[tuple[Resize, Sequence[str]]]
    """Each size, in order, with the names of the tensors that it matches."""

_WITH_STORAGES = (TORCH, f"{TORCH}-sharded", TORCH_LEGACY, f"{TORCH_LEGACY}-sharded")
"""The formats of files of torch.save."""


def with_sizes(checkpoint: Checkpoint, asked: Reshaping) -> Checkpoint:
    """`checkpoint` with the shapes and the configuration that are `asked` for.

    Raises `FitError` if a pattern matches nothing, a tensor gets rows as well as dims, a tensor cannot get its shape,
    or tied tensors get different ones; `UsageError` if there is no `config.json` to change.
    """
    if not asked:
        return checkpoint
    config = _config(checkpoint) if asked.settings else None
    matched = _matched(checkpoint, asked)
    chosen = _chosen(matched)
    checkpoint = _with_ties_of_empty(checkpoint, chosen)
    faults = [*_unmatched(checkpoint, matched), *_of_both_kinds(matched)]
    if faults := [*faults, *_unfit(checkpoint, chosen), *_torn(checkpoint, chosen)]:
        raise FitError(*faults)
    shapes = {
        tensor.name: NewShape(size.shape_for(tensor.shape), size.keeps_rows)
        for tensor in checkpoint.tensors
        if (size := chosen.get(tensor.name))
    }
    return reshaped(checkpoint, shapes, None if config is None else with_settings(config, asked.settings))


def _with_ties_of_empty(checkpoint: Checkpoint, chosen: Choices) -> Checkpoint:
    """`checkpoint` with the ties of tensors without elements that get another size, and so may get elements.

    torch.save says which of them share a storage. In other formats, they begin at the same byte by chance.
    """
    empty = {tensor.name for tensor in checkpoint.tensors if not tensor.numel}
    if checkpoint.format not in _WITH_STORAGES or empty.isdisjoint(chosen):
        return checkpoint
    known = with_ties(checkpoint.tensors, of_empty=True)
    grown = {name for tensor in known if tensor.name in empty and tensor.name in chosen for name in tensor.tied}
    pairs = zip(checkpoint.tensors, known, strict=True)
    return replace(checkpoint, tensors=tuple(new if new.name in grown else old for old, new in pairs))


def deciding(checkpoint: Checkpoint, asked: Reshaping) -> Reshaping:
    """What was `asked`, without the sizes that decide nothing in `checkpoint`."""
    decisive = {id(size) for size in _chosen(_matched(checkpoint, asked)).values()}
    return replace(asked, sizes=tuple(size for size in asked.sizes if id(size) in decisive))


def _config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    config = checkpoint.config()
    if config is None or (checkpoint.is_directory and not checkpoint.file(CONFIG)):
        why = "is a link that leads out of the directory" if config is not None else "is missing"
        fault = f"set-config: {shown(os.path.join(checkpoint.home, CONFIG))}: {why}"
        raise UsageError(Problem("usage.set_config", fault, "leave out --set-config"))
    return config


def _matched(checkpoint: Checkpoint, asked: Reshaping) -> Matched:
    names = [tensor.name for tensor in checkpoint.tensors]
    highest = highest_numbers(names)
    return [(size, [name for name in names if size.names.matches(name, highest)]) for size in asked.sizes]


def _chosen(matched: Matched) -> Choices:
    """The last size that matches each tensor."""
    return {name: size for size, names in matched for name in names}


def _unmatched(checkpoint: Checkpoint, matched: Matched) -> Iterator[Problem]:
    names = [tensor.name for tensor in checkpoint.tensors]
    highest = highest_numbers(names)
    for size, found in matched:
        if size.optional or found:
            continue
        fault, hint = "matches no tensor", hint_for(size.names.pattern, names)
        for tensor in checkpoint.tensors:
            if alias := next((alias for alias in tensor.aliases if size.names.matches(alias, highest)), None):
                fault += f": {shown(alias)} is tied to {shown(tensor.name)}, which the file holds instead"
                hint = f"write '{escape(quoted(tensor.name))}'"
                break
        yield size.problem("rows.unused", fault, hint)


def _of_both_kinds(matched: Matched) -> Iterator[Problem]:
    """A problem for each number of rows and each shape that match the same tensors: no order says which decides."""
    shapes = [(size, set(names)) for size, names in matched if not size.keeps_rows]
    for rows, names in matched:
        for dims, reached in shapes if rows.keeps_rows else ():
            if both := [shown(name) for name in names if name in reached]:
                fault = f"{dims.called} gives another size to {listed(both)}"
                yield rows.problem("rows.twice", fault, "give a tensor rows or dims, not both")


def _unfit(checkpoint: Checkpoint, chosen: Choices) -> Iterator[Problem]:
    """A problem for each tensor that cannot get its shape."""
    quantized = quantized_weights(checkpoint) if chosen else {}
    for tensor in checkpoint.tensors:
        size = chosen.get(tensor.name)
        if size and (fault := _fault(tensor, size, is_quantized=tensor.name in quantized)):
            yield size.problem("rows.unfit", f"tensor {shown(tensor.name)} {list(tensor.shape)}: {fault}")


def _fault(tensor: TensorSpec, size: Resize, *, is_quantized: bool) -> str | None:
    """Why `tensor` cannot get a new `size`, if it cannot."""
    if not tensor.shape and size.keeps_rows:
        return "it has no dimensions, so it has no rows"
    if not size.changes(tensor.shape):
        return None
    if is_quantized:
        return "is part of a quantized weight, whose parts must fit together; dequantize the model first"
    if tensor.unwritable:
        return tensor.unwritable
    if tensor.dtype.kind in ("packed", "quantized"):
        return f"its dtype is {tensor.dtype.name}, which no rule can fill"
    is_large = prod(size.shape_for(tensor.shape)) * tensor.dtype.bits // 8 >= LARGEST_SIZE
    return "is too large" if is_large else None


def _torn(checkpoint: Checkpoint, chosen: Choices) -> Iterator[Problem]:
    """A problem for each set of tied tensors that would get different shapes."""
    for names, shape in dict.fromkeys((tensor.tied, tensor.shape) for tensor in checkpoint.tensors if tensor.tied):
        sizes = {name: chosen[name] for name in names if name in chosen}
        changes = {name: size.shape_for(shape) for name, size in sizes.items() if size.changes(shape)}
        if len({changes.get(name) for name in names}) > 1:
            first = next(iter(sizes.values()))
            some = listed([f"{shown(name)} ({shown(size.text)})" for name, size in sizes.items()])
            fault = f"{listed(list(map(shown, names)))} are one tensor, but get different sizes: {some}"
            size = first.text.rpartition("=")[2]
            yield first.problem("rows.tied", fault, f"write '{escape(alternatives(names))}={size}'")
