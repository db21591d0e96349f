"""The document of a plan: the content of its file, and the digests in it, which identify a checkpoint's table, or just
its tensors.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from initctl.errors import ConflictError, InputError, Problem, UsageError, shown
from initctl.formats.opening import Malformed, read_small, refusing, status_at
from initctl.formats.strict_json import parse_object
from initctl.schemas import PLAN

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec

SCHEMA = f"{PLAN}1"
_DIGEST = "digest"
LONGEST = 100_000_000
"""Bytes of a document."""


def signed(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with a digest of its content, so that an altered plan is refused."""
    content = {key: value for key, value in document.items() if key != _DIGEST}
    return {**content, _DIGEST: _digest(content)}


def read_document(path: str) -> dict[str, Any]:
    """The document in the file at `path`, as it was saved. Raises `InputError`."""
    fault, hint = "is not a saved plan", "save one with initctl plan --save"
    with refusing(path, "plan", fault, hint):
        document = parse_object(read_small(path, LONGEST), allow_surrogates=True)
    if "predicateType" in document:
        malformed(shown(path), f"{fault}: it is a report", "a report is for initctl verify --report")
    if document.get("schema") != SCHEMA:
        malformed(shown(path), f"{fault}: its schema is not {SCHEMA}", hint)
    if document.get(_DIGEST) != signed(document)[_DIGEST]:
        malformed(shown(path), "was changed after it was saved: its digest differs", "plan again")
    for key in ("checkpoint", "root", "component", "table", "tensors"):
        if not isinstance(document.get(key), str):
            malformed(shown(path), f"is damaged: {key} is not a string", "plan again")
    return document


def check_replaceable(path: str) -> None:
    """Raise `ConflictError` if the file at `path` is not empty and not a plan of any version."""
    status = status_at(path)
    if status and stat.S_ISREG(status.st_mode) and status.st_size and not _is_plan(path):
        message = f"{shown(path)}: exists and is not a saved plan"
        raise ConflictError(Problem("output.not_plan", message, "name another file, or replace it with --force"))


def _is_plan(path: str) -> bool:
    """Whether the file at `path` holds a plan of any version; false if it cannot be read."""
    with suppress(InputError, Malformed):
        return str(parse_object(read_small(path, LONGEST), allow_surrogates=True).get("schema")).startswith(PLAN)
    return False


def malformed(name: str, fault: str, hint: str | None = None) -> NoReturn:
    """Raise the `InputError` for the plan that messages call `name`."""
    raise InputError(Problem("plan.malformed", f"{name}: {fault}", hint))


def table_digest(checkpoint: Checkpoint) -> str:
    """Digest of a checkpoint's tensors and of the places of their bytes, as the files are now. A single file may be
    renamed.
    """
    checkpoint = checkpoint.as_read
    named = checkpoint.is_directory

    def rows(tensors: Iterable[TensorSpec]) -> list[Any]:
        return [
            [
                *(tensor.name, tensor.dtype.name, tensor.shape, tensor.tied, tensor.aliases),
                [(b.file if named else "", b.offset, b.start, b.shape, b.strides) for b in tensor.blocks],
            ]
            for tensor in tensors
        ]

    tensors = [rows(tensors) for tensors in (checkpoint.tensors, checkpoint.outside, checkpoint.unlisted)]
    return _digest([checkpoint.format, checkpoint.root, [file.size for file in checkpoint.files], *tensors])


def tensors_digest(checkpoint: Checkpoint) -> str:
    """Digest of tensor names, dtypes and new shapes, in any files."""
    rows = sorted(
        (name, tensor.dtype.name, tensor.shape)
        for tensor in checkpoint.tensors
        for name in (tensor.name, *tensor.aliases)
    )
    return _digest(rows)


def read_alike(
    read: Callable[[str | None], Checkpoint], root: str, digest_of: Callable[[Checkpoint], object], wanted: object
) -> Checkpoint | None:
    """The checkpoint that `read` returns, if `digest_of` it is the `wanted` one.

    Tries `root`, then "" because a conversion drops the root. If `root` is "", tries the default root first.
    """
    for place in (root, "") if root else (None, ""):
        with suppress(UsageError):  # nothing is there
            if digest_of(found := read(place)) == wanted:
                return found
    return None


def _digest(content: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """The digest of `content` as JSON; the order of keys does not matter."""
    from hashlib import blake2b

    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
