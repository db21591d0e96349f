"""The part of a manifest that a checkpoint is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self


class AttestedTensor(NamedTuple):
    """A tensor, and the SHA-256 of its bytes in row-major order, unless its elements are not stored as such."""

    dtype: str
    shape: tuple[int, ...]
    digest: str | None

    @classmethod
    def by(cls, said: Mapping[str, Any]) -> Self:
        """From a tensor's row in a manifest."""
        return cls(said["dtype"], tuple(said["shape"]), said["digest"] and said["digest"]["sha256"])

    def to_json(self, name: str) -> dict[str, Any]:
        """The row of a tensor called `name`."""
        return {"name": name, "dtype": self.dtype, "shape": list(self.shape), "digest": sha256(self.digest)}


class Attested(NamedTuple):
    """The SHA-256 of each of the `files`, and the `tensors`, both by name; the `format`; and the `root` of the state
    dict in the folder `component`.
    """

    files: Mapping[str, str]
    tensors: Mapping[str, AttestedTensor]
    format: str
    root: str
    component: str

    @classmethod
    def by(cls, document: Mapping[str, Any]) -> Self:
        """From the `document` of a manifest."""
        said = document["predicate"]
        return cls(
            {subject["name"]: subject["digest"]["sha256"] for subject in document["subject"]},
            {tensor["name"]: AttestedTensor.by(tensor) for tensor in said["tensors"]},
            said["output"]["format"],
            said["plan"]["root"],
            said["plan"]["component"],
        )


def sha256(digest: str | None) -> dict[str, str] | None:
    """A `digest` as it is written in a manifest."""
    return {"sha256": digest} if digest else None
