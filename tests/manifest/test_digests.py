"""Digests of tensors are those of `stats --digest`, however the bytes are laid out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.errors import ConflictError
from initctl.manifest.digests import Hashers, file_digests, tensor_digests
from tests.execution.checkpoints import raw_bytes

if TYPE_CHECKING:
    from pathlib import Path

DIGEST_OF_NOTHING = hashlib.sha256(b"").hexdigest()


def test_they_are_of_the_bytes_in_row_major_order_in_every_layout(tmp_path: Path):
    tied = torch.randn(9, 7, dtype=torch.bfloat16)
    tensors = {
        "large": torch.randn(2048, 1100),
        "transposed": torch.randn(1100, 2048).T,
        "scattered": torch.randn(3000, 1200)[::2, 100:1100],
        "one": tied,
        "other": tied,
        "scalar": torch.tensor(3.0),
        "complex": torch.randn(5, dtype=torch.complex64),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 4),
    }
    torch.save(tensors, tmp_path / "m.pt")
    checkpoint = initctl.inspect(tmp_path / "m.pt")
    found = tensor_digests(checkpoint, checkpoint.tensors, Hashers(2))
    assert found == {name: hashlib.sha256(raw_bytes(tensor)).hexdigest() for name, tensor in tensors.items()}
    assert found == {of.tensor.name: of.digest for of in initctl.stats(tmp_path / "m.pt", digest=True).tensors}
    assert found["empty"] == DIGEST_OF_NOTHING


def test_progress_ends_at_the_total_and_what_cannot_be_read_counts_nothing(tmp_path: Path):
    tensors = {"w": torch.randn(2000, 1500), "b": torch.ones(8), "sparse": torch.eye(4).to_sparse()}
    torch.save(tensors, tmp_path / "m.pt")
    checkpoint, events = initctl.inspect(tmp_path / "m.pt"), []
    assert tensor_digests(checkpoint, checkpoint.tensors, Hashers(1, on_event=events.append))["sparse"] is None
    assert (events[-1].done, events[-1].total) == (12_000_032, 12_000_032)


def test_a_file_that_changes_is_a_conflict(tmp_path: Path):
    save_file({"w": torch.ones(3)}, tmp_path / "m.safetensors")
    checkpoint = initctl.inspect(tmp_path / "m.safetensors")
    save_file({"w": torch.zeros(4)}, tmp_path / "m.safetensors")
    with pytest.raises(ConflictError):
        tensor_digests(checkpoint, checkpoint.tensors, Hashers(1))
    with pytest.raises(ConflictError):
        file_digests(checkpoint, checkpoint.files, Hashers(1))
