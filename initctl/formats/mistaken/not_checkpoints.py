"""Files that people name by mistake, recognized by their content: what each is, then what to do about it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, shown
from initctl.formats.directories.weight_names import EXPORTS, FOREIGN, SAFETENSORS, TORCH
from initctl.formats.mistaken.tar import is_tar, tar_names
from initctl.formats.reading import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from initctl.formats.directories.listing import Listing

_CODE = "file.format"


class NotCheckpoint(NamedTuple):
    """What a file is, as a sentence says it of the file, and what to do."""

    fault: str
    hint: str


def refuse(path: str, content: bytes) -> None:
    """Raise `InputError` if the file at `path`, which begins with `content`, is known to be something else."""
    if found := tar_of(tar_names(path)) if is_tar(content) else recognized(content):
        raise InputError(Problem(_CODE, f"{shown(path)}: {found.fault}", found.hint))


def refuse_json(path: str, document: Mapping[str, object], content: bytes) -> None:
    """Raise `InputError` if `document`, which is all `content` of a file, is not meant as an index of shards."""
    found = _json_of(document.keys(), content) or (None if path.endswith(".index.json") else _ANY_JSON)
    if "weight_map" not in document and found:
        raise InputError(Problem(_CODE, f"{shown(path)}: {found.fault}", found.hint))


def refuse_directory(path: str, listing: Listing) -> None:
    """Raise `InputError` if the files of a directory without a checkpoint say what it is instead."""
    if fault := _directory_of(path, listing):
        raise InputError(Problem("directory.empty", f"{shown(path)}: {fault.fault}", fault.hint))


def recognized(content: bytes) -> NotCheckpoint | None:
    """What a file that begins with `content` is, if it is known and not a checkpoint."""
    for is_at, found in _BINARY:
        if is_at(content):
            return found
    return _text_of(content)


def zip_of(names: Collection[str]) -> NotCheckpoint | None:
    """What a zip archive of the records `names` is, if it is known and not what torch.save writes."""
    for is_among, found in _ZIPS:
        if is_among(names):
            return found
    return None


def tar_of(names: Iterable[str]) -> NotCheckpoint:
    """What a tar archive of the members `names` is."""
    plain = [name.removeprefix("./") for name in names]
    if {"pickle", "storages"} & set(plain):
        return _OLD_TORCH
    if "model_weights.ckpt" in plain:
        return NotCheckpoint("is a tar archive, as NeMo writes it (.nemo)", "extract it and name model_weights.ckpt")
    inside = next((name for name in plain if name.endswith(_WEIGHTS)), None)
    return NotCheckpoint(
        "is a tar archive", f"extract it and name {shown(inside) if inside else 'the checkpoint in it'}"
    )


def _directory_of(path: str, listing: Listing) -> NotCheckpoint | None:
    names = list(listing.files)
    if not (names or listing.left_out):
        fault = "holds only folders, and no weights were found in them" if listing.folders else "holds no files"
        return NotCheckpoint(fault, "check that the download or the save is complete")
    for name in names:
        if name.endswith(_OTHER_WEIGHTS) and (found := recognized(_beginning(os.path.join(path, name)))):
            return NotCheckpoint(f"holds {shown(name)}, which {found.fault}", found.hint)
    if "config.json" in names:
        return NotCheckpoint(f"holds a config.json and no weights: {_FROM_CONFIG}", _NAME_WEIGHTS)
    return None


def _beginning(path: str) -> bytes:
    descriptor, _ = open_regular(path)
    try:
        return os.read(descriptor, _SNIFFED)
    finally:
        os.close(descriptor)


def _text_of(content: bytes) -> NotCheckpoint | None:
    """What a text is; its last character may be cut off."""
    text = content.decode("utf-8", "ignore")
    if not text.strip() or len(content) - len(text.encode()) > _LONGEST_CHARACTER or not _is_text(text):
        return None
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("{"):
        return _json_of(set(_KEY.findall(text)), content) or _ANY_JSON
    if _ERROR_PAGE.match(start):
        return _error_page(text)
    if _OLD_PICKLE.match(start):
        return _PICKLE
    if _RECIPE.search(text):
        return NotCheckpoint("is a recipe, not a checkpoint", "name the checkpoint, and pass the recipe with -f")
    return NotCheckpoint("is plain text, not a checkpoint", _NAME_WEIGHTS)


def _is_text(text: str) -> bool:
    return all(char.isprintable() or char in "\t\r\n\f\ufeff" for char in text)


def _json_of(keys: Collection[str], content: bytes) -> NotCheckpoint | None:
    """What JSON with `keys` is, by the first row of the table that fits."""
    for known, found in _JSON:
        if known <= set(keys):
            return found
    if set(keys) & _OF_AN_ERROR:
        return _error_page(content.decode("utf-8", "replace"))
    return None


def _error_page(text: str) -> NotCheckpoint:
    return NotCheckpoint(
        f"is an error message of a server, not the file: {shown(' '.join(text.split())[:_SHOWN])}",
        "check the name and your access, and download it again",
    )


_SNIFFED = 4096
"""Bytes of a file's beginning."""
_OTHER_WEIGHTS = (*FOREIGN, *EXPORTS, ".npy", ".pb", ".nemo", ".zip")
_LONGEST_CHARACTER = 3
"""Bytes of a character of UTF-8 that may be cut off."""
_SHOWN = 80
"""Characters of an error message."""
_ANY_JSON = NotCheckpoint("is a JSON document, not a checkpoint", "name a file or a directory of weights")
_WEIGHTS = (SAFETENSORS, *TORCH)
_KEY = re.compile(r'"([^"\\]{1,60})"\s*:')
_ERROR_PAGE = re.compile(
    r"(?:\d{3}:? )?(?:Entry|Repository|Revision|Page|File|Object)? ?Not Found\b|Invalid (?:username|credentials|token)"
    r"|Access (?:denied|to model|to this)|Unauthorized|Forbidden|Bad Gateway|Service Unavailable|Internal Server Error"
    r"|Too Many Requests|Gateway Time-?out|Cannot access gated repo",
    re.IGNORECASE,
)
"""What Hugging Face, GitHub and web servers answer instead of a file."""
_OLD_PICKLE = re.compile(r"\(dp\d|\(lp\d|\(i?\w*c?copy_reg\n|ccopy_reg\n|c[\w.]+\n\w+\np\d|\(d(?:q|p)")
"""Pickles of protocol 0, which are text."""
_RECIPE = re.compile(r"^\s*\[\[rule\]\]", re.MULTILINE)
_CONVERT = "convert it to safetensors first"
_DECOMPRESS = "decompress it first"
_NAME_WEIGHTS = "name a file or a directory of weights, such as model.safetensors"
_PICKLE = NotCheckpoint("is a pickle, but not one that torch.save wrote", "save a model's state_dict() with torch.save")
_OLD_TORCH = NotCheckpoint(
    "is a tar archive, as torch.save wrote it before 0.1.12, which is not supported",
    "load it with an old torch and save it again",
)


def _starts(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(beginnings)


def _matches(pattern: bytes) -> Callable[[bytes], bool]:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda content: compiled.match(content) is not None


def _file(kind: str, hint: str = _CONVERT) -> NotCheckpoint:
    return NotCheckpoint(f"is {kind}, which is not supported", hint)


def _compressed(tool: str, command: str) -> NotCheckpoint:
    return NotCheckpoint(f"is compressed with {tool}", f"{_DECOMPRESS}: {command}")


_BINARY: tuple[tuple[Callable[[bytes], bool], NotCheckpoint], ...] = (
    (
        _starts(b"version https://git-lfs.github.com/spec/"),
        NotCheckpoint("this is a Git LFS pointer, not the file it stands for", "run git lfs pull"),
    ),
    (
        _matches(rb"(?i:\s*(?:<!doctype|<html|<\?xml))"),
        NotCheckpoint("looks like a web page, not a checkpoint", "download the file itself"),
    ),
    # other formats of weights
    (_starts(b"GGUF"), _file("a GGUF file")),
    (_starts(b"lmgg", b"fmgg", b"tjgg", b"algg"), _file("a GGML file of llama.cpp before GGUF")),
    (_starts(b"\x89HDF\r\n\x1a\n"), _file("an HDF5 file, as Keras and h5py write it")),
    (
        _starts(b"\x93NUMPY"),
        _file("a NumPy array (.npy)", "give it a name: safetensors.numpy.save_file({'weight': array}, FILE)"),
    ),
    (_matches(rb"\x08[\x01-\x1f](?:\x12(.)[\x20-\x7e]{3,}|:|B\x02|B\x04)"), _file("an ONNX model")),
    (_matches(rb"\x08[\x01-\x1f]\x12.{1,5}\x0a"), _file("a Core ML model or a TensorFlow SavedModel")),
    (lambda content: content[4:8] == b"TFL3", _file("a TensorFlow Lite model")),
    (
        _matches(rb"(?:[\x81-\x8f]|\xde..|\xdf....)(?:[\xa1-\xbf]|\xd9.)[\x20-\x7e]"),
        _file("a msgpack file, as Flax writes it"),
    ),
    (_starts(b"MATLAB 5.0 MAT-file"), _file("a MATLAB file")),
    (_starts(b"PAR1", b"ARROW1"), _file("a Parquet or Arrow table", _NAME_WEIGHTS)),
    # what is compressed
    (_starts(b"\x1f\x8b"), _compressed("gzip", "gunzip, or tar xzf for a .tar.gz")),
    (_starts(b"\x28\xb5\x2f\xfd"), _compressed("zstd", "unzstd")),
    (_starts(b"\xfd7zXZ\0"), _compressed("xz", "unxz")),
    (_matches(rb"BZh[1-9]1AY&SY"), _compressed("bzip2", "bunzip2")),
    (_starts(b"\x04\x22\x4d\x18"), _compressed("lz4", "unlz4")),
    (_starts(b"7z\xbc\xaf\x27\x1c"), NotCheckpoint("is a 7z archive", "extract it: 7z x")),
    (_starts(b"Rar!\x1a\x07"), NotCheckpoint("is a RAR archive", "extract it: unrar x")),
    # files that hold no weights
    (
        _starts(b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*"),
        NotCheckpoint("is an image, not a checkpoint", _NAME_WEIGHTS),
    ),
    (
        _matches(rb"RIFF.{4}WEBP|BM.{4}\0{4}.{4}[\x28\x6c\x7c]\0{3}"),
        NotCheckpoint("is an image, not a checkpoint", _NAME_WEIGHTS),
    ),
    (_starts(b"%PDF-"), NotCheckpoint("is a PDF document, not a checkpoint", _NAME_WEIGHTS)),
    (_starts(b"SQLite format 3\0"), NotCheckpoint("is a SQLite database, not a checkpoint", _NAME_WEIGHTS)),
    (_starts(b"\x7fELF", b"MZ\x90\0"), NotCheckpoint("is a program or a library, not a checkpoint", _NAME_WEIGHTS)),
)
"""How files begin, and what they are."""

_FROM_CONFIG = "weights cannot be made from config.json alone"
_JSON: tuple[tuple[frozenset[str], NotCheckpoint], ...] = tuple(
    (frozenset(keys.split()), NotCheckpoint(fault, hint))
    for keys, fault, hint in (
        (
            "schema table actions",
            "is a saved plan, not a checkpoint",
            "name the checkpoint, and pass the plan with --plan",
        ),
        ("schema command exit_code", "is a report of initctl, not a checkpoint", _NAME_WEIGHTS),
        ("peft_type", "is the configuration of an adapter", "name the weights beside it: adapter_model.safetensors"),
        ("_class_name _diffusers_version", "is a configuration of diffusers, which holds no weights", _NAME_WEIGHTS),
        ("model_type", f"is a model's configuration: {_FROM_CONFIG}", _NAME_WEIGHTS),
        ("architectures", f"is a model's configuration: {_FROM_CONFIG}", _NAME_WEIGHTS),
        ("quant_method", "is a configuration of quantization, which holds no weights", _NAME_WEIGHTS),
        ("added_tokens", "is a tokenizer, which holds no weights", _NAME_WEIGHTS),
        ("tokenizer_class", "is a tokenizer's configuration, which holds no weights", _NAME_WEIGHTS),
        ("log_history global_step", "is the state of a Trainer, which holds no weights", _NAME_WEIGHTS),
        ("weightsManifest", "is a TensorFlow.js model, which is not supported", _CONVERT),
        ("nbformat cells", "is a Jupyter notebook, not a checkpoint", _NAME_WEIGHTS),
        ("class_name config", "is a Keras model's configuration, which holds no weights", _NAME_WEIGHTS),
    )
)
"""Keys that only such a document has all of, and what it is."""
_OF_AN_ERROR = {"error", "errors", "detail", "message"}

_ZIPS: tuple[tuple[Callable[[Collection[str]], bool], NotCheckpoint], ...] = (
    (
        lambda names: bool(names) and all(name.endswith(".npy") for name in names),
        _file(
            "an archive of NumPy arrays (.npz)", "convert it: safetensors.numpy.save_file(dict(numpy.load(FILE)), OUT)"
        ),
    ),
    (
        lambda names: any(name.endswith(("archive_format", "serialized_exported_program.json")) for name in names),
        _file("a program of torch.export (.pt2)", "save its state_dict() with torch.save"),
    ),
    (
        lambda names: any(name.endswith("/constants.pkl") for name in names),
        NotCheckpoint("is a TorchScript archive", "load it with torch.jit.load, and save its state_dict()"),
    ),
    (lambda names: "model.weights.h5" in names, _file("a Keras archive (.keras)")),
    (
        lambda names: "[Content_Types].xml" in names or "META-INF/MANIFEST.MF" in names,
        NotCheckpoint("is a document or a program in a zip archive, not a checkpoint", _NAME_WEIGHTS),
    ),
)
"""What zip archives hold, and what they are."""
