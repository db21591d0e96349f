"""Indexes that lead out of their directory, that are no index, or that the shards contradict."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tests.broken.case import Fault
from tests.formats.handwritten import INDEX_NAME, float_file, sharded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GOOD = {"a.safetensors": ("w",), "b.safetensors": ("v",)}


def malformed(name: str, text: bytes | Any, words: str, code: str = "index.malformed") -> Fault:
    """An index of `text`, beside right shards."""

    def write(folder: Path) -> Path:
        index = sharded(folder, GOOD)
        index.write_bytes(text if isinstance(text, bytes) else json.dumps(text).encode())
        return index

    return Fault(name, write, code, words)


def mapped(name: str, shard: Any, code: str, words: str) -> Fault:
    """An index that maps a tensor to `shard`, which is there where a path can lead to it."""

    def write(folder: Path) -> Path:
        secret = float_file(folder / "secret.safetensors", "w")
        value = shard.replace("SECRET", str(secret)) if isinstance(shard, str) else shard
        return sharded(folder / "model" / "inner", GOOD, weight_map={"w": value, "v": "b.safetensors"})

    return Fault(name, write, code, words)


def changed(name: str, change: Callable[[Path], object], code: str, words: str) -> Fault:
    """A right checkpoint after `change` of its directory."""

    def write(folder: Path) -> Path:
        index = sharded(folder / "model", GOOD)
        change(index.parent)
        return index

    return Fault(name, write, code, words)


def escapes() -> Iterator[Fault]:
    leaves = "leads out of the directory"
    for name, shard in {
        "I01-parent": "../../secret.safetensors",
        "I01-parent-inside": "x/../a.safetensors",
        "I01-parent-alone": "..",
        "I02-absolute": "SECRET",
        "I02-drive": "C:\\x.safetensors",
        "I02-drive-relative": "C:x.safetensors",
        "I02-share": "\\\\server\\share\\x.safetensors",
        "I02-parent-with-backslash": "..\\x.safetensors",
        "I02-folder-with-backslash": "x\\a.safetensors",
        "I02-NUL": "a.safetensors\0.safetensors",
    }.items():
        yield mapped(name, shard, "index.escape", leaves)
    for name, shard in {"I02-empty": "", "I02-directory": "."}.items():
        yield mapped(name, shard, "index.malformed", "is not the name of a file")
    yield changed("I03-link-outside", link_outside, "index.escape", "a.safetensors: is a link to a file outside of")


def link_outside(folder: Path) -> None:
    (folder / "a.safetensors").rename(folder.parent / "secret.safetensors")
    (folder / "a.safetensors").symlink_to("../secret.safetensors")


def shard_names() -> Iterator[Fault]:
    for name, shard in {"pickle": "a.bin", "no-suffix": "a", "upper-case-suffix": "a.SAFETENSORS"}.items():
        yield mapped(f"I04-{name}", shard, "index.malformed", f"{shard}: is not a .safetensors file")
    for name, shard in {"dot": "./a.safetensors", "double-slash": "x//a.safetensors"}.items():
        yield mapped(f"I05-{name}", shard, "index.malformed", f"{shard}: must be written as ")
    for name, first, second in (
        ("I10-two-normalizations", "\u00e9.safetensors", "e\u0301.safetensors"),
        ("I11-two-cases", "a.safetensors", "A.safetensors"),
    ):
        weight_map = {"weight_map": {"w": first, "v": second}}
        yield malformed(name, weight_map, "the names of two shards differ only in case or Unicode form")


def texts() -> Iterator[Fault]:
    yield malformed(
        "I12-tensor-twice", b'{"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}', "the name w appears twice"
    )
    an_object = "weight_map must be an object with an entry for each tensor"
    yield malformed("I13-weight-map-missing", {"metadata": {}}, an_object)
    for name, value in {"list": ["a.safetensors"], "null": None, "text": "a.safetensors", "number": 1}.items():
        yield malformed(f"I13-weight-map-is-a-{name}", {"weight_map": value}, an_object)
    for name, value in {"number": 1, "null": None, "list": ["a.safetensors"], "object": {}}.items():
        yield malformed(f"I13-shard-is-a-{name}", {"weight_map": {"w": value}}, "weight_map: w: must name a file")
    yield malformed("I17-NaN", b'{"weight_map":{"w":NaN}}', "NaN is not JSON")
    yield malformed("I17-overflow", b'{"metadata":{"total_size":1e999}}', "a number is too large")
    yield malformed("I17-depth-100000", b'{"weight_map":' * 100_000, "nested too deeply")
    yield malformed("I17-5000-digits", b'{"metadata":' + b"1" * 5000 + b"}", "a number has too many digits")
    yield malformed("I17-cut", b'{"weight_map":{"w":"a.safe', "at line 1, column")
    yield malformed("I17-not-utf-8", b'{"weight_map":{"\xff":1}}', "not UTF-8 at byte 16")
    yield malformed("I17-lone-surrogate", b'{"weight_map":{"w":"\\ud800.safetensors"}}', "half a surrogate pair")
    yield malformed("I21-weight-map-empty", {"weight_map": {}}, an_object)
    of_a_config = "is a model's configuration, without weights; name the weights, or make new ones with initctl new"
    yield malformed("I21-no-index-but-a-config", {"architectures": ["Llama"]}, of_a_config, "file.format")
    hostile = {"weight_map": {"x\n::error::\x1b[31m": 1}}
    yield malformed("N07-github-command-in-index", hostile, "weight_map: x\\x0a::error::\\x1b[31m: must name")


def byte_order_mark(folder: Path) -> Path:
    """Alone in its directory, and given by the directory: by its content it would be no index."""
    index = sharded(folder, GOOD)
    index.write_bytes(b"\xef\xbb\xbf" + index.read_bytes())
    return folder


def too_long(folder: Path) -> Path:
    index = sharded(folder, GOOD)
    os.truncate(index, 100_000_001)
    return index


def disagreements() -> Iterator[Fault]:
    yield changed("I06-shard-missing", lambda folder: (folder / "b.safetensors").unlink(),
                  "index.shard_missing", "lists shards that are missing: b.safetensors")  # fmt: skip
    yield changed("I06-shards-missing", lambda folder: [path.unlink() for path in folder.glob("*.safetensors")],
                  "index.shard_missing", "lists shards that are missing: a.safetensors, b.safetensors")  # fmt: skip
    yield changed("I07-tensor-not-in-its-shard", lambda folder: float_file(folder / "b.safetensors", "other"),
                  "index.tensor_missing", "tensor v is not in b.safetensors")  # fmt: skip
    swapped = {"weight_map": {"w": "b.safetensors", "v": "a.safetensors"}}
    yield Fault("I07-tensors-in-each-other's-shard", lambda folder: sharded(folder, GOOD, **swapped),
                "index.tensor_missing", "tensor w is not in b.safetensors")  # fmt: skip
    yield changed("I08-tensor-not-in-the-index", lambda folder: float_file(folder / "b.safetensors", "v", "more"),
                  "index.unlisted", "tensor more is in b.safetensors but not in the index")  # fmt: skip
    yield changed("I09-tensor-in-two-shards", lambda folder: float_file(folder / "b.safetensors", "v", "w"),
                  "index.duplicate", "tensor w is in both a.safetensors and b.safetensors")  # fmt: skip
    yield changed("I18-model-beside-the-index", lambda folder: float_file(folder / "model.safetensors", "w", "v"),
                  "directory.ambiguous", "model.safetensors beside the index contains the same model")  # fmt: skip
    yield changed("I06-shard-empty", lambda folder: (folder / "b.safetensors").write_bytes(b""),
                  "safetensors.malformed", "b.safetensors: file is empty")  # fmt: skip
    yield changed("I22-shard-is-a-pipe", pipe_for_a_shard, "file.kind", "b.safetensors: is not a regular file")
    yield changed("I22-shard-is-a-directory", directory_for_a_shard, "file.kind", "b.safetensors: is a directory")


def pipe_for_a_shard(folder: Path) -> None:
    (folder / "b.safetensors").unlink()
    os.mkfifo(folder / "b.safetensors")


def directory_for_a_shard(folder: Path) -> None:
    (folder / "b.safetensors").unlink()
    (folder / "b.safetensors").mkdir()


def pipe_for_an_index(folder: Path) -> Path:
    os.mkfifo(folder / INDEX_NAME)
    return folder / INDEX_NAME


FAULTS = (
    *escapes(),
    *shard_names(),
    *texts(),
    *disagreements(),
    Fault("I16-index-longer-than-the-limit", too_long, "index.malformed", "is longer than 100,000,000 bytes"),
    Fault("I17-byte-order-mark", byte_order_mark, "index.malformed", "begins with a byte-order mark"),
    Fault("I22-index-is-a-pipe", pipe_for_an_index, "file.kind", "is not a regular file"),
)
