"""What people name by mistake is said to be what it is, and what to do comes after it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from initctl.errors import InputError
from initctl.formats import read_checkpoint
from tests.formats.handwritten import INDEX_NAME, TWO_FLOATS, float_file, sharded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = "name a file or a directory of weights, such as model.safetensors"
CONVERT = "convert it to safetensors first"
OF_CONFIG = "name the weights, or make new ones with initctl new --config CONFIG -o OUT"
OTHER_PICKLE = "loading it can run any code; if you trust it, load it and save a state_dict() with torch.save"
AGAIN = "check the name and your access, then download it again"
IMAGE = "is an image, not a checkpoint"
ONNX = "is an ONNX model, which is not supported"
MSGPACK = "is a msgpack file of Flax, which is not supported"


def of(*values: object) -> bytes:
    return b"".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def written_by(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def tar(*names: str, kind: int = tarfile.GNU_FORMAT) -> bytes:
    def write(stream: io.BytesIO) -> None:
        with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = 0 if name == "./" else 2000
                member.type = tarfile.DIRTYPE if name == "./" else tarfile.REGTYPE
                archive.addfile(member, io.BytesIO(bytes(2000)))

    return written_by(write)


def zipped(*names: str) -> bytes:
    def write(stream: io.BytesIO) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, b"content")

    return written_by(write)


def exported() -> bytes:
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),))
    return written_by(lambda stream: torch.export.save(program, stream))


def server(text: str) -> tuple[str, str]:
    return f"is a server's error message, not the file: {text}", AGAIN


BINARY: dict[str, tuple[bytes, str, str]] = {
    "HDF5": (
        b"\x89HDF\r\n\x1a\n" + bytes(600),
        "is an HDF5 file of Keras or h5py, which is not supported",
        CONVERT,
    ),
    "NumPy": (
        written_by(lambda stream: np.save(stream, np.zeros(3))),
        "is a NumPy array (.npy), which is not supported",
        "convert it: safetensors.numpy.save_file({'weight': array}, FILE)",
    ),
    "ONNX of torch": (b"\x08\x07\x12\x07pytorch\x1a\x051.2.3:" + bytes(100), ONNX, CONVERT),
    "ONNX of sklearn": (b"\x08\x09\x12\x07skl2onnx" + bytes(100), ONNX, CONVERT),
    "ONNX without a producer": (b"\x08\x08:\x9a\x02\n\x0c" + bytes(100), ONNX, CONVERT),
    "Core ML": (
        b"\x08\x01\x12\xa5\x01\n\x10\n\x05image" + bytes(100),
        "is a Core ML model or a TensorFlow SavedModel, which is not supported",
        CONVERT,
    ),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + bytes(100), "is a TensorFlow Lite model, which is not supported", CONVERT),
    "msgpack": (b"\x81\xa6params\x82\xa5Dense" + bytes(100), MSGPACK, CONVERT),
    "msgpack with many keys": (b"\xde\0\x20\xa3cls" + bytes(100), MSGPACK, CONVERT),
    "msgpack with a long key": (b"\x82\xd9\x28" + b"k" * 40 + bytes(100), MSGPACK, CONVERT),
    "GGUF": (b"GGUF\x03\0\0\0" + bytes(16), "is a GGUF file, which is not supported", CONVERT),
    "GGML": (b"lmgg" + bytes(40), "is a GGML file of llama.cpp before GGUF, which is not supported", CONVERT),
    "GGJT": (b"tjgg\3\0\0\0" + bytes(40), "is a GGML file of llama.cpp before GGUF, which is not supported", CONVERT),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform" + bytes(90), "is a MATLAB file, which is not supported", CONVERT),
    "gzip": (
        gzip.compress(bytes(99)),
        "is compressed with gzip",
        "decompress it first: gunzip, or tar xzf for a .tar.gz",
    ),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(99), "is compressed with zstd", "decompress it first: unzstd"),
    "xz": (lzma.compress(bytes(99)), "is compressed with xz", "decompress it first: unxz"),
    "bzip2": (bz2.compress(bytes(99)), "is compressed with bzip2", "decompress it first: bunzip2"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(99), "is compressed with lz4", "decompress it first: unlz4"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(99), "is a 7z archive", "extract it: 7z x"),
    "RAR": (b"Rar!\x1a\x07\1\0" + bytes(99), "is a RAR archive", "extract it: unrar x"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(99), IMAGE, WEIGHTS),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(99), IMAGE, WEIGHTS),
    "WebP": (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(99), IMAGE, WEIGHTS),
    "BMP": (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0" + bytes(99), IMAGE, WEIGHTS),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF document, not a checkpoint", WEIGHTS),
    "NeMo": (
        tar("./model_weights.ckpt"),
        "is a tar archive of NeMo (.nemo)",
        "extract it and name model_weights.ckpt",
    ),
    "NeMo, as NeMo packs": (
        tar("./", "./model_config.yaml", "./0a_tokenizer.model", "./model_weights.ckpt"),
        "is a tar archive of NeMo (.nemo)",
        "extract it and name model_weights.ckpt",
    ),
    "tar of a model": (
        tar("model/config.json", "model/model.safetensors", kind=tarfile.USTAR_FORMAT),
        "is a tar archive",
        "extract it and name model/model.safetensors",
    ),
    "tar of something": (
        tar("notes.txt", kind=tarfile.PAX_FORMAT),
        "is a tar archive",
        "extract it and name the checkpoint in it",
    ),
    "torch's old tar": (
        tar("sys_info", "pickle", "storages"),
        "is a tar archive of torch.save before 0.1.12, which is not supported",
        "load it with an old torch and save it again",
    ),
}  # fmt: skip
TEXT: dict[str, tuple[bytes, str, str]] = {
    "entry": (b"Entry not found", *server("Entry not found")),
    "repository": (b"Repository Not Found for url\n", *server("Repository Not Found for url")),
    "GitHub": (b"404: Not Found", *server("404: Not Found")),
    "credentials": (b"Invalid credentials in a header", *server("Invalid credentials in a header")),
    "gated": (b"Access to model a/b is restricted.", *server("Access to model a/b is restricted.")),
    "plain": (b"Put the weights here.\n", "is plain text, not a checkpoint", WEIGHTS),
    "Chinese": ("请把权重放在这里".encode() * 500, "is plain text, not a checkpoint", WEIGHTS),
    "YAML": (b"model:\n  name: x\n", "is plain text, not a checkpoint", WEIGHTS),
    "a recipe": (
        b"seed = 1\n\n[[rule]]\nmatch = '*'\ninit = 'zeros'\n",
        "is a recipe, not a checkpoint",
        "name the checkpoint, and pass the recipe with -f",
    ),
    "a pickle of protocol 0": (
        pickle.dumps({"w": 1}, 0),
        "is a pickle that torch.save did not write",
        OTHER_PICKLE,
    ),
    "an object of protocol 0": (
        pickle.dumps(np.dtype("f4"), 0),
        "is a pickle that torch.save did not write",
        OTHER_PICKLE,
    ),
}  # fmt: skip
JSON: dict[str, tuple[dict[str, object], str, str]] = {
    "an error": ({"error": "Repository not found"}, *server('{"error": "Repository not found"}')),
    "an error of an API": (
        {"detail": "Not authenticated", "status": 401},
        *server('{"detail": "Not authenticated", "status": 401}'),
    ),
    "config.json": ({"model_type": "llama"}, "is a model's configuration, without weights", OF_CONFIG),
    "config.json of old": ({"architectures": ["X"]}, "is a model's configuration, without weights", OF_CONFIG),
    "adapter": (
        {"peft_type": "LORA", "r": 8},
        "is an adapter's configuration, not weights",
        "name the file beside it: adapter_model.safetensors",
    ),
    "diffusers": (
        {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30"},
        "is a configuration of diffusers, not weights",
        WEIGHTS,
    ),
    "tokenizer": (
        {"version": "1.0", "added_tokens": [], "model": {}},
        "is a tokenizer, not weights",
        WEIGHTS,
    ),
    "trainer": ({"global_step": 3, "log_history": []}, "is the state of a Trainer, not weights", WEIGHTS),
    "saved plan": (
        {"schema": "initctl-plan/1", "table": "", "actions": []},
        "is a saved plan, not a checkpoint",
        "name the checkpoint, and pass the plan with --plan",
    ),
    "anything": ({"a": 1}, "is a JSON document, not a checkpoint", "name a file or a directory of weights"),
}
ZIPS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "NumPy": (
        lambda: written_by(lambda stream: np.savez(stream, a=np.zeros(3), b=np.zeros(2))),
        "is an archive of NumPy arrays (.npz), which is not supported",
        "convert it: safetensors.numpy.save_file(dict(numpy.load(FILE)), OUT)",
    ),
    "torch.export": (
        exported,
        "is a torch.export program (.pt2), which is not supported",
        "save its state_dict() with torch.save",
    ),
    "torch.export of old": (
        lambda: zipped("serialized_exported_program.json", "serialized_state_dict.pt", "version"),
        "is a torch.export program (.pt2), which is not supported",
        "save its state_dict() with torch.save",
    ),
    "Keras": (
        lambda: zipped("metadata.json", "config.json", "model.weights.h5"),
        "is a Keras archive (.keras), which is not supported",
        CONVERT,
    ),
    "a document": (
        lambda: zipped("[Content_Types].xml", "word/document.xml"),
        "is a document or a program in a zip archive, not a checkpoint",
        WEIGHTS,
    ),
    "anything": (
        lambda: zipped("a/b"),
        "is a zip archive that torch.save did not write",
        "save a model's state_dict() with torch.save",
    ),
}


def refusal(path: Path, culprit: Path | None = None) -> tuple[str, str, str | None]:
    """The code, the fault and the hint with which `path` is refused; the message names `culprit` first."""
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    (problem,) = raised.value.problems
    assert problem.message.startswith(f"{culprit or path}: ")
    assert problem.message.isprintable()
    return problem.code, problem.message.removeprefix(f"{culprit or path}: "), problem.hint


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", INDEX_NAME, "model"])
@pytest.mark.parametrize(("content", "fault", "hint"), [*BINARY.values(), *TEXT.values()], ids=[*BINARY, *TEXT])
def test_a_file_is_named_for_what_it_is_whatever_its_name(
    tmp_path: Path, name: str, content: bytes, fault: str, hint: str
):
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name) == ("file.format", fault, hint)


@pytest.mark.parametrize(("document", "fault", "hint"), JSON.values(), ids=JSON)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "m"])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_named_for_what_it_holds(
    tmp_path: Path, name: str, indent: int | None, document: dict[str, object], fault: str, hint: str
):
    text = json.dumps(document, indent=indent)
    (tmp_path / name).write_text(text)
    if fault.startswith("is a server's error message"):
        fault = f"is a server's error message, not the file: {' '.join(text.split())}"
    assert refusal(tmp_path / name) == ("file.format", fault, hint)


@pytest.mark.parametrize(("document", "fault", "hint"), JSON.values(), ids=JSON)
def test_json_in_the_place_of_a_shard_is_named_too(tmp_path: Path, document: dict[str, object], fault: str, hint: str):
    index = sharded(tmp_path, {"a.safetensors": ("w",), "b.safetensors": ("v",)})
    (tmp_path / "b.safetensors").write_text(json.dumps(document))
    assert refusal(index, tmp_path / "b.safetensors") == ("file.format", fault, hint)


@pytest.mark.parametrize(("make", "fault", "hint"), ZIPS.values(), ids=ZIPS)
@pytest.mark.filterwarnings("ignore")
def test_a_zip_archive_is_named_for_what_it_holds(tmp_path: Path, make: Callable[[], bytes], fault: str, hint: str):
    (tmp_path / "model.pt").write_bytes(make())
    assert refusal(tmp_path / "model.pt") == ("torch.malformed", fault, hint)


class TestATarArchive:
    """Its weights are named, if their names are found at its beginning."""

    def inside(self, path: Path) -> str:
        hint = refusal(path)[2]
        assert hint is not None
        return hint.removeprefix("extract it and name ")

    def test_is_searched_up_to_its_thousandth_member(self, tmp_path: Path):
        names = [f"{number}.txt" for number in range(1000)]
        (tmp_path / "999").write_bytes(tar(*names[:999], "w.safetensors"))
        (tmp_path / "1000").write_bytes(tar(*names, "w.safetensors"))
        assert self.inside(tmp_path / "999") == "w.safetensors"
        assert self.inside(tmp_path / "1000") == "the checkpoint in it"

    @pytest.mark.parametrize(("size", "inside"), [
        (b"00000000000\0", "w.safetensors"),
        (b"99999999999\0", "the checkpoint in it"),
        (b"-0000000000\0", "the checkpoint in it"),
    ])  # fmt: skip
    def test_is_searched_up_to_a_size_that_is_not_octal(self, tmp_path: Path, size: bytes, inside: str):
        content = tar("./", "w.safetensors")
        (tmp_path / "m.tar").write_bytes(content[:124] + size + content[136:])
        assert self.inside(tmp_path / "m.tar") == inside

    def test_may_have_a_member_of_more_than_8_gib(self, tmp_path: Path):
        """Its size has too many digits for its field, so GNU's tar writes it in binary form. It is a hole here."""
        large = tarfile.TarInfo("large.bin")
        large.size = 9 << 30
        with (tmp_path / "m.tar").open("wb") as stream:
            stream.write(large.tobuf(tarfile.GNU_FORMAT))
            stream.seek(large.size, os.SEEK_CUR)
            stream.write(tar("w.safetensors"))
        assert self.inside(tmp_path / "m.tar") == "large.bin"
        large.name = "large.txt"
        with (tmp_path / "m.tar").open("r+b") as stream:
            stream.write(large.tobuf(tarfile.GNU_FORMAT))
        assert self.inside(tmp_path / "m.tar") == "w.safetensors"


def test_an_empty_file_says_that_it_is_unfinished(tmp_path: Path):
    (tmp_path / "m.safetensors").touch()
    assert refusal(tmp_path / "m.safetensors")[1:] == (
        "file is empty",
        "check that the download or the save is complete",
    )


def test_a_message_shows_no_more_of_a_file_than_it_must(tmp_path: Path):
    (tmp_path / "m.pt").write_text("Not found: ::error::\t" + "x" * 3000)
    _, fault, _ = refusal(tmp_path / "m.pt")
    assert len(fault) < 150


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_text_may_be_cut_inside_a_character(tmp_path: Path, cut: int):
    (tmp_path / "m.pt").write_bytes(("a" * cut + "重" * 3000).encode())
    assert refusal(tmp_path / "m.pt")[1] == "is plain text, not a checkpoint"


def test_an_index_is_not_taken_for_anything_else(tmp_path: Path):
    index = sharded(tmp_path, {"a.safetensors": ("w",)})
    document = {"metadata": {"model_type": "llama", "error": "none"}, **json.loads(index.read_text())}
    index.write_text(json.dumps({**document, "architectures": ["X"], "message": "x" * 5000}))
    assert [spec.name for spec in read_checkpoint(index).tensors] == ["w"]


def test_checkpoints_that_begin_like_something_else_are_read(tmp_path: Path):
    """The length of a header can be any two letters."""
    for length in (0x4D42, 0x5A4D, 0x8B1F):  # BM, MZ, gzip
        header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
        content = length.to_bytes(8, "little") + header.ljust(length) + TWO_FLOATS[-8:]
        (tmp_path / "m.safetensors").write_bytes(content)
        assert [spec.name for spec in read_checkpoint(tmp_path / "m.safetensors").tensors] == ["w"]


class TestDirectory:
    def test_without_files_says_so(self, tmp_path: Path):
        hint = "check that the download or the save is complete"
        assert refusal(tmp_path) == ("directory.empty", "contains no files", hint)
        (tmp_path / "below").mkdir()
        assert refusal(tmp_path) == (
            "directory.empty",
            "contains only folders, and no weights were found in them",
            hint,
        )

    @pytest.mark.parametrize("others", [(), ("tokenizer.json",), ("README.md", "generation_config.json")])
    def test_with_config_json_alone_says_that_weights_are_not_made_from_it(
        self, tmp_path: Path, others: tuple[str, ...]
    ):
        for name in ("config.json", *others):
            (tmp_path / name).write_text("{}")
        assert refusal(tmp_path) == ("directory.empty", "contains config.json but no weights", OF_CONFIG)

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("tf_model.h5", "HDF5"),
            ("flax_model.msgpack", "msgpack"),
            ("model.onnx", "ONNX of torch"),
            ("m.gguf", "GGUF"),
        ],
    )
    def test_with_weights_of_another_format_names_them(self, tmp_path: Path, name: str, what: str):
        content, fault, hint = BINARY[what]
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path) == ("directory.empty", f"contains {name}: it {fault}", hint)

    def test_with_something_else_says_what_is_not_there(self, tmp_path: Path):
        (tmp_path / "notes.txt").write_text("x")
        assert refusal(tmp_path)[1].startswith("contains no .safetensors or .bin file, and no index of such files")

    def test_with_a_checkpoint_is_read(self, tmp_path: Path):
        float_file(tmp_path / "model.safetensors", "w")
        (tmp_path / "config.json").write_text("{}")
        assert len(read_checkpoint(tmp_path).tensors) == 1
