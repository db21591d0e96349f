"""Names relative to the root, without a wrapper's prefix if every name of a checkpoint begins with it."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""DistributedDataParallel and torch.compile put these before every name."""


def relative_names(tensors: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """`tensors` under their names relative to the root. Aliases count as names too."""
    tensors = tuple(tensors)
    prefix = wrapper_prefix([name for tensor in tensors for name in (tensor.name, *tensor.aliases)])
    return tuple(without_prefix(tensor, prefix) for tensor in tensors)


def without_prefix(tensor: TensorSpec, prefix: str) -> TensorSpec:
    if not prefix:
        return tensor
    aliases = tuple(alias.removeprefix(prefix) for alias in tensor.aliases)
    return replace(tensor, name=tensor.name.removeprefix(prefix), aliases=aliases)


def wrapper_prefix(names: Collection[str]) -> str:
    """The wrapper prefixes, joined, that every one of `names` begins with; empty if there are none."""
    length = 0
    while names:
        found = next((wrapper for wrapper in WRAPPER_PREFIXES if _all_continue(names, wrapper, length)), None)
        if found is None:
            break
        length += len(found)
    return next(iter(names), "")[:length]


def bare_name(name: str, known: Container[str]) -> str:
    """`name` without prefixes of wrappers, if one of the `known` names is left; else `name` itself."""
    bare = name
    while bare not in known:
        prefix = next(filter(bare.startswith, WRAPPER_PREFIXES), None)
        if prefix is None:
            return name
        bare = bare.removeprefix(prefix)
    return bare


def _all_continue(names: Collection[str], wrapper: str, at: int) -> bool:
    """Whether each name has `wrapper` at index `at`, and something after that."""
    return all(name.startswith(wrapper, at) and len(name) > at + len(wrapper) for name in names)
