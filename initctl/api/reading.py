"""What checkpoints hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from initctl.api.warning import warn
from initctl.argument_types import path_of
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from initctl.differences import Differences
    from initctl.events import Event
    from initctl.formats import Checkpoint
    from initctl.request import Path
    from initctl.statistics import Statistics


@explaining_failures
def inspect(checkpoint: Path, *, root: str | None = None, component: str | None = None) -> Checkpoint:
    """The table of `checkpoint`: its files, tensors and metadata, with names relative to `root` as in `plan`.

    Reads no tensor values. Raises `InputError` if the checkpoint cannot be read, and `UsageError` if `root` leads to no
    tensor or `component` is not one of its folders. Warns of what is odd about the checkpoint, as `InitctlWarning`; so
    do all functions that read one.
    """
    from initctl.formats import read_checkpoint

    table = read_checkpoint(checkpoint, root=root, component=component)
    warn(table.warnings)
    return table


@explaining_failures
def stats(
    checkpoint: Path,
    patterns: Sequence[str] = (),
    *,
    root: str | None = None,
    component: str | None = None,
    digest: bool = False,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Statistics:
    """Statistics of tensors of `checkpoint`: moments, extremes, counts of unusual values, and a histogram of a sample.
    Reads every element once and writes nothing.

    Args:
        checkpoint, root, component: as for `inspect`.
        patterns: globs, or regular expressions after `re:`, as in rules; by default all tensors.
        digest: also the SHA-256 of each tensor's bytes, in row-major order.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError: as for `inspect`; and if a pattern selects rows, or is not a pattern (`RuleError`).
        FitError: a pattern matches no tensor.
        ConflictError: the checkpoint changed while it was read.
        StorageError: the checkpoint cannot be read to its end.
    """
    from initctl.distributed.ranks import coworkers
    from initctl.selecting import selected
    from initctl.statistics import Statistics, measured

    threads = thread_count(threads)
    table = inspect(checkpoint, root=root, component=component)
    tensors = selected(table, patterns)
    found = measured(table, tensors, digest=digest, threads=threads, coworkers=coworkers(), on_event=on_event)
    return Statistics(table, found)


@explaining_failures
def diff(
    a: Path,
    b: Path,
    patterns: Sequence[str] = (),
    *,
    root: str | None = None,
    other_root: str | None = None,
    component: str | None = None,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Differences:
    """The differences between checkpoints `a` and `b`, in any formats and shards: tensors, metadata and, of two
    directories, other files. Writes nothing.

    Tensors are paired by name. Bytes are compared first; differences are measured in float64. An element changed if its
    bits changed, so -0 is not 0; if the dtype changed, numbers are compared.

    Args:
        a, b: as for `inspect`.
        patterns: as for `stats`; each must match a tensor of either. Without them, tensors outside of the roots are
            compared too, if both checkpoints have any.
        root: as for `inspect`, for both.
        other_root: the root of `b`, if it differs.
        component: as for `inspect`, for `a` and `b` if they are directories.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError, FitError: as for `stats`.
        ConflictError: a checkpoint changed while it was read.
        StorageError: a checkpoint cannot be read to its end.
    """
    from initctl.differences import differences
    from initctl.distributed.ranks import coworkers
    from initctl.formats import is_directory

    threads = thread_count(threads)
    roots = root, root if other_root is None else other_root
    a, b = path_of("a", a), path_of("b", b)
    has_folders = [component is not None and is_directory(path) for path in (a, b)]
    one, other = (
        inspect(path, root=root, component=component if has_it or not any(has_folders) else None)
        for path, root, has_it in zip((a, b), roots, has_folders, strict=True)
    )
    return differences(one, other, patterns, threads=threads, coworkers=coworkers(), on_event=on_event)
