"""Names relative to the root: without the wrappers' prefixes that every name of a checkpoint carries."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""Put before every name by DistributedDataParallel and by torch.compile."""


def relative_names(tensors: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """`tensors` under their names relative to the root; a name that the file only notes counts as one."""
    tensors = tuple(tensors)
    prefix = wrapper_prefix([name for tensor in tensors for name in (tensor.name, *tensor.aliases)])
    return tuple(without_prefix(tensor, prefix) for tensor in tensors)


def without_prefix(tensor: TensorSpec, prefix: str) -> TensorSpec:
    if not prefix:
        return tensor
    aliases = tuple(alias.removeprefix(prefix) for alias in tensor.aliases)
    return replace(tensor, name=tensor.name.removeprefix(prefix), aliases=aliases)


def wrapper_prefix(names: Collection[str]) -> str:
    """The run of wrapper prefixes that begins every one of `names`; empty where one lacks it."""
    length = 0
    while names:
        found = next((wrapper for wrapper in WRAPPER_PREFIXES if _all_continue(names, wrapper, length)), None)
        if found is None:
            break
        length += len(found)
    return next(iter(names), "")[:length]


def _all_continue(names: Collection[str], wrapper: str, at: int) -> bool:
    """Whether each name has `wrapper` at `at`, and a name of its own after that."""
    return all(name.startswith(wrapper, at) and len(name) > at + len(wrapper) for name in names)
