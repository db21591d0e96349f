"""The file of a manifest → its document. Everything that is used of it is validated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from initctl.formats.opening import Malformed, read_small, refusing
from initctl.formats.strict_json import parse_object
from initctl.manifest.attested import Attested
from initctl.manifest.statement import LONGEST, PREDICATE_TYPE, STATEMENT_TYPE, Manifest
from initctl.schemas import PLAN
from initctl.tensors import are_sizes

_SHA256 = re.compile("[0-9a-f]{64}")


def read_manifest(path: str) -> Manifest:
    """The manifest in the file at `path`. Raises `InputError`."""
    document = _document(path, _unless_change)
    with refusing(path, "report"):
        _check(document)
    return Manifest(partial(_document, path), Attested.by(document), path=path)


def _document(path: str, made: Callable[[dict[str, Any]], Any] | None = None) -> dict[str, Any]:
    with refusing(path, "report", "is not an initctl report", "write one with initctl apply --report"):
        document = parse_object(read_small(path, LONGEST), made, allow_surrogates=True)
        if (document.get("_type"), document.get("predicateType")) != (STATEMENT_TYPE, PREDICATE_TYPE):
            if str(document.get("schema")).startswith(PLAN):
                raise Malformed("it is a saved plan", "pass the plan with --plan")
            raise Malformed("its _type or predicateType is wrong")
    return document


def _unless_change(found: dict[str, Any]) -> dict[str, Any] | None:
    """Drop changes: they are most of a manifest, and nothing is compared with them."""
    return None if "before" in found else found


def _check(document: dict[str, Any]) -> None:
    """Raise `Malformed` if a value that a checkpoint is compared with is missing or has the wrong type."""
    predicate = _field(document, "predicate", dict)
    plan = _field(predicate, "plan", dict)
    for place, key in ((plan, "root"), (plan, "component"), (_field(predicate, "output", dict), "format")):
        _field(place, key, str)
    subjects, tensors = _field(document, "subject", list), _field(predicate, "tensors", list)
    for subject in subjects:
        _check_digest(_field(subject, "digest", dict))
    for tensor in tensors:
        _field(tensor, "dtype", str)
        if not are_sizes(_field(tensor, "shape", list)):
            raise Malformed("is damaged: a shape is not a list of sizes")
        if tensor.get("digest", {}) is not None:
            _check_digest(_field(tensor, "digest", dict))
    _check_names(subjects)
    _check_names(tensors)


def _field(place: Any, key: str, kind: type) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The value of `key` in `place`. Raises `Malformed` unless it is of that `kind`."""
    if not isinstance(place, dict) or not isinstance(found := place.get(key), kind):
        raise Malformed(f"is damaged: {key} is missing or has the wrong type")
    return found


def _check_digest(digest: dict[str, Any]) -> None:
    if not _SHA256.fullmatch(_field(digest, "sha256", str)):
        raise Malformed("is damaged: a sha256 is not 64 hexadecimal digits")


def _check_names(entries: Iterable[dict[str, Any]]) -> None:
    names = [_field(entry, "name", str) for entry in entries]
    if len(set(names)) < len(names):
        raise Malformed("is damaged: a name occurs twice")
