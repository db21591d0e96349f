"""Compare what is around the tensors of a result whose tensors got other shapes: headers, the index, config.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from initctl.audit.verification import FileDifference

if TYPE_CHECKING:
    from initctl.reading import TensorReader
    from initctl.reshaping.renewed_files import RenewedFile


def part_faults(renewed: Mapping[str, RenewedFile], held: TensorReader) -> Iterator[FileDifference]:
    """What is wrong with the `renewed` files of a result: each is missing, or a byte around tensors differs."""
    if not renewed:  # then a folder that cannot be read does not matter
        return
    result = held.checkpoint
    files = {file.name: file for file in (*result.files, *result.other_files)}
    for name, new in renewed.items():
        now = files.get(name) if result.is_directory else result.files[0]
        if now is None:
            yield FileDifference(name, "is missing")
            continue
        for start, wanted in new.layout.parts:
            found = held.read_range(now.name, start, min(start + len(wanted), now.size)).tobytes()
            if found != wanted or (not new.tensors and now.size != new.layout.size):
                at = start + _first_difference(wanted, found)
                yield FileDifference(now.name, f"byte {at:,} differs", at)


def _first_difference(one: bytes, other: bytes) -> int:
    """The first place at which they differ; the length of the shorter one if it is the beginning of the other."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
