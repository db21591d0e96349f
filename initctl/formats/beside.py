"""Files beside a checkpoint's weights with optimizers or copies of parameters. A resumed training loads them too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError
from initctl.formats.file_formats import read_table
from initctl.formats.opening import entries_of, is_folder
from initctl.formats.optimizers import Optimizer, optimizers
from initctl.formats.optimizers.masters import Copies, masters

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.table import FileTable
    from initctl.tensors import TensorSpec

_TORCH = r"\.(?:pt|pth|bin|ckpt|pkl)"


class Trainer(NamedTuple):
    """The program `name` writes files whose names match `pattern`, relative to the directory of the weights.

    If it `has_copies`, each such file contains copies of parameters, even if its table shows none.
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
"""A pattern that ends with a slash is for folders. The first pattern that matches counts."""
_OPENED = r"(?:global_step\d+|recipe_state)/"
"""Folders of a directory whose files are listed: DeepSpeed's below a Trainer's checkpoint, and torchtune's."""
_MOST_READ = 8
"""How many files of one trainer are read, since each of many ranks may write one. Further ones are listed, not read."""


class Beside(NamedTuple):
    """A file or a folder `name`; messages call it `path`. If the file can be read, its table and contents."""

    name: str
    path: str
    trainer: Trainer
    table: FileTable | None = None
    optimizers: tuple[Optimizer, ...] = ()
    copies: tuple[Copies, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether it contains, or may contain, anything that training continues from."""
        remembers = any(optimizer.kinds for optimizer in self.optimizers)
        return self.table is None or self.trainer.has_copies or remembers or bool(self.copies)

    @property
    def has_copies(self) -> str | None:
        """The program that wrote its copies of parameters; None if it has none."""
        return self.copies[0].writer if self.copies else self.trainer.name if self.trainer.has_copies else None


def beside(checkpoint: Checkpoint) -> tuple[Beside, ...]:
    """The files and folders beside the weights of `checkpoint` that matter.

    If a single file contains an optimizer itself, only copies of parameters beside it matter.
    """
    has_own = not checkpoint.is_directory and any(optimizer.kinds for optimizer in checkpoint.optimizers)
    base = checkpoint.path if is_folder(checkpoint.path) else os.path.dirname(checkpoint.path)
    read: dict[Trainer, int] = {}
    found = []
    for name, trainer in _matching(checkpoint):
        read[trainer] = read.get(trainer, 0) + 1
        path = os.path.normpath(os.path.join(base, name)) + ("/" if name.endswith("/") else "")
        if read[trainer] <= _MOST_READ:
            found.append(_read(os.path.join(checkpoint.home, name), path, checkpoint.named(name), trainer))
        elif not trainer.has_copies:  # if it has copies, the files that were read show that already
            found.append(Beside(checkpoint.named(name), path, trainer))
    return tuple(one for one in found if one.matters and (one.has_copies or not has_own))


def _matching(checkpoint: Checkpoint) -> Iterator[tuple[str, Trainer]]:
    own = {os.path.basename(file.name) for file in checkpoint.files}
    for name in _names(checkpoint):
        trainer = next((trainer for trainer in TRAINERS if re.fullmatch(trainer.pattern, name)), None)
        if trainer and name not in own:
            yield name, trainer


def _names(checkpoint: Checkpoint) -> Iterator[str]:
    """The names of files and folders beside the weights; a folder's name ends with a slash."""
    for name in _listed(checkpoint.home):
        yield name
        if checkpoint.is_directory and re.fullmatch(_OPENED, name):
            yield from (name + inner for inner in _listed(os.path.join(checkpoint.home, name)))
    if checkpoint.is_distributed:
        yield from (f"../{name}" for name in _listed(os.path.dirname(checkpoint.directory)) if name.endswith("/"))


def _listed(directory: str) -> Iterator[str]:
    with suppress(InputError):
        yield from (f"{entry.name}/" if _is_folder(entry) else entry.name for entry in entries_of(directory))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one that may be followed."""
    with suppress(InputError):
        return is_folder(entry.path) if entry.is_symlink() else entry.is_dir(follow_symlinks=False)
    return False


def _read(place: str, path: str, name: str, trainer: Trainer) -> Beside:
    """The file or folder at `place`; messages call it `path`."""
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
    """`checkpoint` with files of optimizers. Their tensors are outside of the state dict, and are named `FILE:NAME`."""
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
