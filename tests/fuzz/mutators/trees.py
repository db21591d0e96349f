"""JSON: values of the tree replaced, moved, removed, renamed, repeated; at times its text is damaged, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tests.fuzz.mutators import raw

if TYPE_CHECKING:
    from random import Random

TEXTS = (
    "", "w", "F32", "F33", "f32", "BF16", "BOOL", "U8", "F4", "F6_E2M3", "C64", "F8_E8M0", "__metadata__", "..", "/x",
    "../x", "a.safetensors", "x/a.safetensors", "C:\\x", "a\0b", "\ud800", "\x1b[31m", "x\n::error::", "é", "e\u0301",
    "float32", "zeros", "normal", "philox", "sha256", "0" * 64, "a" * 300, "1e999", "NaN",
)  # fmt: skip
WORDS = (b"NaN", b"-Infinity", b"1e999", b"-0", b"01", b"2.0", b"2e0", b"1" * 4400, b"\\ud800", b"\\u0077", b"\xff",
         b"\xef\xbb\xbf", b" ", b"\0", b",", b"{}", b"[[", b'"w":1,', b'"dtype":"F32",', b"1" * 30)  # fmt: skip
"""Pieces of text that no JSON writer makes."""
_EDITS_AT_ONCE = (1, 1, 1, 1, 2, 4)


def mutated(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """JSON after a few changes of its tree, or of its text."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return raw.edited(rng, content, others)
    for _ in range(rng.choice(_EDITS_AT_ONCE)):
        value = changed(rng, value)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.8).encode("utf-8", "surrogatepass")
    return worded(rng, text) if rng.random() < 0.1 else text


def worded(rng: Random, text: bytes) -> bytes:
    """`text` with a piece put in at a random place, or for what stands there."""
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(WORDS) + text[at + rng.choice((0, 0, 1, 2)) :]


def changed(rng: Random, value: Any) -> Any:
    """`value` with one change in it."""
    holders = list(_holders(value))
    if not holders or rng.random() < 0.02:
        return scalar(rng)
    holder = rng.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    rng.choice(_CHANGES)(rng, holder, rng.choice(keys))
    return value


def scalar(rng: Random) -> Any:
    match rng.randrange(8):
        case 0:
            return rng.choice(TEXTS)
        case 1:
            return rng.choice((None, True, False, 0.5, 2.0, 1e300, [], {}, [0], {"w": 1}))
        case 2:
            return [raw.number(rng) for _ in range(rng.randrange(4))]
        case 3:
            return {rng.choice(TEXTS): rng.choice(TEXTS)}
    return raw.number(rng)


def _holders(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """The objects and lists in `value` that are not empty."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, (dict, list)) and found:
            yield found
            waiting += found.values() if isinstance(found, dict) else found


def _replace(rng: Random, holder: Any, key: Any) -> None:
    holder[key] = scalar(rng)


def _step(rng: Random, holder: Any, key: Any) -> None:
    """A number changes by one; anything else is replaced."""
    held = holder[key]
    holder[key] = held + rng.choice((-1, 1, 4)) if type(held) is int else scalar(rng)


def _remove(rng: Random, holder: Any, key: Any) -> None:
    del holder[key]


def _copy(rng: Random, holder: Any, key: Any) -> None:
    """The value stands in one more place."""
    other = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if isinstance(holder, dict):
        holder[rng.choice((*TEXTS, other))] = holder[key]
    else:
        holder.insert(other, holder[key])


def _move(rng: Random, holder: Any, key: Any) -> None:
    """Two values change places, or one goes to another name."""
    if isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    else:
        holder.reverse()


def _wrap(rng: Random, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(([holder[key]], {"w": holder[key]}))


_CHANGES: tuple[Callable[[Random, Any, Any], None], ...] = (
    _replace,
    _replace,
    _step,
    _step,
    _remove,
    _copy,
    _move,
    _wrap,
)
