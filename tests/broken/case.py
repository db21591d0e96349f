"""One case of the corpus: a bad input or a strange one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONGEST = 300
"""How many characters a message may have, besides the paths and the rules that it quotes."""


@dataclass(frozen=True)
class Fault:
    """A bad input: what writes it below a folder and returns the path to give to initctl, and what is to be said."""

    name: str
    write: Callable[[Path], Path]
    code: str
    words: str
    exit_status: int = 3


@dataclass(frozen=True)
class Oddity:
    """A strange input that is to be read: what writes it, and how many tensors it holds."""

    name: str
    write: Callable[[Path], Path]
    tensors: int


def name_of(case: Fault | Oddity) -> str:
    return case.name


def file_of(content: bytes, name: str = "model.safetensors") -> Callable[[Path], Path]:
    """What writes a file of `content`."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write
