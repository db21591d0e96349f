"""Bytes of any kind: flipped, set, inserted, removed, repeated, taken from another input, or set to odd numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

NUMBERS = (
    *range(-2, 18), 31, 32, 63, 64, 65, 100, 127, 128, 255, 256, 1000, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31,
    2**32 - 1, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**12, -(2**31), -(2**63),
)  # fmt: skip
"""Numbers at the limits of the types that files and libraries use."""
_EDITS_AT_ONCE = (1, 1, 1, 1, 2, 4)
_LONGEST_RUN = 24
LONGEST = 8192
"""Bytes: a longer input is cut."""


def number(rng: Random) -> int:
    return rng.choice(NUMBERS) if rng.random() < 0.8 else rng.getrandbits(rng.choice((4, 8, 16, 33, 65)))


def edited(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """`content` after a few edits."""
    for _ in range(rng.choice(_EDITS_AT_ONCE)):
        at = rng.randrange(len(content) + 1)
        content = rng.choice(_EDITS)(rng, content, at, others)[:LONGEST]
    return content


def _flipped(rng: Random, content: bytes, at: int, _: Sequence[bytes]) -> bytes:
    return content[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in content[at : at + 1]) + content[at + 1 :]


def _set(rng: Random, content: bytes, at: int, _: Sequence[bytes]) -> bytes:
    return content[:at] + rng.randbytes(1) + content[at + 1 :]


def _inserted(rng: Random, content: bytes, at: int, _: Sequence[bytes]) -> bytes:
    return content[:at] + rng.randbytes(rng.randint(1, 4)) + content[at:]


def _removed(rng: Random, content: bytes, at: int, _: Sequence[bytes]) -> bytes:
    return content[:at] + content[at + rng.randint(1, _LONGEST_RUN) :]


def _cut(rng: Random, content: bytes, at: int, _: Sequence[bytes]) -> bytes:
    return content[:at] if rng.random() < 0.5 else content[at:]


def _repeated(rng: Random, content: bytes, at: int, _: Sequence[bytes]) -> bytes:
    stop = at + rng.randint(1, _LONGEST_RUN)
    return content[:stop] + content[at:stop] * rng.choice((1, 1, 2, 30)) + content[stop:]


def _spliced(rng: Random, content: bytes, at: int, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    start = rng.randrange(len(other) + 1)
    return content[:at] + other[start : start + rng.randint(1, _LONGEST_RUN)] + content[at + rng.randint(0, 8) :]


def _counted(rng: Random, content: bytes, at: int, _: Sequence[bytes]) -> bytes:
    """A little-endian number is put in place of what is there."""
    width = rng.choice((2, 4, 4, 8))
    held = int.from_bytes(content[at : at + width], "little")
    new = held + rng.choice((-1, 1)) if rng.random() < 0.3 else number(rng)
    return content[:at] + (new % 256**width).to_bytes(width, "little") + content[at + width :]


_EDITS: tuple[Callable[[Random, bytes, int, Sequence[bytes]], bytes], ...] = (
    _flipped, _flipped, _set, _inserted, _removed, _cut, _repeated, _spliced, _counted, _counted,
)  # fmt: skip
