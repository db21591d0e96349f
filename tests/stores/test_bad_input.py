"""A bad checkpoint in a store is refused as the same files are, and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initctl.cli.main import run
from tests.broken import distributed_faults, header_faults, index_faults, tensor_faults, torch_faults
from tests.hostile import is_safe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broken.case import Fault

SLOW = ("on-the-same-bytes", "large-dims", "too-many-chunks", "characters", "characters-twice")
"""Ends of names of cases that take long."""
COMMANDS = (
    ("inspect", "BAD"),
    ("apply", "BAD", "-o", "out", "-r", "*=ones"),
    ("stats", "BAD"),
    ("apply", "BAD", "-o", "s3://bucket/out", "-r", "*=ones"),
)


def of_each_row() -> list[Fault]:
    """The first case of each row that regular files make; a store has no others."""
    modules = header_faults, tensor_faults, index_faults, distributed_faults, torch_faults
    faults = [fault for module in modules for fault in module.FAULTS if not fault.name.endswith(SLOW)]
    found: dict[str, Fault] = {}
    for fault in faults:
        if not {"link", "pipe", "directory"} & {*fault.name.split("-")}:
            found.setdefault(fault.name.partition("-")[0], fault)
    return list(found.values())


@pytest.mark.parametrize(
    ("number", "fault"), list(enumerate(of_each_row())), ids=lambda value: getattr(value, "name", "")
)
def test_a_command_refuses_it_and_writes_nothing(
    number: int, fault: Fault, tmp_path: Path, put, bucket, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    bad = fault.write(tmp_path / "in")
    url = "/".join([put(tmp_path / "in", "in"), *bad.relative_to(tmp_path / "in").parts])
    stored, command = bucket.objects(), COMMANDS[number % len(COMMANDS)]
    status = run([word.replace("BAD", url) for word in command])
    out, err = capsys.readouterr()
    assert (status, out) == (fault.exit_status, ""), err
    line, *see = err.splitlines()
    assert line.startswith("initctl: error: s3://bucket/in")
    assert fault.words in line
    assert all(text.startswith("see: initctl help ") for text in see)
    assert is_safe(err)
    assert bucket.objects() == stored
    assert not (tmp_path / "out").exists()
