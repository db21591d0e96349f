"""(seed, tensor name) → the 64-bit key of its random stream."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

SEED_LIMIT = 2**64

_PERSON = b"initctl.v1"
"""Makes hashes of this version of the stream differ from those of any later version, or other use of BLAKE2b."""


class Key(NamedTuple):
    """The two 32-bit words of a Philox4x32 key."""

    k0: int
    k1: int


def stream_key(seed: int, name: str) -> Key:
    """The key for the tensor `name` under `seed`, 0 ≤ seed < 2^64."""
    digest = blake2b(seed.to_bytes(8, "little") + name.encode(), digest_size=8, person=_PERSON).digest()
    return Key(int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little"))
