"""Checkpoints that several processes wrote: they take seconds, and are written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from safetensors.torch import save_file

from tests.formats.ranks import Net, saved_by_ranks, whole

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints: of each format, from each number of ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    saved_by_ranks(folder)
    return folder


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A safetensors file of the whole model."""
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in {**Net().state_dict(), **whole()}.items()}, path)
    return path
