"""Results that are written in parts, what is inside of them, and small checkpoints made without torch."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import initctl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

_BITS = {"U8": 8, "F4": 4, "F6_E2M3": 6, "F64": 64, "F32": 32, "C64": 64}


def written_by_hand(path: Path, tensors: dict[str, tuple[str, bytes]]) -> Path:
    """A safetensors file of one-dimensional tensors, in this order."""
    header, offset = {}, 0
    for name, (dtype, content) in tensors.items():
        shape = [len(content) * 8 // _BITS[dtype]]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(content)]}
        offset += len(content)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(content for _, content in tensors.values()))
    return path


def cut_often(monkeypatch: pytest.MonkeyPatch, step: int = 512) -> None:
    """Let files be cut at multiples of `step`, so that small ones are cut too."""
    monkeypatch.setattr("initctl.distributed.split.STEP", step)


def shuffled(parts: int, *, seed: int = 0) -> list[int]:
    """The numbers of the parts in a random order, and some of them once more."""
    draw = random.Random(seed + parts)
    order = list(range(1, parts + 1))
    order += draw.sample(order, k=(parts + 1) // 2)
    draw.shuffle(order)
    return order


def in_parts(source: Path, output: str, order: Iterable[int], parts: int, **asked: Any) -> initctl.Applied:
    """Write all parts of one result in this order, and commit."""
    made = initctl.parts(source, output, **asked)
    for number in order:
        made.write(number, parts, threads=1)
    return made.commit(threads=1)


def inside(path: Path) -> dict[str, tuple[bytes | None, int]]:
    """The content and the permissions of a result, and of everything in it."""
    found = [path, *path.rglob("*")]
    return {
        str(one.relative_to(path)): (one.read_bytes() if one.is_file() else None, one.stat().st_mode) for one in found
    }
