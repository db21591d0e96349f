"""Every bad input is refused in one line that names it; every strange one is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from safetensors import safe_open

from initctl.errors import InputError, shown
from initctl.formats import read_checkpoint
from tests.broken.case import LONGEST
from tests.broken.corpus import FAULTS, ODDITIES, Fault, Oddity, name_of
from tests.hostile import is_safe

if TYPE_CHECKING:
    from pathlib import Path


def test_no_name_stands_for_two_cases():
    names = [case.name for case in (*FAULTS, *ODDITIES)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_a_bad_input_is_refused_in_one_line_that_names_it(fault: Fault, tmp_path: Path):
    path = fault.write(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    (problem,) = raised.value.problems
    assert raised.value.exit_status == fault.exit_status
    assert problem.code == fault.code
    message = str(problem)
    assert fault.words in message
    assert message.startswith(shown(tmp_path))
    assert shown(path.name) in message or path.is_dir() or path.name.endswith(".index.json")
    assert message.isprintable()
    assert is_safe(message)
    assert len(message.replace(shown(path), "").replace(shown(tmp_path), "")) <= LONGEST
    assert tree(tmp_path) == before


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.name.startswith("I")], ids=name_of)
def test_the_directory_of_a_bad_index_is_refused_too(fault: Fault, tmp_path: Path):
    path = fault.write(tmp_path)
    with pytest.raises(InputError) as raised:
        read_checkpoint(path if path.is_dir() else path.parent)
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].code in (fault.code, "directory.empty", "directory.escape")


@pytest.mark.parametrize("oddity", ODDITIES, ids=name_of)
def test_a_strange_input_is_read(oddity: Oddity, tmp_path: Path):
    path = oddity.write(tmp_path)
    checkpoint = read_checkpoint(path)
    assert len(checkpoint.tensors) == oddity.tensors
    for file in checkpoint.files:
        tensors = [tensor for tensor in checkpoint.tensors if tensor.files[0] == file.name]
        with safe_open(os.path.join(checkpoint.directory, file.name), framework="numpy") as library:
            assert set(library.keys()) == {tensor.name for tensor in tensors}
        assert all(tensor.blocks[0].offset + tensor.nbytes <= file.size for tensor in tensors)


def tree(folder: Path) -> list[tuple[str, int, int]]:
    """What lies below `folder`: names, sizes, times."""
    entries = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(str(path), status.st_size, status.st_mtime_ns) for path, status in entries]
