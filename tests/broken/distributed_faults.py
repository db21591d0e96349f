"""Directories of torch.distributed.checkpoint whose `.metadata` and files do not fit each other, or are none."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from tests.broken.case import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch.distributed.checkpoint.metadata import Metadata

MALFORMED = "torch.malformed"
FILE = "__0_0.distcp"


def right(folder: Path) -> Path:
    """What torch saves from one process: two tensors and bytes."""
    import torch.distributed.checkpoint as dcp

    from tests.formats.ranks import alone

    with alone():
        dcp.save({"w": torch.ones(4, 3), "v": torch.ones(2), "step": 3}, checkpoint_id=folder, no_dist=True)
    return folder


def described(name: str, change: Callable[[Metadata], object], words: str) -> Fault:
    """A right directory whose `.metadata` was pickled anew after `change`."""

    def write(folder: Path) -> Path:
        path = right(folder) / ".metadata"
        metadata = pickle.loads(path.read_bytes())
        change(metadata)
        path.write_bytes(pickle.dumps(metadata))
        return folder

    return Fault(name, write, MALFORMED, words)


def replaced(name: str, content: bytes | Callable[[bytes], bytes], words: str, code: str = MALFORMED) -> Fault:
    """A right directory with another `.metadata`."""

    def write(folder: Path) -> Path:
        path = right(folder) / ".metadata"
        path.write_bytes(content if isinstance(content, bytes) else content(path.read_bytes()))
        return folder

    return Fault(name, write, code, words)


def touched(name: str, change: Callable[[Path], object], words: str, code: str = MALFORMED) -> Fault:
    """A right directory after `change`."""

    def write(folder: Path) -> Path:
        change(right(folder))
        return folder

    return Fault(name, write, code, words)


def place(name: str, words: str, **fields: Any) -> Fault:
    """`w` is said to lie elsewhere; a text for a number counts from the right one."""

    def change(metadata: Metadata) -> None:
        (index,) = (index for index in metadata.storage_data if index.fqn == "w")
        held = metadata.storage_data[index]
        new = {key: held.length + int(v) if key == "length" and isinstance(v, str) else v for key, v in fields.items()}
        metadata.storage_data[index] = replace(held, **new)

    return described(name, change, words)


def tensor(name: str, words: str, change: Callable[[Any], object]) -> Fault:
    """`w` is described otherwise."""
    return described(name, lambda metadata: change(metadata.state_dict_metadata["w"]), words)


def chunked(name: str, words: str, *chunks: tuple[tuple[int, ...], tuple[int, ...]]) -> Fault:
    """`w` is said to consist of chunks, by start and size, all of which lie where the whole does."""

    def change(metadata: Metadata) -> None:
        (index,) = (index for index in metadata.storage_data if index.fqn == "w")
        held = metadata.storage_data.pop(index)
        for start, _ in chunks:
            metadata.storage_data[replace(index, offset=torch.Size(start))] = held
        (chunk,) = metadata.state_dict_metadata["w"].chunks
        metadata.state_dict_metadata["w"].chunks = [
            replace(chunk, offsets=torch.Size(start), sizes=torch.Size(size)) for start, size in chunks
        ]

    return described(name, change, words)


def dropped(metadata: Metadata) -> None:
    for index in [index for index in metadata.storage_data if index.fqn == "w"]:
        del metadata.storage_data[index]


def doubled(metadata: Metadata) -> None:
    metadata.storage_data = Pairs([*metadata.storage_data.items()] * 2)


class Pairs(list):
    """Pickled as a dict that is given each of these pairs, also where keys are equal."""

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (), None, None, iter(self)


def cut_to_pieces(metadata: Metadata) -> None:
    """So many chunks that the cells between their edges are too many."""
    (index,) = (index for index in metadata.storage_data if index.fqn == "w")
    (chunk,) = metadata.state_dict_metadata["w"].chunks
    starts = [torch.Size([i, i]) for i in range(3200)]
    metadata.storage_data |= {replace(index, offset=start): metadata.storage_data[index] for start in starts}
    metadata.state_dict_metadata["w"].size = torch.Size([3200, 3200])
    metadata.state_dict_metadata["w"].chunks = [
        replace(chunk, offsets=start, sizes=torch.Size([1, 3200])) for start in starts
    ]


def renamed(metadata: Metadata) -> None:
    metadata.state_dict_metadata["x\n::error::\x1b[31m"] = metadata.state_dict_metadata.pop("w")


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def lies() -> Iterator[Fault]:
    yield chunked("D10-gap", "leave gaps, overlap, or reach outside", ((0, 0), (3, 3)))
    yield chunked("D10-overlap", "leave gaps, overlap, or reach outside", ((0, 0), (3, 3)), ((2, 0), (2, 3)))
    yield chunked("D10-outside", "leave gaps, overlap, or reach outside", ((0, 0), (4, 3)), ((4, 0), (1, 3)))
    yield chunked("D10-too-long", "leave gaps, overlap, or reach outside", ((0, 0), (5, 3)))
    yield chunked("D10-hole-in-the-middle", "leave gaps, overlap, or reach outside",
                  ((0, 0), (1, 3)), ((1, 0), (3, 1)), ((1, 2), (3, 1)))  # fmt: skip
    yield chunked("D10-none", "leave gaps, overlap, or reach outside")
    yield chunked("D10-other-dims", "a chunk has a different number of dimensions", ((0,), (12,)))
    yield chunked("D10-start-and-size-of-other-dims", "a chunk has a different number of dimensions", ((0, 0), (12,)))
    yield chunked(
        "D06-shape-of-a-chunk", "its chunk at [0, 0] does not match .metadata", ((0, 0), (2, 3)), ((2, 0), (2, 3))
    )
    yield tensor("D06-dtype", "its chunk at [0, 0] does not match .metadata",
                 lambda w: setattr(w.properties, "dtype", torch.int32))  # fmt: skip
    yield tensor("D10-shape-transposed", "leave gaps, overlap, or reach outside",
                 lambda w: setattr(w, "size", torch.Size([3, 4])))  # fmt: skip
    yield tensor("D10-more-elements-than-there-can-be", "has more elements than is possible",
                 lambda w: setattr(w, "size", torch.Size([2**40, 2**40])))  # fmt: skip
    yield tensor("D10-size-is-a-list", "its size must be a tuple of numbers", lambda w: setattr(w, "size", [4, 3]))
    yield tensor("D10-size-is-negative", "its size must contain whole numbers",
                 lambda w: setattr(w, "size", (-4, 3)))  # fmt: skip
    yield tensor("D10-chunks-are-no-list", "its chunks are not a list", lambda w: setattr(w, "chunks", None))
    yield tensor(
        "D10-a-chunk-is-a-text", "its offsets must be a tuple of numbers", lambda w: setattr(w, "chunks", ["x"])
    )
    yield tensor("D10-no-properties", "has an unknown dtype", lambda w: setattr(w, "properties", None))
    yield tensor("D10-dtype-is-a-text", "has an unknown dtype", lambda w: setattr(w.properties, "dtype", "float32"))


def places() -> Iterator[Fault]:
    for name, path in {
        "parent": "../x.distcp", "absolute": "/etc/passwd", "parent-inside": "x/../" + FILE, "drive": "C:\\x.distcp",
        "backslash": "..\\x.distcp", "NUL": "x\0.distcp",
    }.items():  # fmt: skip
        yield place(f"D05-{name}", "leads out of the directory", relative_path=path)
    yield place("D05-empty", "is not the name of a file", relative_path="")
    yield place("D05-not-plain", "must be written as ", relative_path="./" + FILE)
    yield place("D05-path-is-a-number", "has no valid place in a file", relative_path=3)
    yield place("D06-length-beyond-the-end", "its chunk at [0, 0] reaches beyond the end of the file", length=10**6)
    yield place("D06-offset-beyond-the-end", "its chunk at [0, 0] reaches beyond the end of the file", offset=2**62)
    yield place("D06-offset-negative", "has no valid place in a file", offset=-1)
    yield place("D06-offset-is-a-fraction", "has no valid place in a file", offset=0.0)
    yield place("D06-offset-is-true", "has no valid place in a file", offset=True)
    yield place("D06-length-cuts-the-archive", "does not end like a zip archive", length="-1")
    yield place("D06-overlaps-the-next", "its chunk at [0, 0] does not match .metadata", offset=64)
    yield place("D06-length-into-the-next", "does not end like a zip archive", length="10")
    yield place("D06-length-is-0", "is truncated", length=0)
    yield place("D09-transforms", "is compressed or transformed; save it without extensions",
                transform_descriptors=["stream.zstd"])  # fmt: skip
    yield place("D07-file-missing", "lists files that are missing: __1_0.distcp", relative_path="__1_0.distcp")
    yield place("D07-hostile-file", "lists files that are missing: x\\x0a::error::\\x1b[31m",
                relative_path="x\n::error::\x1b[31m")  # fmt: skip
    yield described("D10-is-nowhere", dropped, "tensor w: the chunk at [0, 0] has no place in a file")
    yield described("D10-chunk-twice", doubled, "tensor w: the chunk at [0, 0] is listed twice")
    yield described("D10-too-many-chunks", cut_to_pieces, "tensor w: has more chunks than can be checked")
    yield described("N07-github-command-in-metadata", renamed,
                    "tensor x\\x0a::error::\\x1b[31m: the chunk at [0, 0] has no place in a file")  # fmt: skip


def texts() -> Iterator[Fault]:
    yield replaced("D01-command", pickle.dumps(Command()), "has no storage_data")
    yield described("D01-command-in-place-of-a-tensor",
                    lambda m: m.state_dict_metadata.update(w=Command()),
                    "w: is a posix.system, which initctl does not know")  # fmt: skip
    yield replaced("D01-storage", b"\x80\2K\1Q.", "its pickle names storages, which only a file of torch.save can have")
    yield replaced("D01-empty", b"", "its pickle is truncated or invalid")
    yield replaced("D01-text", b"{}", "its pickle is truncated or invalid")
    yield replaced("D01-zip", b"PK\3\4" + bytes(40), "its pickle is truncated or invalid")
    for size in (1, 2, 40, 300):
        yield replaced(f"D01-cut-at-{size}", lambda held, size=size: held[:size], "its pickle is truncated or invalid")
    yield replaced("D01-cut-by-1-byte", lambda held: held[:-1], "its pickle is truncated or invalid")
    for name, value in {"dict": {"w": 1}, "list": [1], "number": 3, "text": "w", "nothing": None}.items():
        yield replaced(
            f"D01-pickle-of-a-{name}",
            pickle.dumps(value),
            "has no storage_data; torch.distributed.checkpoint did not write it",
        )
    yield described("D10-no-storage-data", lambda m: setattr(m, "storage_data", None), "has no storage_data")
    yield described("D10-no-tensors-listed", lambda m: setattr(m, "state_dict_metadata", None),
                    "has no state_dict_metadata")  # fmt: skip
    yield described("D10-a-number-for-a-tensor", lambda m: m.state_dict_metadata.update(w=3),
                    "lists an entry that is neither a tensor nor bytes")  # fmt: skip
    yield described("D10-a-number-for-a-name", lambda m: m.state_dict_metadata.update({3: m.state_dict_metadata["w"]}),
                    "lists an entry that is neither a tensor nor bytes")  # fmt: skip


def files() -> Iterator[Fault]:
    incomplete = "contains .distcp files but no .metadata; saving may have been interrupted"
    yield touched("D03-no-metadata", lambda f: (f / ".metadata").unlink(), incomplete, "directory.incomplete")
    yield touched("D04-metadata-unfinished", lambda f: (f / ".metadata").rename(f / ".metadata.tmp"), incomplete,
                  "directory.incomplete")  # fmt: skip
    yield touched("D08-metadata-of-a-rank", lambda f: (f / ".metadata").rename(f / "__0.metadata"), incomplete,
                  "directory.incomplete")  # fmt: skip
    yield touched("D07-file-removed", lambda f: (f / FILE).unlink(), f"lists files that are missing: {FILE}")
    yield touched(
        "D06-file-empty", lambda f: (f / FILE).write_bytes(b""), "reaches beyond the end of the file; copy or download"
    )
    yield touched("D06-file-cut", lambda f: os.truncate(f / FILE, (f / FILE).stat().st_size - 1),
                  "tensor v: its chunk at [0] reaches beyond the end of the file; copy or download")  # fmt: skip
    yield touched("D06-file-of-zeros", lambda f: (f / FILE).write_bytes(bytes((f / FILE).stat().st_size)),
                  "does not match .metadata")  # fmt: skip
    yield touched("D05-file-is-a-pipe", pipe, f"lists files that are missing: {FILE}")
    yield touched("D04-metadata-is-a-directory", folder_for_metadata, incomplete, "directory.incomplete")
    yield touched("D04-metadata-is-too-long", lambda f: os.truncate(f / ".metadata", 100_000_001), "is longer than")


def pipe(folder: Path) -> None:
    (folder / FILE).unlink()
    os.mkfifo(folder / FILE)


def folder_for_metadata(folder: Path) -> None:
    (folder / ".metadata").unlink()
    (folder / ".metadata").mkdir()


FAULTS = (*lies(), *places(), *texts(), *files())
