"""A loss of power at any moment of a play, checked against what must be true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import initctl
from tests.protocol.disk import Event, Flushed, Image, Recording, final, images, journals, record, without_traces
from tests.protocol.scenarios import Stage, Tree, traces, tree


class Losses(NamedTuple):
    """How many images of the disk were looked at, and what was wrong with some."""

    images: int
    faults: list[str]


def content_of(tree: Tree) -> Image:
    """The files of a tree, without their permissions."""
    return {
        name: entry.content if isinstance(entry.content, bytes) else entry.content.encode()
        for name, entry in tree.items()
        if entry.content is not None
    }


def recorded(stage: Stage) -> Recording:
    """What a play of `stage` does to the disk."""
    stage.begin()
    recording = record(stage.folder, stage.play)
    assert without_traces(final(recording)) == content_of(stage.new), "the recording does not give the result"
    return recording


def losses(stage: Stage, recording: Recording, events: Sequence[Event] | None = None, *, is_weak: bool) -> Losses:
    """Lose the power after each of `events`, by default all that are recorded, and look at all that may be left."""
    events = recording.events if events is None else events
    count, faults = 0, []
    for number in range(len(events) + 1):
        for image in images(recording, events[:number], is_weak=is_weak, seed=number):
            count += 1
            if fault := _fault(stage, recording, image, is_done=number == len(events)):
                faults.append(f"after {number} of {len(events)} events: {fault}")
                break
    return Losses(count, faults)


def _fault(stage: Stage, recording: Recording, image: Image, *, is_done: bool) -> str | None:
    found, old, new = without_traces(image), content_of(stage.old), content_of(stage.new)
    if stage.scenario.is_patch and (there := journals(image)):
        if is_done:
            return "the journal of a patch that was done is back"
        if there != [recording.journal()]:
            return "the journal is not whole"
        return None if completed(stage, image) == new else "it cannot be completed"
    if is_done:
        return None if found == new else "the result of a run that was done is lost"
    return None if found in (old, *map(content_of, stage.in_place)) else "neither the old nor the new"


def completed(stage: Stage, image: Image) -> Image | str:
    """What `apply --resume` makes of an image of the disk."""
    stage.begin()
    for path, content in image.items():
        (stage.folder / path).write_bytes(content)
    try:
        initctl.apply(stage.folder / stage.checkpoint, in_place="resume", threads=1)
    except initctl.InitctlError as error:
        return str(error)
    return {} if traces(stage.folder) else content_of(tree(stage.folder))


def flushes(recording: Recording) -> Iterator[tuple[int, Flushed]]:
    """The numbers and the flushes among the events."""
    return ((n, event) for n, event in enumerate(recording.events) if isinstance(event, Flushed))
