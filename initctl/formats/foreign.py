"""Content that people give by mistake, or that cannot be read yet, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, shown

if TYPE_CHECKING:
    from collections.abc import Callable


def refuse_foreign(path: str, content: bytes) -> None:
    """Raise `InputError` where a file that begins with `content` is known to be something else."""
    for foreign in _FOREIGN:
        if foreign.is_at(content):
            raise InputError(Problem("file.format", f"{shown(path)}: {foreign.fault}", foreign.hint))


class _Foreign(NamedTuple):
    is_at: Callable[[bytes], bool]
    fault: str
    hint: str


_CONVERT = "convert it to safetensors first"
_FOREIGN = (
    _Foreign(
        lambda content: content.startswith(b"version https://git-lfs.github.com/spec/"),
        "this is a Git LFS pointer, not the file it stands for",
        "run git lfs pull",
    ),
    _Foreign(
        lambda content: content.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")),
        "looks like a web page, not a checkpoint",
        "download the file itself",
    ),
    _Foreign(lambda content: content.startswith(b"GGUF"), "is a GGUF file, which is not supported", _CONVERT),
    _Foreign(
        lambda content: content[257:262] == b"ustar",
        "is a tar archive, as torch.save wrote it before 0.1.12, which is not supported",
        "load it with an old torch and save it again",
    ),
)
