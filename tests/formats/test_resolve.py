"""The content of a path tells its format; what is none is named for what it is."""

from __future__ import annotations

import io
import os
import pickle
import socket
import tarfile
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


def saved_by_torch(value: object, *, as_zip: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=as_zip)
    return stream.getvalue()


def zipped(name: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(name, b"content")
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return stream.getvalue()


WEB_PAGE = ("file.format", "looks like a web page, not a checkpoint", "download the file itself")
NOT_TORCHS = "is a pickle that torch.save did not write"
SAVE_ANEW = "loading it can run any code; if you trust it, load it and save a state_dict() with torch.save"

OTHER_ZIP = (
    "torch.malformed",
    "is a zip archive that torch.save did not write",
    "save a model's state_dict() with torch.save",
)
FOREIGN = {
    "Git LFS pointer": (
        LFS_POINTER,
        ("file.format", "is a Git LFS pointer, not the file itself", "run git lfs pull"),
    ),
    "HTML": (b"<!DOCTYPE html><html>404", WEB_PAGE),
    "HTML after a blank line": (b"\n <HTML>", WEB_PAGE),
    "XML": (b"<?xml version='1.0'?>", WEB_PAGE),
    "GGUF": (
        b"GGUF\x03\x00\x00\x00" + bytes(16),
        ("file.format", "is a GGUF file, which is not supported", "convert it to safetensors first"),
    ),
    "tar": (
        tarred(),
        (
            "file.format",
            "is a tar archive of torch.save before 0.1.12, which is not supported",
            "load it with an old torch and save it again",
        ),
    ),
    "zip of a folder": (zipped("model/weights.dat"), OTHER_ZIP),
    "zip without a folder": (zipped("w.dat"), OTHER_ZIP),
    "compressed zip": (
        zipped("model/data.pkl", zipfile.ZIP_DEFLATED),
        (
            "torch.malformed",
            "model/data.pkl: is compressed, which torch.save never does",
            "load it and save it with torch.save",
        ),
    ),
    **{
        f"pickle protocol {protocol}": (pickle.dumps({"w": 1}, protocol), ("torch.malformed", NOT_TORCHS, SAVE_ANEW))
        for protocol in (2, 3, 4, 5)
    },
}
"""What a file holds, and the code, the fault and the hint with which it is refused."""

foreign = pytest.mark.parametrize(("content", "refusal"), FOREIGN.values(), ids=FOREIGN.keys())
both_formats = pytest.mark.parametrize(("as_zip", "name"), [(True, "torch"), (False, "torch-legacy")])


def refused(path: Path, culprit: Path) -> tuple[str, str, str | None]:
    """The code, the fault and the hint with which `path` is refused: the message names `culprit` first."""
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    (problem,) = raised.value.problems
    assert problem.message.startswith(f"{culprit}: ")
    return problem.code, problem.message.removeprefix(f"{culprit}: "), problem.hint


@foreign
@pytest.mark.parametrize("name", ["model.safetensors", "model.bin", INDEX_NAME])
def test_a_file_of_another_kind_is_refused_for_what_it_is_whatever_its_name(
    tmp_path: Path, name: str, content: bytes, refusal: tuple[str, str, str | None]
):
    path = tmp_path / name
    path.write_bytes(content)
    assert refused(path, path) == refusal


@foreign
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_it_is_refused_in_a_directory_too(
    tmp_path: Path, name: str, content: bytes, refusal: tuple[str, str, str | None]
):
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path, tmp_path / name) == refusal


@foreign
def test_it_is_refused_as_a_shard_too(tmp_path: Path, content: bytes, refusal: tuple[str, str, str | None]):
    index = sharded(tmp_path, {"a.safetensors": ("w",), "b.safetensors": ("v",)})
    (tmp_path / "b.safetensors").write_bytes(content)
    assert refused(index, tmp_path / "b.safetensors") == refusal


@both_formats
@pytest.mark.parametrize("file", ["model.safetensors", "model.bin", INDEX_NAME, "model"])
def test_a_file_of_torch_save_is_read_whatever_its_name(tmp_path: Path, file: str, as_zip: bool, name: str):
    path = tmp_path / file
    path.write_bytes(saved_by_torch({"w": torch.zeros(2)}, as_zip=as_zip))
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == name
    assert [spec.name for spec in checkpoint.tensors] == ["w"]


@both_formats
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_of_torch_save_is_told_by_its_content_in_a_directory_too(
    tmp_path: Path,
    file: str,
    as_zip: bool,
    name: str,
):
    (tmp_path / file).write_bytes(saved_by_torch({"w": torch.zeros(2)}, as_zip=as_zip))
    checkpoint = read_checkpoint(tmp_path)
    assert (checkpoint.format, checkpoint.is_directory) == (name, True)
    assert [spec.name for spec in checkpoint.tensors] == ["w"]


@both_formats
def test_shards_of_two_formats_are_refused(tmp_path: Path, as_zip: bool, name: str):
    index = sharded(tmp_path, {"a.safetensors": ("w",), "b.safetensors": ("v",)})
    (tmp_path / "b.safetensors").write_bytes(saved_by_torch({"v": torch.zeros(2)}, as_zip=as_zip))
    code, fault, _ = refused(index, index)
    assert (code, fault) == ("index.mixed", f"its shards have different formats: safetensors, {name}")


def test_an_index_of_safetensors_names_no_other_file(tmp_path: Path):
    """Whatever lies there: readers of such an index would not take it."""
    index = sharded(tmp_path, {"a.safetensors": ("w",), "b.bin": ("v",)})
    assert refused(index, index) == ("index.malformed", "b.bin: is not a .safetensors file", None)


class Payload:
    """Makes a folder at `path` when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nothing_in_a_pickle_is_run(tmp_path: Path, protocol: int):
    content = pickle.dumps(Payload(tmp_path / "it ran"), protocol)
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert refused(path, path) == ("torch.malformed", NOT_TORCHS, SAVE_ANEW)
    assert not (tmp_path / "it ran").exists()
    pickle.loads(content)
    assert (tmp_path / "it ran").exists()


@both_formats
def test_nothing_in_a_file_of_torch_save_is_run_and_it_is_warned_about(tmp_path: Path, as_zip: bool, name: str):
    path = tmp_path / "model.pt"
    path.write_bytes(saved_by_torch({"w": torch.zeros(2), "x": Payload(tmp_path / "it ran")}, as_zip=as_zip))
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == name
    assert [spec.name for spec in checkpoint.tensors] == ["w"]
    assert not (tmp_path / "it ran").exists()
    (warning,) = checkpoint.warnings
    assert warning.code == "torch.runs_code"
    assert f"{os.mkdir.__module__}.mkdir" in warning.message
    torch.load(path, weights_only=False)
    assert (tmp_path / "it ran").exists()


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


@pytest.mark.parametrize("name", ["model.safetensors", "model"])
def test_a_link_to_a_missing_file_is_named_as_a_link(tmp_path: Path, name: str):
    (tmp_path / name).symlink_to("objects/123")
    with pytest.raises(InputError) as raised:
        read_checkpoint(tmp_path / name)
    (problem,) = raised.value.problems
    fault = f"{tmp_path / name}: is a link to a file that does not exist: {tmp_path}/objects/123"
    assert (problem.code, problem.message) == ("file.missing", fault)


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
    (tmp_path / "notes.txt").write_text("{}")
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(InputError, match="contains no ") as raised:
        read_checkpoint(tmp_path)
    kinds = "no .safetensors or .bin"
    assert raised.value.problems[0].message == f"{tmp_path}: contains {kinds} file, and no index of such files"
    assert raised.value.problems[0].code == "directory.empty"


def test_a_directory_with_several_files_and_no_index_is_ambiguous(tmp_path: Path):
    for number in range(7):
        float_file(tmp_path / f"{number}.safetensors", "w")
    with pytest.raises(InputError) as raised:
        read_checkpoint(tmp_path)
    (problem,) = raised.value.problems
    listed = "0.safetensors, 1.safetensors, 2.safetensors, 3.safetensors, 4.safetensors and 2 more"
    assert problem.code == "directory.ambiguous"
    assert problem.message == f"{tmp_path}: contains {listed} but no index"
    assert problem.hint == "name one of them, or restore the index"


def test_of_several_files_of_torch_without_an_index_none_is_read(tmp_path: Path):
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(b"PK\3\4 not an archive")
    with pytest.raises(InputError, match=r"contains a\.bin, b\.bin but no index"):
        read_checkpoint(tmp_path)


def test_a_directory_with_several_indexes_is_ambiguous_and_each_can_be_named(tmp_path: Path):
    sharded(tmp_path, {"a.safetensors": ("w",)}).rename(tmp_path / "a.safetensors.index.json")
    sharded(tmp_path, {"b.safetensors": ("v",)})
    with pytest.raises(InputError, match=r"contains several indexes: a\.safetensors\.index\.json, ") as raised:
        read_checkpoint(tmp_path)
    assert raised.value.problems[0].hint == "name one of them"
    assert [spec.name for spec in read_checkpoint(tmp_path / INDEX_NAME).tensors] == ["v"]


def test_no_byte_of_a_tensor_changes_what_a_file_is(tmp_path: Path):
    path = tmp_path / "m"
    path.write_bytes(TWO_FLOATS[:-8] + b"GGUF<!do")
    assert read_checkpoint(path).format == "safetensors"
