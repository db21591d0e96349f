"""Files beside a checkpoint's weights that hold optimizers, or copies of parameters: resuming loads them too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError
from initctl.formats.file_formats import read_table
from initctl.formats.optimizers import Optimizer, optimizers
from initctl.formats.optimizers.masters import Copies, masters

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.table import FileTable
    from initctl.tensors import TensorSpec

_TORCH = r"\.(?:pt|pth|bin|ckpt|pkl)"


class Trainer(NamedTuple):
    """Who writes files whose names match `pattern`, relative to the directory of the weights.

    Copies of parameters are in each of them, whatever it is seen to hold, if it `has_copies`.
    """

    pattern: str
    name: str
    has_copies: bool = False


TRAINERS = (
    Trainer(rf"(?:.*/)?\w*_optim_states{_TORCH}", "DeepSpeed", has_copies=True),
    Trainer(r"(?:.*/)?distrib_optim\.pt", "Megatron-LM", has_copies=True),
    Trainer(r"optimizer(?:_\d+)?\.bin", "accelerate"),
    Trainer(r"optimizer\.pt", "transformers Trainer"),
    Trainer(r"(?:recipe_state/)?recipe_state\.pt", "torchtune"),
    Trainer(rf"training_state\w*{_TORCH}", "a trainer"),
    Trainer(r"custom_checkpoint_\d+\.pkl", "accelerate"),
    Trainer(rf"(?:\w+[-_.])?optim(?:izer)?s?(?:[-_.]\w+)*(?:{_TORCH}|\.safetensors)", "a trainer"),
    Trainer(r"(?:\.\./)?optim(?:izer)?s?(?:_\d+)?/", "accelerate with FSDP"),
)
"""A name that ends with a slash is that of a folder. The first one that matches counts."""
_OPENED = r"(?:global_step\d+|recipe_state)/"
"""Folders of a directory that are looked into: of DeepSpeed below a Trainer's checkpoint, and of torchtune."""
_MOST_READ = 8
"""Files of one trainer that are read; many ranks write one each. Of a further one it is not known what it holds."""


class Beside(NamedTuple):
    """A file or a folder `name`, which messages call `path`, with what the file holds, if it can be read."""

    name: str
    path: str
    trainer: Trainer
    table: FileTable | None = None
    optimizers: tuple[Optimizer, ...] = ()
    copies: tuple[Copies, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether it holds, or may hold, anything that training goes on from."""
        remembers = any(optimizer.kinds for optimizer in self.optimizers)
        return self.table is None or self.trainer.has_copies or remembers or bool(self.copies)

    @property
    def has_copies(self) -> str | None:
        """Who writes the copies of parameters that it holds, if it holds any."""
        return self.copies[0].writer if self.copies else self.trainer.name if self.trainer.has_copies else None


def beside(checkpoint: Checkpoint) -> tuple[Beside, ...]:
    """Those beside the weights of `checkpoint` that matter.

    If a single file has an optimizer of its own, only copies of parameters beside it matter.
    """
    has_own = not checkpoint.is_directory and any(optimizer.kinds for optimizer in checkpoint.optimizers)
    base = checkpoint.path if os.path.isdir(checkpoint.path) else os.path.dirname(checkpoint.path)
    read: dict[Trainer, int] = {}
    found = []
    for name, trainer in _matching(checkpoint):
        read[trainer] = read.get(trainer, 0) + 1
        path = os.path.normpath(os.path.join(base, name)) + ("/" if name.endswith("/") else "")
        if read[trainer] <= _MOST_READ:
            found.append(_read(os.path.join(checkpoint.home, name), path, checkpoint.named(name), trainer))
        elif not trainer.has_copies:  # the first ones say that there are copies
            found.append(Beside(checkpoint.named(name), path, trainer))
    return tuple(one for one in found if one.matters and (one.has_copies or not has_own))


def _matching(checkpoint: Checkpoint) -> Iterator[tuple[str, Trainer]]:
    own = {os.path.basename(file.name) for file in checkpoint.files}
    for name in _names(checkpoint):
        trainer = next((trainer for trainer in TRAINERS if re.fullmatch(trainer.pattern, name)), None)
        if trainer and name not in own:
            yield name, trainer


def _names(checkpoint: Checkpoint) -> Iterator[str]:
    """What is beside the weights: files by their names, folders by theirs and a slash."""
    for name in _listed(checkpoint.home):
        yield name
        if checkpoint.is_directory and re.fullmatch(_OPENED, name):
            yield from (name + inner for inner in _listed(os.path.join(checkpoint.home, name)))
    if checkpoint.is_distributed:
        yield from (f"../{name}" for name in _listed(os.path.dirname(checkpoint.directory)) if name.endswith("/"))


def _listed(directory: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    yield from (f"{entry.name}/" if os.path.isdir(entry.path) else entry.name for entry in entries)


def _read(place: str, path: str, name: str, trainer: Trainer) -> Beside:
    """What is in the file at `place`, which messages call `path`."""
    if name.endswith("/"):
        return Beside(name, path, trainer)
    try:
        table = read_table(place, name)
    except InputError:
        return Beside(name, path, trainer)
    found = optimizers(table.entries, table.optimizers)
    copies = masters((entry.tensor.name for entry in table.entries), found)
    return Beside(name, path, trainer, table, found, copies)


def with_beside(checkpoint: Checkpoint, found: Iterable[Beside]) -> Checkpoint:
    """`checkpoint` with files of optimizers: their tensors are outside of the state dict, called by file and name."""
    tables = [(one, one.table) for one in found if one.table]
    names = {one.name for one, _ in tables}
    return replace(
        checkpoint,
        files=(*checkpoint.files, *(table.file for _, table in tables)),
        outside=(
            *checkpoint.outside,
            *(_named(one.name, entry.tensor) for one, table in tables for entry in table.entries),
        ),
        unlisted=(*checkpoint.unlisted, *(spec for _, table in tables for spec in table.unlisted)),
        optimizers=(*checkpoint.optimizers, *(_of_file(o, one.name) for one, _ in tables for o in one.optimizers)),
        beside=tuple(names),
    )


def _named(file: str, tensor: TensorSpec) -> TensorSpec:
    return replace(tensor, name=f"{file}:{tensor.name}")


def _of_file(optimizer: Optimizer, file: str) -> Optimizer:
    return replace(
        optimizer,
        name=f"{file}:{optimizer.name}" if optimizer.name else file,
        state={
            parameter: {kind: _named(file, tensor) for kind, tensor in kept.items()}
            for parameter, kept in optimizer.state.items()
        },
        numbers={
            parameter: {kind: tensor and _named(file, tensor) for kind, tensor in kept.items()}
            for parameter, kept in optimizer.numbers.items()
        },
        tensors=frozenset(f"{file}:{name}" for name in optimizer.tensors),
        file=file,
    )
