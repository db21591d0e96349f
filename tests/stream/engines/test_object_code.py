"""Compiled code is made once, loaded without Numba, and its cache can only cost time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from initctl.dtypes import BY_NAME
from initctl.stream import Normal
from initctl.stream.engines import NumpyEngine, object_code
from initctl.stream.key import stream_key

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.stream.engines.compiled import CompiledEngine

FILL = """
import sys
import numpy as np
from initctl.dtypes import BY_NAME
from initctl.stream import Normal
from initctl.stream.engines.compiled import CompiledEngine
from initctl.stream.key import stream_key

out = np.empty(40, np.uint8)
CompiledEngine().fill(Normal(0, 1), stream_key(0, "w"), 3, 13, BY_NAME["float32"], out)
print(out.tobytes().hex(), "numba" in sys.modules, "torch" in sys.modules)
"""


def expected() -> str:
    out = np.empty(40, np.uint8)
    NumpyEngine().fill(Normal(0, 1), stream_key(0, "w"), 3, 13, BY_NAME["float32"], out)
    return out.tobytes().hex()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    object_code._cache_path.cache_clear()
    yield tmp_path / "initctl"
    monkeypatch.undo()
    object_code._cache_path.cache_clear()


def fill_in_a_process() -> tuple[str, bool]:
    """The bytes that a process of its own computes, and whether it imported Numba."""
    command = [sys.executable, "-c", FILL]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    values, numba, torch = output.split()
    assert torch == "False"
    return values, numba == "True"


def test_the_first_process_compiles_and_the_next_one_loads_without_numba(cache: Path):
    assert fill_in_a_process() == (expected(), True)
    (file,) = cache.iterdir()
    assert file.name.startswith("kernels-")
    assert object_code.is_cached()
    before = file.stat()
    assert fill_in_a_process() == (expected(), False)
    assert file.stat() == before


@pytest.mark.parametrize(
    "damage", [lambda code: b"", lambda code: code[:-1], lambda code: code[:99] + b"\0" + code[100:]]
)
def test_damaged_code_is_not_loaded_but_made_anew(cache: Path, compiled: CompiledEngine, damage):
    whole = object_code._compiled()
    object_code._write(object_code._cache_path(), whole)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    damaged = damage(content)
    file.write_bytes(damaged if damaged != content else content[:99] + b"\1" + content[100:])
    assert not object_code.is_cached()
    object_code.kernels()
    assert object_code.is_cached()
    assert [entry.name for entry in cache.iterdir()] == [file.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_code_that_somebody_else_has_put_there_is_not_run(cache: Path, compiled: CompiledEngine):
    object_code._write(object_code._cache_path(), object_code._compiled())
    (file,) = cache.iterdir()
    os.chown(file, 12345, 12345)
    assert not object_code.is_cached()
    object_code.kernels()
    assert file.stat().st_uid == 0


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null"])
def test_where_nothing_can_be_kept_the_code_is_made_each_time(
    cache: Path, monkeypatch: pytest.MonkeyPatch, compiled: CompiledEngine, place: str
):
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    object_code._cache_path.cache_clear()
    code = object_code._compiled()
    monkeypatch.setattr(object_code, "_compiled", lambda: code)
    assert not object_code.is_cached()
    assert set(object_code.kernels()) == set(object_code.SIGNATURES)
    assert not object_code.is_cached()


def test_what_the_disk_does_not_take_whole_is_not_left_there(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(object_code.os, "replace", refuse)
    object_code._write(object_code._cache_path(), b"code")
    assert list(cache.iterdir()) == []


def test_the_cache_is_in_the_home_directory_unless_the_system_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert object_code.cache_directory() == "/home/someone/.cache/initctl"


@pytest.mark.parametrize("missing", ["numba", "llvmlite.binding"])
def test_without_a_compiler_there_is_a_reason(cache: Path, monkeypatch: pytest.MonkeyPatch, missing: str):
    for name in [name for name in sys.modules if name.startswith("initctl.stream.engines.kernels")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(object_code.NoCompiler, match=missing):
        object_code.kernels()


def test_code_that_needs_more_than_the_c_library_is_refused(monkeypatch: pytest.MonkeyPatch, compiled: CompiledEngine):
    monkeypatch.setattr(object_code, "_FROM_LIBC", set())
    with pytest.raises(object_code.NoCompiler, match=r"the code needs .*sqrtf"):
        object_code._compiled()
