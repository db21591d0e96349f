"""Proposals for an unknown word or path: did you mean …?"""

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
    "random": "normal",
    "randn": "normal",
    "rand": "uniform",
    "zero": "zeros",
    "one": "ones",
    "identity": "eye",  # Keras
    "fill": "constant",
    "const": "constant",
    "none": "keep",
    "msra": "kaiming_normal",  # Caffe, fvcore
    "numpy": "philox",
    "pytorch": "torch",
    "float": "float32",  # torch, NumPy
    "half": "float16",
    "double": "float64",
    "fp16": "float16",
    "fp32": "float32",
    "fp64": "float64",
    "bf16": "bfloat16",
    "f16": "float16",  # safetensors
    "f32": "float32",
    "f64": "float64",
    "pattern": "match",  # keys of a rule
    "initializer": "init",
    "condition": "where",
}
"""Names in other tools, and the names here."""
_OF_SHAPES = re.compile(r"shape|resize|size|rows?|num_?(labels|classes)|(in|out)_?(features|channels)|vocab(_?size)?")
_SIMILARITY = 0.6
_MOST_NAMES = 10_000
"""The most entries of a folder that are compared."""


def nearest(word: str, known: Iterable[str], *, n: int = 1, similarity: float = _SIMILARITY) -> list[str]:
    """Up to `n` of the `known` words that `word` may mean, the likeliest first; case does not matter. A word that
    differs only in case, or that other tools call `word`, is returned alone. Words that begin with `word` precede
    others.
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
    """A question that proposes the nearest `known` words, each followed by `behind`; None if none is near."""
    found = [shown(name + behind) for name in nearest(word, known, n=n, similarity=similarity)]
    return f"did you mean {' or '.join(found)}?" if found else None


def about_shapes(word: str) -> str | None:
    """A hint if `word` means another shape, as `num_labels` does; else None."""
    if not _OF_SHAPES.fullmatch(word.strip("-").replace("-", "_").lower()):
        return None
    return "--rows 'PATTERN=N' changes the number of rows, --dims a shape, and --set-config a field of config.json"


def about_home(path: str) -> str | None:
    """A hint if `path` begins with `~`, which a shell leaves as it is inside quotes; else None."""
    if path.partition("/")[0] != "~":
        return None
    return f"~ is not expanded here (a shell expands it outside of quotes); write {shown(os.path.expanduser(path))}"


def did_you_mean_path(path: str) -> str | None:
    """A question that proposes an existing path for a missing `path`: its first missing part is compared with the
    entries of its folder.
    """
    missing, rest = os.path.abspath(path), ""
    while not os.path.exists(folder := os.path.dirname(missing)) and folder != missing:
        rest = os.path.join(os.path.basename(missing), rest) if rest else os.path.basename(missing)
        missing = folder
    last = os.path.basename(missing)
    found = nearest(last, _names(folder))
    if not found or found[0] == last:  # a broken link
        return None
    meant = os.path.join(folder, found[0])
    if rest and os.path.exists(whole := os.path.join(meant, rest)):
        meant = whole
    return f"did you mean {shown(meant if os.path.isabs(path) else os.path.relpath(meant))}?"


def _names(folder: str) -> Collection[str]:
    """The entries of `folder`, without hidden files; empty if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, _MOST_NAMES) if not entry.name.startswith(".")]
    except OSError:
        return []
