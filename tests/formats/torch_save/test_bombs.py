"""A small file costs little, whatever it holds: time and memory are those of its pickle's length."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.broken.torch_faults import REAL
from tests.broken.torch_oddities import TENSOR
from tests.formats.torch_save.rewritten import with_pickle

if TYPE_CHECKING:
    from pathlib import Path

SECONDS, BYTES = 15, 2 << 30
"""What reading may take at the very most; a few tenths and some 200 MB are usual."""

READ = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES}))
from initctl.errors import InputError
from initctl.formats import read_checkpoint
try:
    read_checkpoint(sys.argv[1])
except InputError as error:
    print(error)
"""


def put(number: int) -> bytes:
    return b"r" + struct.pack("<I", number)


def get(number: int) -> bytes:
    return b"j" + struct.pack("<I", number)


def lists_in_each_other(count: int = 14) -> bytes:
    """Lists that each hold all others, and the root, which holds a tensor: 14! ways lead around, one to a tensor."""
    root = b"}" + put(999) + b"(X\1\0\0\0t" + TENSOR
    root += b"".join(b"X\1\0\0\0" + bytes([97 + i]) + b"]" + put(1000 + i) for i in range(count)) + b"u"
    for i in range(count):
        root += get(1000 + i) + b"(" + b"".join(get(1000 + k) for k in range(count) if k != i) + get(999) + b"e0"
    return root


def laughs_with_a_tensor() -> bytes:
    """2^30 ways lead to one tensor."""
    body = TENSOR + put(1000) + b"0"
    for i in range(30):
        body += b"]" + put(1001 + i) + b"(" + get(1000 + i) * 2 + b"e0"
    return body + get(1030)


def one_long_key_400_times() -> bytes:
    """Names that come to 8 GB, all of one key of 100 kB."""
    key = b"X" + struct.pack("<I", 100_000) + b"k" * 100_000 + put(500) + b"0"
    level = b"}(X\1\0\0\0t" + get(501) + get(500)
    return key + TENSOR + put(501) + b"0" + level * 400 + b"N" + b"u" * 400


def tensors_far_below() -> bytes:
    """20,000 tensors below 20,000 lists: names that come to 800 MB."""
    body = TENSOR + put(501) + b"0"
    return body + b"]" * 20_000 + b"(" + get(501) * 20_000 + b"e" + b"a" * 19_999


def one_wide_list_1000_times() -> bytes:
    """A list of a million things and a tensor, 1000 times in another: few ways, and much to pass by on each."""
    wide = b"]" + put(1) + b"(" + b"N" * 1_000_000 + TENSOR + b"e0"
    return wide + b"](" + get(1) * 1000 + b"e"


@pytest.mark.parametrize(
    "bomb",
    [lists_in_each_other, laughs_with_a_tensor, one_long_key_400_times, tensors_far_below, one_wide_list_1000_times],
)
def test_a_small_file_costs_little_time_and_memory(bomb, tmp_path: Path):
    path = tmp_path / "model.pt"
    path.write_bytes(with_pickle(REAL, b"\x80\x02" + bomb() + b"."))
    ran = subprocess.run(
        [sys.executable, "-c", READ, os.fspath(path)], timeout=SECONDS, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-500:]
