"""What a word, or a path, that is not known may have been meant as."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from itertools import islice

from initctl.errors import shown

ELSEWHERE = {
    "swish": "silu",  # TensorFlow, Keras
    "gpu": "cuda",  # JAX, TensorFlow
    "truncated_normal": "trunc_normal",  # TensorFlow, JAX, Keras
    "random_normal": "normal",  # Keras
    "random_uniform": "uniform",
    "gaussian": "normal",  # Caffe, fvcore
    "zero": "zeros",
    "one": "ones",
    "identity": "eye",  # Keras
    "fill": "constant",
    "msra": "kaiming_normal",  # Caffe, fvcore
    "numpy": "philox",
    "pytorch": "torch",
    "pattern": "match",  # keys of a rule
    "initializer": "init",
    "condition": "where",
}
"""What other tools call what is known here."""
_OF_SHAPES = re.compile(r"shape|resize|size|rows?|num_?(labels|classes)|(in|out)_?(features|channels)|vocab(_?size)?")
_SIMILARITY = 0.6
_MOST_NAMES = 10_000
"""Entries of a folder that are looked at."""


def nearest(word: str, known: Iterable[str], *, n: int = 1, similarity: float = _SIMILARITY) -> list[str]:
    """Up to `n` of the `known` words that `word` may have been meant as, the likeliest first; letters count alike,
    large or small. One that differs in nothing else, or that other tools call by this word, comes alone; and words
    that begin with this one come before others.
    """
    by_fold: dict[str, str] = {}
    for name in known:
        by_fold.setdefault(name.casefold(), name)
    wanted = word.casefold()
    for sure in (wanted, ELSEWHERE.get(wanted)):
        if sure in by_fold:
            return [by_fold[sure]]
    from difflib import get_close_matches

    longer = [name for name in by_fold if name.startswith(f"{wanted}_")][:n]
    return [by_fold[found] for found in longer or get_close_matches(wanted, by_fold, n=n, cutoff=similarity)]


def did_you_mean(
    word: str, known: Iterable[str], *, n: int = 1, behind: str = "", similarity: float = _SIMILARITY
) -> str | None:
    """The question whether one of the nearest `known` words was meant, with what stood `behind` it, if one is near."""
    found = [shown(name + behind) for name in nearest(word, known, n=n, similarity=similarity)]
    return f"did you mean {' or '.join(found)}?" if found else None


def about_shapes(word: str) -> str | None:
    """What to do instead, if `word` asks for another shape, as `num_labels` does."""
    if not _OF_SHAPES.fullmatch(word.strip("-").replace("-", "_").lower()):
        return None
    return "initctl fills tensors and keeps their shapes; change the shape in the model, and save that first"


def did_you_mean_path(path: str) -> str | None:
    """The question whether a file was meant that is there, if `path` is not: the first of its parts that is not there
    is compared with what its folder holds.
    """
    missing, rest = os.path.abspath(path), ""
    while not os.path.exists(folder := os.path.dirname(missing)) and folder != missing:
        rest = os.path.join(os.path.basename(missing), rest) if rest else os.path.basename(missing)
        missing = folder
    last = os.path.basename(missing)
    found = nearest(last, _names(folder))
    if not found or found[0] == last:  # a link to nothing
        return None
    meant = os.path.join(folder, found[0])
    if rest and os.path.exists(whole := os.path.join(meant, rest)):
        meant = whole
    return f"did you mean {shown(meant if os.path.isabs(path) else os.path.relpath(meant))}?"


def _names(folder: str) -> Collection[str]:
    """What `folder` holds, as far as it can be read, but for hidden files."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, _MOST_NAMES) if not entry.name.startswith(".")]
    except OSError:
        return []
