"""Two checkpoints → all differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.coworkers import ALONE
from initctl.differences.comparing import compared
from initctl.differences.metadata import changed_metadata
from initctl.differences.pairing import Paired, paired_files, paired_tensors
from initctl.differences.result import Differences
from initctl.reading import TensorReader

if TYPE_CHECKING:
    from initctl.coworkers import Coworkers
    from initctl.events import Progress
    from initctl.formats import Checkpoint, CheckpointFile


def differences(
    a: Checkpoint,
    b: Checkpoint,
    patterns: Sequence[str],
    *,
    threads: int,
    coworkers: Coworkers = ALONE,
    on_event: Callable[[Progress], None] | None = None,
) -> Differences:
    """The differences between `a` and `b`. With `patterns`, only tensors whose names match one of them are compared.
    Each of `coworkers` compares some, and all get all.

    Raises what `selected_names` and `compared` raise.
    """
    tensors = paired_tensors(a, b, patterns)
    files, metadata = (Paired(), ()) if patterns else (paired_files(a, b), changed_metadata(a, b))
    with TensorReader(a, _others(a, files)) as one, TensorReader(b, _others(b, files)) as other:
        pairs = [*tensors.pairs, *files.pairs]
        found = compared(pairs, one, other, threads=threads, coworkers=coworkers, on_event=on_event)
    for checkpoint in (a, b):
        checkpoint.check_unchanged((*checkpoint.files, *_others(checkpoint, files)))
    number = len(tensors.pairs)
    return Differences(a, b, tensors, tuple(found[:number]), files, tuple(found[number:]), metadata)


def _others(checkpoint: Checkpoint, files: Paired) -> Iterator[CheckpointFile]:
    """The other files of a checkpoint that are compared."""
    names = {pair.name for pair in files.pairs}
    return (file for file in (checkpoint.other_files if names else ()) if file.name in names)
