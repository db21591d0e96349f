"""Small inputs that every test run replays: `corpus/TARGET/NAME`. Each once showed a fault, or a difference."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def inputs(target: str) -> dict[str, bytes]:
    """The inputs for a target, by name."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / target).glob("*"))}


def name_of(content: bytes) -> str:
    return sha256(content).hexdigest()[:12]
