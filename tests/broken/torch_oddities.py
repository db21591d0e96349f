"""Files of torch.save that are strange and right, with how many tensors they hold."""

from __future__ import annotations

import argparse
import stat
import struct
import zipfile
from collections import OrderedDict, defaultdict
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tests.broken.case import Oddity, file_of
from tests.broken.torch_faults import OLD, PICKLE, REAL, RECORDS, expanded, rezipped
from tests.formats.torch_save.rewritten import legacy, packed, records_of, replaced, saved, with_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator

W = torch.ones(2, 3)
TENSOR = PICKLE[PICKLE.index(b"ctorch._utils") : PICKLE.rindex(b"s.")]
"""The instructions that put down the tensor of `REAL`."""
CPU = b"X\3\0\0\0cpu"
"""The instruction that puts down the device of its storage."""


class Unknown:
    """A class that the reader does not have."""

    def __init__(self) -> None:
        self.attribute = 1


def of(name: str, content: bytes, tensors: int = 1) -> Oddity:
    return Oddity(name, file_of(content, "model.pt"), tensors)


def values() -> Iterator[tuple[str, Any]]:
    yield "numpy", {"scalar": np.float64(1.5), "array": np.arange(3), "state": np.random.RandomState(0).get_state()}
    yield "namespace", argparse.Namespace(lr=0.1, path=PurePosixPath("/x"))
    yield "unknown-class", Unknown()
    yield "default-dict", defaultdict(list, {"a": [1]})
    yield "complex-and-set", {"z": 1j, "s": {1, 2}, "f": frozenset("ab"), "b": bytearray(b"x"), "e": ...}
    yield "dtype-and-size", [torch.float32, torch.Size([1]), torch.device("cpu")]
    yield "long-number", 10**5000
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    yield "self-referential", cycle
    laughs: list[Any] = []
    for _ in range(30):
        laughs = [laughs, laughs]
    yield "billion-laughs", laughs


def pickles() -> Iterator[Oddity]:
    huge = b"r" + struct.pack("<I", 0x7FFFFFFF)
    yield of("P33-huge-memo-number", with_pickle(REAL, replaced(PICKLE, b"}q\x00", b"}" + huge)))
    for name, (opening, closing) in {
        "lists": (b"]", b"a"), "tuples": (b"", b"\x85"), "dicts": (b"}N", b"s"), "calls": (b"cos\nsystem\n", b"\x85R"),
    }.items():  # fmt: skip
        deep = opening * 200_000 + b"N" + closing * 200_000
        yield of(
            f"P30-{name}-in-{name}", with_pickle(REAL, b"\x80\x02}(X\1\0\0\0w" + TENSOR + b"X\1\0\0\0d" + deep + b"u.")
        )
    yield of("P27-expanded-to-10^8", with_pickle(REAL, expanded(PICKLE, 10**8)))
    below = b"]" * 100 + TENSOR + b"a" * 100
    yield of("P30-tensor-in-100-lists", with_pickle(REAL, b"\x80\x02" + below + b"."))


def archives() -> Iterator[Oddity]:
    yield of("P12-no-checksums", unsummed())
    renamed = [replace(held, name=f"weights v1.0/{name}") for name, held in RECORDS.items()]
    yield of("P00-another-folder", packed(renamed))
    yield of("P00-by-zipfile", rezipped(zipfile.ZIP_STORED))
    yield of("P00-another-order", packed(list(RECORDS.values())[::-1]))
    yield of("P51-zip64", packed([replace(held, wide=True) for held in RECORDS.values()], zip64_end=True))
    one_wide = [replace(held, wide=name == "data/0") for name, held in RECORDS.items()]
    yield of("P51-one-record-of-zip64", packed(one_wide, zip64_end=True))
    no_order = records_of(REAL)
    del no_order["byteorder"], no_order[".format_version"], no_order[".storage_alignment"]
    yield of("P00-as-torch-1.6-wrote-it", packed(no_order.values()))
    marked = [replace(held, attributes=(stat.S_IFREG | 0o644) << 16 | 0x20) for held in RECORDS.values()]
    yield of("P00-marked-as-files", packed(marked))
    yield of("P04-code-beside", packed([*RECORDS.values(), replace(RECORDS["version"], name="archive/code/evil.py")]))


def unsummed() -> bytes:
    torch.serialization.set_crc32_options(False)
    try:
        return saved({"w": W})
    finally:
        torch.serialization.set_crc32_options(True)


def on_a_gpu() -> Iterator[Oddity]:
    """Storages that torch would put on a device that this machine need not have."""
    for device in ("cuda:0", "cuda:7", "xpu:0"):
        text = replaced(PICKLE, CPU, b"X" + struct.pack("<I", len(device)) + device.encode())
        yield of(f"P48-storage-of-{device.replace(':', '-')}", with_pickle(REAL, text))
    yield of("P48-storage-of-cuda-0-legacy", replaced(OLD, CPU, b"X\6\0\0\0cuda:0"))


def odd_keys() -> dict[Any, Any]:
    return {1: W, "a": {0: W, -2: W}, b"x": W, ("t",): W, 2**100: W, 1.5: W, None: W}


ODDITIES = (
    *(of(f"P06-{name}", saved({"w": W, "beside": value})) for name, value in values()),
    *(of(f"P06-{name}-legacy", legacy({"w": W, "beside": value})) for name, value in values()),
    *(of(f"P05-protocol-{number}", saved({"w": W}, pickle_protocol=number)) for number in range(1, 6)),
    *(of(f"P05-protocol-{number}-legacy", legacy({"w": W}, pickle_protocol=number)) for number in range(2, 6)),
    *pickles(),
    *archives(),
    *on_a_gpu(),
    of("P32-root-in-itself", with_pickle(REAL, replaced(PICKLE, b"s.", b"sX\4\0\0\0selfh\0s."))),
    of("P39-keys-that-are-no-text", saved(odd_keys()), 8),
    of("P00-no-tensors", saved({}), 0),
    of("P38-root-is-a-list", saved([W, (W, [W])]), 3),
    of("P00-ordered-dict", saved(OrderedDict(w=W, v=W)), 2),
    of("P06-whole-module", saved(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))), 7),
    of("P06-whole-module-legacy", legacy(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))), 7),
)
