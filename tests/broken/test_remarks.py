"""What is read with a remark, and what only rules make wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.errors import InitctlError
from initctl.formats import read_checkpoint
from tests.broken.distributed_faults import right

if TYPE_CHECKING:
    from pathlib import Path


def test_files_of_chunks_that_metadata_does_not_list_are_warned_of_and_carried(tmp_path: Path):
    folder = right(tmp_path / "model")
    (folder / "__7_0.distcp").write_bytes(b"stray")
    checkpoint = read_checkpoint(folder)
    (warning,) = (problem for problem in checkpoint.warnings if problem.code == "directory.stray")
    assert "also contains __7_0.distcp, not listed in .metadata" in warning.message
    with pytest.warns(initctl.InitctlWarning):
        initctl.apply(folder, tmp_path / "out", rules=["w=ones"])
    assert (tmp_path / "out" / "__7_0.distcp").read_bytes() == b"stray"


def test_a_name_that_two_tensors_have_is_ambiguous(tmp_path: Path):
    torch.save({"a": {"b": torch.zeros(2)}, "a.b": torch.zeros(3)}, tmp_path / "m.pt")
    with pytest.raises(InitctlError) as raised:
        initctl.plan(tmp_path / "m.pt", rules=["a.b=ones"])
    assert raised.value.exit_status == 4
    assert "tensor a.b [2]: ones does not fit: another tensor has the same name" in str(raised.value)
