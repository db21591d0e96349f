"""Rules and recipes: their words removed, repeated, moved, and replaced by words of the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tests.fuzz.mutators import raw

if TYPE_CHECKING:
    from random import Random

_WORD = re.compile(rb"\w+|\s+|.", re.DOTALL)
_EDITS_AT_ONCE = (1, 1, 1, 1, 2, 4)
WORDS = tuple(
    b'= : , . * ? [ ] { } ( ) ! - + / ** \\ " \' """ \n # .. :: [: :] {0..3} {-2..-1} {a,b} [!a] [z-a] * ** *.bias '
    b"normal uniform zeros constant xavier_uniform kaiming_normal orthogonal sparse keep std mean a b gain val "
    b"sqrt(2/fan_in) fan_in fan_out numel ndim shape[0] shape[9] layer layers config.hidden_size pi min max log "
    b"nan inf 1e999 1e-400 1_000 0x10 -1 0 1 2 0.02 where and or not == >= if else lambda __import__ [[rule]] [rule] "
    b'match init seed extends vars preset:gpt2 true dtype "float32" copy:from= revise blend shuffle \xc3\xa9 \xff '
    b"[[[ ]]] {{{ }}} ((( ))) --- 10**10**10 9**9**9 1/0 18446744073709551616 2024-01-01 0o17".split(b" ")
)


def mutated(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    words = _WORD.findall(content)
    if not words or rng.random() < 0.1:
        return raw.edited(rng, content, others)
    for _ in range(rng.choice(_EDITS_AT_ONCE)):
        rng.choice(_CHANGES)(rng, words, rng.randrange(len(words)))
        if not words:
            break
    return b"".join(words)[: raw.LONGEST]


def _remove(rng: Random, words: list[bytes], at: int) -> None:
    del words[at : at + rng.choice((1, 1, 3))]


def _repeat(rng: Random, words: list[bytes], at: int) -> None:
    words[at:at] = words[at : at + rng.choice((1, 3, 9))] * rng.choice((1, 1, 1, 200))


def _replace(rng: Random, words: list[bytes], at: int) -> None:
    words[at] = rng.choice(WORDS)


def _insert(rng: Random, words: list[bytes], at: int) -> None:
    words.insert(at, rng.choice(WORDS))


def _count(rng: Random, words: list[bytes], at: int) -> None:
    words[at] = b"%d" % raw.number(rng)


def _swap(rng: Random, words: list[bytes], at: int) -> None:
    other = rng.randrange(len(words))
    words[at], words[other] = words[other], words[at]


_CHANGES: tuple[Callable[[Random, list[bytes], int], None], ...] = (
    _remove,
    _repeat,
    _replace,
    _insert,
    _insert,
    _count,
    _swap,
)
