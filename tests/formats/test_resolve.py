"""The content of a path tells its format; what is none is named for what it is."""

from __future__ import annotations

import io
import os
import pickle
import socket
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch

from initctl.errors import InputError
from initctl.formats import read_checkpoint
from tests.formats.handwritten import INDEX_NAME, TWO_FLOATS, float_file, sharded

if TYPE_CHECKING:
    from pathlib import Path

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 5135149760\n"


def saved_by_torch(*, as_zip: bool) -> bytes:
    stream = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, stream, _use_new_zipfile_serialization=as_zip)
    return stream.getvalue()


def zipped_by_python() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"a")
    return stream.getvalue()


FOREIGN = {
    "Git LFS pointer": (LFS_POINTER, "this is a Git LFS pointer, not the file it stands for", "run git lfs pull"),
    "HTML": (b"<!DOCTYPE html><html>404", "looks like a web page, not a checkpoint", "download the file itself"),
    "HTML after a blank line": (b"\n <HTML>", "looks like a web page, not a checkpoint", "download the file itself"),
    "XML": (b"<?xml version='1.0'?>", "looks like a web page, not a checkpoint", "download the file itself"),
    "GGUF": (
        b"GGUF\x03\x00\x00\x00" + bytes(16),
        "is a GGUF file, which is not supported",
        "convert it to safetensors first",
    ),
    "torch's zip": (saved_by_torch(as_zip=True), "is a zip archive, as torch.save writes it", "convert it"),
    "Python's zip": (zipped_by_python(), "is a zip archive", "convert it"),
    "torch's legacy format": (saved_by_torch(as_zip=False), "is a pickle, as torch.save wrote it", "convert it"),
    **{
        f"pickle protocol {protocol}": (pickle.dumps({"w": 1}, protocol), "is a pickle", "convert it")
        for protocol in (2, 3, 4, 5)
    },
}


@pytest.mark.parametrize(("content", "fault", "hint"), FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("name", ["model.safetensors", "model.bin", INDEX_NAME])
def test_a_file_of_another_kind_is_named_for_what_it_is(
    tmp_path: Path, name: str, content: bytes, fault: str, hint: str
):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    (problem,) = raised.value.problems
    assert problem.code == "file.format"
    assert problem.message.startswith(f"{path}: {fault}")
    assert problem.hint is not None
    assert problem.hint.startswith(hint)


@pytest.mark.parametrize(("content", "fault", "hint"), FOREIGN.values(), ids=FOREIGN.keys())
def test_it_is_named_in_a_directory_and_as_a_shard_too(tmp_path: Path, content: bytes, fault: str, hint: str):
    alone = tmp_path / "alone" / "model.safetensors"
    alone.parent.mkdir()
    alone.write_bytes(content)
    index = sharded(tmp_path / "sharded", {"a.safetensors": ("w",), "b.safetensors": ("v",)})
    (index.parent / "b.safetensors").write_bytes(content)
    for path, culprit in ((alone.parent, alone), (index, index.parent / "b.safetensors")):
        with pytest.raises(InputError) as raised:
            read_checkpoint(path)
        (problem,) = raised.value.problems
        assert problem.message.startswith(f"{culprit}: {fault}")


def test_nothing_in_a_pickle_is_run(tmp_path: Path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it ran"),)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(InputError, match="never run"):
        read_checkpoint(path)
    assert not (tmp_path / "it ran").exists()


def test_a_path_may_be_text_or_a_path_object(tmp_path: Path):
    path = float_file(tmp_path / "m.safetensors", "w")
    assert read_checkpoint(path) == read_checkpoint(str(path))


def test_a_directory_is_told_by_what_it_is_whatever_its_name(tmp_path: Path):
    float_file(tmp_path / "x.safetensors" / "model.safetensors", "w")
    assert read_checkpoint(tmp_path / "x.safetensors").is_directory


@pytest.mark.parametrize("white_space", [b" \n\t", b" " * 8, b"\n" * 2000])
def test_an_index_may_begin_with_white_space(tmp_path: Path, white_space: bytes):
    index = sharded(tmp_path, {"a.safetensors": ("w",)})
    index.write_bytes(white_space + index.read_bytes())
    assert read_checkpoint(index).format == "safetensors-sharded"


def test_a_missing_path_is_an_error(tmp_path: Path):
    for path in (tmp_path / "no.safetensors", tmp_path / "no" / "no.safetensors", ""):
        with pytest.raises(InputError, match="no such file or directory") as raised:
            read_checkpoint(path)
        assert raised.value.problems[0].code == "file.missing"


@pytest.mark.parametrize("path", ["a\0b", "d" * 5000])
def test_a_path_that_the_system_does_not_take_is_an_error(path: str):
    with pytest.raises(InputError, match="cannot be read: ") as raised:
        read_checkpoint(path)
    assert raised.value.problems[0].code == "file.unreadable"


def test_a_file_taken_for_a_directory_is_an_error(tmp_path: Path):
    path = float_file(tmp_path / "m.safetensors", "w")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        read_checkpoint(path / "m.safetensors")


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path):
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="is not a regular file") as raised:
        read_checkpoint(tmp_path / "model.safetensors")
    assert raised.value.problems[0].code == "file.kind"


def test_a_device_and_a_socket_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with pytest.raises(InputError, match="/dev/zero: is not a regular file"):
        read_checkpoint("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(InputError, match="s: cannot be read: "):
            read_checkpoint("s")


def test_a_directory_without_weights_is_an_error(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(InputError, match=r"holds no safetensors\.index\.json and no \.safetensors file") as raised:
        read_checkpoint(tmp_path)
    assert raised.value.problems[0].code == "directory.empty"


def test_a_directory_with_several_files_and_no_index_is_ambiguous(tmp_path: Path):
    for number in range(7):
        float_file(tmp_path / f"{number}.safetensors", "w")
    with pytest.raises(InputError) as raised:
        read_checkpoint(tmp_path)
    (problem,) = raised.value.problems
    listed = "0.safetensors, 1.safetensors, 2.safetensors, 3.safetensors, 4.safetensors and 2 more"
    assert problem.code == "directory.ambiguous"
    assert problem.message == f"{tmp_path}: holds {listed} and no index"
    assert problem.hint == "name one of them, or restore the index"


def test_a_directory_with_several_indexes_is_ambiguous_and_each_can_be_named(tmp_path: Path):
    sharded(tmp_path, {"a.safetensors": ("w",)}).rename(tmp_path / "a.safetensors.index.json")
    sharded(tmp_path, {"b.safetensors": ("v",)})
    with pytest.raises(InputError, match=r"holds several indexes: a\.safetensors\.index\.json, ") as raised:
        read_checkpoint(tmp_path)
    assert raised.value.problems[0].hint == "name one of them"
    assert [spec.name for spec in read_checkpoint(tmp_path / INDEX_NAME).tensors] == ["v"]


def test_no_byte_of_a_tensor_changes_what_a_file_is(tmp_path: Path):
    path = tmp_path / "m"
    path.write_bytes(TWO_FLOATS[:-8] + b"GGUF<!do")
    assert read_checkpoint(path).format == "safetensors"
