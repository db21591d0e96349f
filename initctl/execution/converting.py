"""The tensors of a checkpoint, filled or as they are, in new files of another format, or in other shards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.commit.attributes import new_file_mode
from initctl.errors import FitError, Problem, shown
from initctl.execution.content import Content, Draft, bytes_of, target_at
from initctl.filling.targets import FilledFile
from initctl.formats.config import CONFIG
from initctl.formats.directories import shards
from initctl.formats.file_formats import DISTRIBUTED, SLICES
from initctl.formats.parts.placeholders import where_they_are, without_elements
from initctl.formats.state_dicts.ties import FORMAT
from initctl.formats.writing.formats import Format, Layout, Part
from initctl.grouping import grouped
from initctl.reshaping.renewed_files import config_text

if TYPE_CHECKING:
    from initctl.execution.output_format import Conversion
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.planning import Action, Plan
    from initctl.tensors import TensorPart, TensorSpec

_LARGEST_FILE = 2**63


def converted(plan: Plan, conversion: Conversion, name: str, dropped: Sequence[str]) -> Draft:
    """The checkpoint's tensors in one file called `name`; or in shards, with the input's other files but those
    `dropped`. Tied tensors are written once. Each tensor is in one piece in row-major order.

    Raises `FitError` if the format cannot hold a tensor.
    """
    checkpoint, form = plan.checkpoint, conversion.format
    tensors = _written(checkpoint, form)
    parts = _Parts.of(plan)
    if conversion.largest is None:
        return _draft(checkpoint, {name: _content(parts, form, name, tensors)})
    naming = _naming(checkpoint)
    spread = shards.spread(tensors, conversion.largest, naming)
    names = {name: checkpoint.named(name) for name in spread}
    contents = {names[name]: _content(parts, form, names[name], shard) for name, shard in spread.items()}
    if len(spread) > 1:
        contents[checkpoint.named(naming.index)] = _file(shards.index_of(spread), checkpoint)
    if checkpoint.result.fields:
        contents[checkpoint.named(CONFIG)] = _file(config_text(checkpoint), checkpoint)
    contents |= {checkpoint.named(name): _file(data, checkpoint) for name, data in checkpoint.result.files.items()}
    new = {*contents, *dropped}
    others = [file for file in checkpoint.side_files if file.name not in new]
    contents |= {file.name: Content.rewritten(FilledFile.of(file, ())) for file in others}
    return _draft(checkpoint, contents, others)


def _draft(checkpoint: Checkpoint, contents: dict[str, Content], others: Sequence[CheckpointFile] = ()) -> Draft:
    """A draft that is not committed if a checksum of the checkpoint's files is wrong."""
    first = next(iter(contents))
    checked = [(file, checksum) for file in checkpoint.files for checksum in file.checksums if checksum.value]
    return Draft(contents | {first: contents[first]._replace(checked=checked)}, (*checkpoint.files, *others))


def _naming(checkpoint: Checkpoint) -> shards.Naming:
    """The names of the new files: they follow the index, or the one file, that the checkpoint was read from."""
    if checkpoint.format in (DISTRIBUTED, SLICES):  # their files are named after ranks
        return shards.Naming()
    if not checkpoint.files:
        return shards.Naming()
    return shards.Naming.after(os.path.basename(checkpoint.described_by or checkpoint.files[0].name))


def _written(checkpoint: Checkpoint, format_: Format) -> list[TensorSpec]:
    """The tensors to write, in the checkpoint's order. Raises `FitError` if the format cannot hold one.

    Of tied tensors, the first is written: a reader of only a part of the model looks for the name in that part, and
    state dicts list a model's inner parts before its heads. But if one is called `format`, it is written: safetensors
    cannot note that name as an alias.
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
    """The problem if a conversion would write no elements."""
    place, tensors = shown(checkpoint.path), checkpoint.tensors
    if not tensors:
        yield Problem("convert.empty", f"{place}: has no tensors to convert")
    elif not any(tensor.numel for tensor in tensors):
        fault = f"{place}: there is nothing to convert: {without_elements(tensors)}"
        yield Problem("convert.empty", fault, where_they_are(checkpoint))


class _Parts(NamedTuple):
    """What is done to the parts of each tensor of `checkpoint`: `filled` by the tensor's name for values, and `kept` by
    its name. Parts without elements are left out.
    """

    checkpoint: Checkpoint
    filled: Mapping[str, Sequence[Action]]
    kept: Mapping[str, Sequence[TensorPart]]

    @classmethod
    def of(cls, plan: Plan) -> _Parts:
        filled = grouped((a.tensor.value_name, a) for a in plan.distinct_actions if a.part.numel)
        return cls(plan.checkpoint, filled, grouped((k.tensor.name, k.part) for k in plan.kept if k.part.numel))


def _content(parts: _Parts, format_: Format, name: str, tensors: Sequence[TensorSpec]) -> Content:
    """A file called `name` with some of the checkpoint's tensors: kept ones are copied, the others computed."""
    checkpoint = parts.checkpoint
    layout = format_.layout(name, tensors, checkpoint)
    if layout.size >= _LARGEST_FILE:
        place = shown(max(tensors, key=lambda tensor: tensor.nbytes).name)
        raise FitError(Problem("convert.unfit", f"tensor {place}: is too large for one file"))
    begins = [(tensor, layout.offsets[tensor.name]) for tensor in tensors]
    targets = [
        target_at(action, begin) for tensor, begin in begins for action in parts.filled.get(tensor.value_name, ())
    ]
    kept = [(part, begin) for tensor, begin in begins for part in parts.kept.get(tensor.name, ())]
    known = [_known(part, begin, checkpoint) for part, begin in kept if part.tensor.name in checkpoint.values]
    moved = [(part, begin) for part, begin in kept if part.tensor.name not in checkpoint.values]
    return Content(layout._replace(parts=[*layout.parts, *known]), _mode(checkpoint), targets, moved=moved)


def _known(part: TensorPart, begin: int, checkpoint: Checkpoint) -> Part:
    """The values of `part` that no file holds; its tensor begins at byte `begin`."""
    start, stop = bytes_of(part, begin)
    return start, checkpoint.values[part.tensor.name][start - begin : stop - begin]


def _file(data: bytes, checkpoint: Checkpoint) -> Content:
    """A file of these bytes."""
    return Content(Layout([(0, data)], {}, len(data)), _mode(checkpoint))


def _mode(checkpoint: Checkpoint) -> int:
    """The permissions of new files: those of the first file of weights, or else those of any new file."""
    return checkpoint.files[0].mode if checkpoint.files else new_file_mode()
