"""Streams of 32-bit words for batteries of tests: the value stream, as it is and as it might hide a fault.

Each is an endless sequence of arrays of words, the same in every run.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from initctl.stream.engines.compiled import CompiledEngine
from initctl.stream.key import stream_key
from initctl.stream.philox import HALF, LANES, MULTIPLIERS, WORD, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Words = NDArray[np.uint32]

AT_ONCE = 1 << 20
"""Words of one array, but for streams that need whole groups."""
NEIGHBORS = 1024
"""Names, or seeds, whose words are interleaved."""
OF_EACH = 64
"""Words that each name gives if there is another name after every few words."""


@cache
def engine() -> CompiledEngine:
    """One that keeps to one thread."""
    return CompiledEngine(threads=1)


def draws(seed: int, name: str):
    """The draws of a tensor, by compiled loops."""
    return engine().draws(stream_key(seed, name))


def one_tensor(seed: int = 0, name: str = "model.embed_tokens.weight") -> Iterator[Words]:
    """The words of one tensor, element by element."""
    of = draws(seed, name)
    for start in count(step=AT_ONCE):
        yield of.words(start, start + AT_ONCE)


def neighboring_names(seed: int = 0) -> Iterator[Words]:
    """The words of `layers.0.w`, `layers.1.w`, …: element 0 of each, then element 1 of each, and so on."""
    yield from _interleaved([draws(seed, f"layers.{layer}.w") for layer in range(NEIGHBORS)])


def neighboring_seeds(name: str = "fc.weight") -> Iterator[Words]:
    """The words of one tensor under the seeds 0, 1, 2, …: element 0 of each, then element 1 of each, and so on."""
    yield from _interleaved([draws(seed, name) for seed in range(NEIGHBORS)])


def _interleaved(tensors) -> Iterator[Words]:
    each = 4 * AT_ONCE // len(tensors)
    for start in count(step=each):
        yield np.ascontiguousarray(np.stack([of.words(start, start + each) for of in tensors]).T).reshape(-1)


def first_elements() -> Iterator[Words]:
    """Elements 0 to 63 of many names, name after name: as many keys as there can be in so many words."""
    yield from _of_keys(stream_key(0, f"layers.{layer}.w") for layer in count())


def first_elements_of_seeds() -> Iterator[Words]:
    """Elements 0 to 63 of one name under the seeds 0, 1, 2, …, seed after seed."""
    yield from _of_keys(stream_key(seed, "fc.weight") for seed in count())


def _of_keys(keys) -> Iterator[Words]:
    tensors, blocks = AT_ONCE // OF_EACH, OF_EACH // LANES
    while True:
        some = np.array([next(keys) for _ in range(tensors)], np.uint64)
        key0, key1 = (np.repeat(part, blocks) for part in some.T)
        yield words_of(key0, key1, np.tile(np.arange(blocks, dtype=np.uint64), tensors), 0)


def uniforms() -> Iterator[Words]:
    """The 24 bits of each number of `uniform01`, packed: four numbers make three words."""
    of = draws(1, "uniform.weight")
    for start in count(step=AT_ONCE):
        bits = (of.uniform01(start, start + AT_ONCE) * np.float32(2**24)).astype(np.uint32).astype("<u4")
        yield np.ascontiguousarray(bits.view(np.uint8).reshape(-1, 4)[:, :3]).reshape(-1).view("<u4")


def normals() -> Iterator[Words]:
    """Of each number of `normal01`, the 8 high bits of its distribution function: four numbers make a word."""
    of = draws(2, "normal.weight")
    for start in count(step=AT_ONCE):
        yield (ndtr(of.normal01(start, start + AT_ONCE).astype(np.float64)) * 256).astype(np.uint8).view("<u4")


def reversed_bits(words: Iterator[Words]) -> Iterator[Words]:
    """The same with the lowest bit first: most tests look at high bits."""
    for some in words:
        for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F)):
            some = (some >> shift & np.uint32(mask)) | (some & np.uint32(mask)) << shift
        yield some.byteswap()


def weak(rounds: int = 2) -> Iterator[Words]:
    """Philox with fewer rounds, which no battery may pass."""
    for start in count(step=AT_ONCE // LANES):
        c0 = start + np.arange(AT_ONCE // LANES, dtype=np.uint64)
        c1 = c2 = c3 = np.zeros_like(c0)
        for _ in range(rounds):
            product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
            c0, c1 = product1 >> HALF ^ c1, product1 & WORD
            c2, c3 = product0 >> HALF ^ c3, product0 & WORD
        yield np.stack([c0, c1, c2, c3], 1).astype(np.uint32).reshape(-1)


def first_words(stream: Iterator[Words], number: int) -> Words:
    """The first `number` words of a stream."""
    arrays = []
    while sum(map(len, arrays)) < number:
        arrays.append(next(stream))
    return np.concatenate(arrays)[:number]


STREAMS: dict[str, Callable[[], Iterator[Words]]] = {
    "tensor": one_tensor,
    "names": neighboring_names,
    "seeds": neighboring_seeds,
    "first-of-names": first_elements,
    "first-of-seeds": first_elements_of_seeds,
    "uniforms": uniforms,
    "normals": normals,
    "tensor-reversed": lambda: reversed_bits(one_tensor()),
    "names-reversed": lambda: reversed_bits(neighboring_names()),
    "seeds-reversed": lambda: reversed_bits(neighboring_seeds()),
}
