"""The tensors of a checkpoint, filled or as they are, in new files of another format, or in other shards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.errors import FitError, Problem, shown
from initctl.execution.content import Content, Draft
from initctl.filling.targets import FilledFile, TargetBlock
from initctl.formats.directories import shards
from initctl.formats.file_formats import DISTRIBUTED, SLICES
from initctl.formats.parts.placeholders import where_they_are, without_elements
from initctl.formats.state_dicts.ties import FORMAT
from initctl.formats.writing.formats import Format, Layout
from initctl.tensors import TensorPart, TensorSpec

if TYPE_CHECKING:
    from initctl.execution.output_format import Conversion
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.planning import Action, Plan

_LARGEST_FILE = 2**63


def converted(plan: Plan, conversion: Conversion, name: str, dropped: Sequence[str]) -> Draft:
    """The checkpoint's tensors, each tied tensor once, each in one piece in row-major order: in one file called `name`;
    or in shards, and with them the input's other files but those `dropped`.

    Raises `FitError` if the format cannot hold them.
    """
    checkpoint, form = plan.checkpoint, conversion.format
    tensors = _written(checkpoint, form)
    if conversion.largest is None:
        return _draft(checkpoint, {name: _content(plan, form, name, tensors)})
    naming = _naming(checkpoint)
    spread = shards.spread(tensors, conversion.largest, naming)
    names = {name: checkpoint.named(name) for name in spread}
    contents = {names[name]: _content(plan, form, names[name], shard) for name, shard in spread.items()}
    if len(spread) > 1:
        index = shards.index_of(spread)
        layout = Layout([(0, index)], {}, len(index))
        contents[checkpoint.named(naming.index)] = Content(layout, checkpoint.files[0].mode)
    new = {*contents, *dropped}
    others = [file for file in checkpoint.side_files if file.name not in new]
    contents |= {file.name: Content.rewritten(FilledFile.of(file, ())) for file in others}
    return _draft(checkpoint, contents, others)


def _draft(checkpoint: Checkpoint, contents: dict[str, Content], others: Sequence[CheckpointFile] = ()) -> Draft:
    """A draft that is not written if anything of the checkpoint is damaged, as far as its files tell."""
    first = next(iter(contents))
    checked = [(file, checksum) for file in checkpoint.files for checksum in file.checksums if checksum.value]
    return Draft(contents | {first: contents[first]._replace(checked=checked)}, (*checkpoint.files, *others))


def _naming(checkpoint: Checkpoint) -> shards.Naming:
    """What the new files are called: as the index or the one file that the checkpoint was read by."""
    if checkpoint.format in (DISTRIBUTED, SLICES):  # their files are called by ranks
        return shards.Naming()
    return shards.Naming.after(os.path.basename(checkpoint.described_by or checkpoint.files[0].name))


def _written(checkpoint: Checkpoint, format_: Format) -> list[TensorSpec]:
    """What is to be written, in the checkpoint's order.

    Of tied tensors it is the first; or one that is called `format`, which safetensors cannot note as an alias.

    Whoever reads a part of a model looks for the name that it has there, and state dicts list a model's inner parts
    before its heads. Raises `FitError` if the format cannot hold it.
    """
    problems = []
    for tensor in checkpoint.tensors:
        if reason := tensor.unwritable or format_.unfit(tensor):
            message = f"tensor {shown(tensor.name)}: cannot be written to {format_.title}: {reason}"
            problems.append(Problem("convert.unfit", message))
    problems += _nothing(checkpoint)
    if problems:
        raise FitError(*problems)
    first: dict[tuple[str, ...], TensorSpec] = {}
    for tensor in checkpoint.tensors:
        names = tensor.tied or (tensor.name,)
        first[names] = tensor if tensor.name == FORMAT else first.get(names, tensor)
    return list(first.values())


def _nothing(checkpoint: Checkpoint) -> Iterator[Problem]:
    """What is wrong if a conversion would write no element."""
    place, tensors = shown(checkpoint.path), checkpoint.tensors
    if not tensors:
        yield Problem("convert.empty", f"{place}: holds no tensors to convert")
    elif not any(tensor.numel for tensor in tensors):
        fault = f"{place}: there is nothing to convert: {without_elements(tensors)}"
        yield Problem("convert.empty", fault, where_they_are(checkpoint))


def _content(plan: Plan, format_: Format, name: str, tensors: Sequence[TensorSpec]) -> Content:
    """A file called `name` with some of the checkpoint's tensors: those that stay are moved, the others computed."""
    layout = format_.layout(name, tensors, plan.checkpoint)
    if layout.size >= _LARGEST_FILE:
        place = shown(max(tensors, key=lambda tensor: tensor.nbytes).name)
        raise FitError(Problem("convert.unfit", f"tensor {place}: takes more bytes than a file can hold"))
    offsets = layout.offsets
    places = {tensor.value_name: offsets[tensor.name] for tensor in tensors}
    filled = [a for a in plan.distinct_actions if a.part.numel and a.tensor.value_name in places]
    targets = [_target(action, places[action.tensor.value_name]) for action in filled]
    kept = [(k.part, offsets[k.tensor.name]) for k in plan.kept if k.part.numel and k.tensor.name in offsets]
    return Content(layout, plan.checkpoint.files[0].mode, targets, moved=kept)


def _target(action: Action, offset: int) -> TargetBlock:
    """What `action` fills of its tensor if that begins at `offset`."""
    tensor = action.tensor
    moved = TensorSpec.contiguous(tensor.name, tensor.dtype, tensor.shape, "", offset)
    (block,) = TensorPart(moved, action.rows).blocks
    return TargetBlock(action, block, action.law)
