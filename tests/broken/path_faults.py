"""Paths at which no checkpoint lies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.broken.case import Fault
from tests.formats.handwritten import float_file, sharded

if TYPE_CHECKING:
    from pathlib import Path

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 5135149760\n"


def missing(folder: Path) -> Path:
    return folder / "model.safetensors"


def in_a_missing_folder(folder: Path) -> Path:
    return folder / "no" / "model.safetensors"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "model.safetensors")
    return folder / "model.safetensors"


def link_to_nothing(folder: Path) -> Path:
    (folder / "model.safetensors").symlink_to("nothing")
    return folder / "model.safetensors"


def link_to_itself(folder: Path) -> Path:
    (folder / "model.safetensors").symlink_to("model.safetensors")
    return folder / "model.safetensors"


def below_a_file(folder: Path) -> Path:
    return float_file(folder / "model.safetensors", "w") / "model.safetensors"


def hostile_path(folder: Path) -> Path:
    path = folder / "x\n::error::\x1b[31m.safetensors"
    path.write_bytes(b"")
    return path


def empty_directory(folder: Path) -> Path:
    (folder / "model.safetensors").mkdir()
    return folder / "model.safetensors"


def directory_of_links_to_nothing(folder: Path) -> Path:
    """What a cache whose blobs were deleted looks like."""
    (folder / "model.safetensors").symlink_to("../../blobs/0123")
    return folder


def two_files_without_index(folder: Path) -> Path:
    float_file(folder / "a.safetensors", "w")
    float_file(folder / "b.safetensors", "v")
    return folder


def two_indexes(folder: Path) -> Path:
    sharded(folder, {"a.safetensors": ("w",)}).rename(folder / "a.safetensors.index.json")
    sharded(folder, {"b.safetensors": ("v",)})
    return folder


def weights_below_only(folder: Path) -> Path:
    float_file(folder / "checkpoint-500" / "model.safetensors", "w")
    return folder


def clone_without_lfs(folder: Path) -> Path:
    (folder / "model.safetensors").write_bytes(LFS_POINTER)
    return folder


FAULTS = (
    Fault("E01-missing", missing, "file.missing", "no such file or directory"),
    Fault("E01-in-a-missing-folder", in_a_missing_folder, "file.missing", "no such file or directory"),
    Fault("E01-pipe", pipe, "file.kind", "is not a regular file"),
    Fault("E01-link-to-nothing", link_to_nothing, "file.missing", "is a link to a file that does not exist: "),
    Fault("E01-link-to-itself", link_to_itself, "file.unreadable", "cannot be read: "),
    Fault("E01-below-a-file", below_a_file, "file.unreadable", "cannot be read: Not a directory"),
    Fault("E01-empty-directory", empty_directory, "directory.empty", "contains no files; check that the download"),
    Fault("E05-directory-of-links-to-nothing", directory_of_links_to_nothing, "directory.escape",
          "not a regular file, or a link to a file in the directory"),
    Fault("I00-two-files-without-index", two_files_without_index, "directory.ambiguous",
          "contains a.safetensors, b.safetensors but no index; name one of them, or restore the index"),
    Fault("I19-two-indexes", two_indexes, "directory.ambiguous", "contains several indexes: "),
    Fault("I00-weights-in-a-folder-below-only", weights_below_only, "directory.below",
          "contains no weights itself; the weights are in checkpoint-500/; name a folder, such as "),
    Fault("S58-clone-without-lfs", clone_without_lfs, "file.format",
          "model.safetensors: is a Git LFS pointer, not the file itself; run git lfs pull"),
    Fault("N15-hostile-path", hostile_path, "safetensors.malformed",
          "x\\x0a::error::\\x1b[31m.safetensors: file is empty"),
)  # fmt: skip
