"""One module says which format a file is in, and imports no other reader than that one's."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from initctl.errors import UsageError
from initctl.formats.file_formats import FileFormat, each_once, format_of, is_index, nearest

W = {"w": torch.zeros(2)}


def saved(**options):
    stream = io.BytesIO()
    torch.save(W, stream, **options)
    return stream.getvalue()


def npz():
    stream = io.BytesIO()
    np.savez(stream, **{"params/w": np.zeros(2)})
    return stream.getvalue()


CONTENTS = {
    "safetensors": (save(W), "safetensors"),
    "torch.save": (saved(), "torch"),
    "torch.save of old": (saved(_use_new_zipfile_serialization=False), "torch"),
    "NumPy's archive": (npz(), None),
    "JSON": (b' {"weight_map": {}}', None),
    "text": (b"hello", None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_first_bytes_of_a_file_tell_its_format(kind):
    content, name = CONTENTS[kind]
    found = format_of(content[:4096])
    assert (found.name if found else None) == name
    assert is_index(content) == (kind == "JSON")


def test_what_is_in_no_format_is_named_by_the_reader_that_knows_most_of_it():
    assert nearest(npz()).name == "torch"
    assert nearest(b"hello").name == "safetensors"


def test_a_name_is_given_once():
    one = FileFormat("toy", bool, lambda path, name: pytest.fail(path + name))
    assert each_once([one, one]) == (one,)
    with pytest.raises(UsageError, match="format toy: the name is already taken"):
        each_once([one, FileFormat("toy", bool, one.read)])


@pytest.mark.parametrize("name", ["safetensors-slices", "torch-legacy", "torch-distributed"])
def test_no_plugin_takes_the_name_of_a_format_that_checkpoints_have(name: str):
    with pytest.raises(UsageError, match="the name is already taken"):
        each_once([FileFormat(name, bool, lambda path, name: pytest.fail(path + name))])


@pytest.mark.parametrize(
    ("name", "unneeded"),
    [
        ("w.safetensors", ("torch_save", "distributed", "mistaken", "directories.directory", "directories.index")),
        ("w.pt", ("safetensors", "distributed", "directories.directory", "directories.index")),
    ],
)
def test_reading_a_file_imports_no_reader_of_anything_else(tmp_path, name, unneeded):
    save_file(W, tmp_path / "w.safetensors")
    torch.save(W, tmp_path / "w.pt")
    code = f"import initctl, sys; initctl.inspect({str(tmp_path / name)!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {module for module in done.stdout.split() if module.startswith("initctl.formats.")}
    light = {f"initctl.formats.{module}" for module in ("torch_save", "torch_save.malformed")}
    beginnings = tuple(f"initctl.formats.{module}" for module in unneeded)
    assert {module for module in loaded - light if module.startswith(beginnings)} == set()
