"""The job of a result: among files, or in a store."""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from initctl.errors import Problem, UsageError, shown
from initctl.stores.places import place_of
from initctl.stores.store import History

if TYPE_CHECKING:
    from initctl.distributed.job import Job
    from initctl.execution.content import Draft
    from initctl.execution.destination import Destination
    from initctl.execution.writer import Writer
    from initctl.planning import Plan


def job_of(writer: Writer, draft: Draft, place: Destination) -> Job:
    """The job whose result is `draft` at `place`, among files or in a store."""
    digest = _digest(writer.plan, draft, place)
    if there := place_of(place.path):
        if isinstance(there.store, History):
            fault = f"{shown(place.path)}: is changed by one commit, which one process makes"
            raise UsageError(Problem("usage.parts", fault, "use one process"))
        from initctl.distributed.uploaded_job import UploadedJob

        return UploadedJob.of(writer, draft, place, digest)
    from initctl.distributed.staged_job import StagedJob

    return StagedJob.of(writer, draft, place, digest)


def _digest(plan: Plan, draft: Draft, place: Destination) -> str:
    """The digest of what is done to which tensors, and of the files that are written. The paths of the checkpoint and
    of recipes may differ from machine to machine.
    """
    document = {key: value for key, value in plan.to_document().items() if key not in ("checkpoint", "digest")}
    document["actions"] = [{**action, "source": None} for action in document["actions"]]
    files = {name: content.layout.size for name, content in draft.contents.items()}
    content = [document, os.path.basename(place.path), place.is_directory, files]
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=10).hexdigest()
