"""Folders below a directory that contain checkpoints. Only a limited number of names is read."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from initctl.errors import InputError
from initctl.formats.directories.folder import read_folder
from initctl.formats.directories.weight_names import DISTRIBUTED_METADATA, FOREIGN, weight_name
from initctl.formats.opening import names_in, read_small

LOOKED_AT = 20_000
"""The most names that are read, since more would take noticeable time. The list of folders may be incomplete."""
DEEPEST = 4
"""The most levels of nested folders: `models--org--name/snapshots/HASH/unet` has three below the first."""
PIPELINE = "model_index.json"
"""A file that diffusers writes beside the folders of a pipeline's models."""
_LONGEST = 1000
"""The most bytes of a file that names the newest checkpoint."""


class Parent(NamedTuple):
    """A kind of directory of checkpoints. It contains `marker`, and messages call it `words`.

    `newest` turns the text in `marker` into the folder of the newest checkpoint.
    """

    marker: str
    words: str
    newest: Callable[[str], str] | None = None


PARENTS = (
    Parent(PIPELINE, "a diffusers pipeline"),
    Parent("modules.json", "a sentence-transformers model"),
    Parent("latest_checkpointed_iteration.txt", "a directory of Megatron checkpoints", lambda text: f"iter_{text:0>7}"),
    Parent("latest", "a directory of DeepSpeed checkpoints", lambda text: text),
    Parent("refs/main", "a repository in Hugging Face's cache", lambda text: f"snapshots/{text}"),
    Parent("snapshots", "a repository in Hugging Face's cache"),
)
ORBAX = ("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt")
"""Files that orbax writes to the folder of a checkpoint, or of one item of it."""
_NUMBERED = re.compile(r"(?:.*/)?(?:checkpoint|iter|global_step|step|epoch)?[-_]?(\d+)(?:/.*)?", re.DOTALL)
"""Folders with the number of a step, as Trainer, Megatron, DeepSpeed and orbax name them."""


def folders_with_weights(directory: str) -> list[str]:
    """The folders below `directory` that contain weights, by relative name, sorted. None of them is inside another."""
    return _folders(directory, _holds_weights)


def folders_of_orbax(directory: str) -> list[str]:
    """The folders below `directory` that orbax wrote, sorted; "" if it wrote `directory` itself."""
    return [""] if _is_orbax(names_in(directory)) else _folders(directory, _is_orbax)


def newest_first(directory: str, folders: Sequence[str]) -> tuple[list[str], bool]:
    """`folders` with the newest first, and whether it is known which are newer."""
    newest = _newest(directory)
    numbers = {folder: int(found[1]) for folder in folders if (found := _NUMBERED.fullmatch(folder))}
    ordered = sorted(folders, key=lambda folder: (not _is_in(folder, newest), -numbers.get(folder, -1), folder))
    is_known = len(folders) > 1 and (len(numbers) == len(folders) or any(_is_in(folder, newest) for folder in folders))
    return ordered, is_known


def _is_in(folder: str, newest: str | None) -> bool:
    return newest is not None and f"{folder}/".startswith(f"{newest}/")


def _newest(directory: str) -> str | None:
    """The folder that a file in `directory` names as the newest checkpoint."""
    for kind in PARENTS:
        if kind.newest:
            with suppress(InputError):
                text = read_small(os.path.join(directory, kind.marker), _LONGEST)
                return kind.newest(text.decode("utf-8", "replace").strip())
    return None


def _folders(directory: str, holds: Callable[[Sequence[str]], bool]) -> list[str]:
    """The folders below `directory` for whose names `holds` is true.

    Folders that cannot be read are skipped. The search stops after `LOOKED_AT` names and `DEEPEST` levels.
    """
    found: list[str] = []
    waiting = deque([("", 0)])
    looked_at = 0
    while waiting and looked_at < LOOKED_AT:
        prefix, depth = waiting.popleft()
        try:
            here = read_folder(os.path.join(directory, prefix), directory)
        except InputError:
            continue
        looked_at += len(here.files) + len(here.folders)
        if prefix and holds((*here.files, *here.folders)):
            found.append(prefix)
        elif depth < DEEPEST:
            waiting += ((os.path.join(prefix, name), depth + 1) for name in here.folders if not name.startswith("."))
    return sorted(found)


def _holds_weights(names: Sequence[str]) -> bool:
    """Whether a folder with the entries `names` contains weights in a format that initctl reads."""
    found = filter(None, map(weight_name, names))
    is_read = any(weights.is_of_model and weights.suffix not in FOREIGN for weights in found)
    return is_read or DISTRIBUTED_METADATA in names or PIPELINE in names


def _is_orbax(names: Sequence[str]) -> bool:
    return any(name in ORBAX for name in names)
