"""Compiled code is made once, loaded without Numba, and its cache can only cost time."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from initctl.dtypes import BY_NAME
from initctl.stream import Normal
from initctl.stream.engines import Engine, LawRun, object_code
from initctl.stream.engines import compiled as compiled_module
from initctl.stream.key import stream_key
from tests.stream.engines.first_process import FILL

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.stream.engines.compiled import CompiledEngine
    from tests.stream.engines.first_process import FirstProcess


def expected() -> str:
    out = np.empty(40, np.uint8)
    Engine().fill([LawRun(Normal(0, 1), stream_key(0, "w"), 3, 13, BY_NAME["float32"])], out)
    return out.tobytes().hex()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    object_code._cache_path.cache_clear()
    yield tmp_path / "initctl"
    monkeypatch.undo()
    object_code._cache_path.cache_clear()


@pytest.fixture(scope="session")
def code(compiled: CompiledEngine) -> bytes:
    """What was compiled for the tests of this run."""
    return object_code._read(object_code._cache_path())


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch, code: bytes) -> list[bytes]:
    """What is compiled from now on. It takes no time, as it was compiled before."""
    made: list[bytes] = []
    monkeypatch.setattr(object_code, "_compiled", lambda: made.append(code) or code)
    return made


def test_the_first_process_compiles_no_call_beyond_the_c_library_and_the_next_one_loads_without_numba(
    first_process: FirstProcess,
):
    line, refusal = first_process.lines
    assert line == f"{expected()} numba=True torch=False"
    assert re.search(r"functions that are missing: .*sqrtf", refusal)
    (file,) = (first_process.cache / "initctl").iterdir()
    assert file.name.startswith("kernels-")
    before = file.stat()
    assert first_process.then(FILL) == [f"{expected()} numba=False torch=False"]
    assert file.stat() == before


@pytest.mark.parametrize(
    "damage", [lambda code: b"", lambda code: code[:-1], lambda code: code[:99] + b"\0" + code[100:]]
)
def test_damaged_code_is_not_loaded_but_made_anew(cache: Path, code: bytes, compilations: list[bytes], damage):
    object_code._write(object_code._cache_path(), code)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    damaged = damage(content)
    file.write_bytes(damaged if damaged != content else content[:99] + b"\1" + content[100:])
    assert not object_code.is_cached()
    assert set(object_code.kernels(lambda _: True)) == set(object_code.SIGNATURES)
    assert compilations == [code]
    assert object_code.is_cached()
    assert [entry.name for entry in cache.iterdir()] == [file.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_code_that_somebody_else_has_put_there_is_not_run(cache: Path, code: bytes, compilations: list[bytes]):
    object_code._write(object_code._cache_path(), code)
    (file,) = cache.iterdir()
    os.chown(file, 12345, 12345)
    assert not object_code.is_cached()
    object_code.kernels(lambda _: True)
    assert compilations == [code]
    assert file.stat().st_uid == 0


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_code_that_others_can_write_is_not_run(cache: Path, mode: int):
    object_code._write(object_code._cache_path(), b"code")
    (file,) = cache.iterdir()
    assert object_code.is_cached()
    file.chmod(mode)
    assert not object_code.is_cached()


def test_a_pipe_in_the_place_of_code_does_not_block(cache: Path):
    cache.mkdir()
    os.mkfifo(object_code._cache_path())
    assert not object_code.is_cached()


class TestCodeThatCannotBeUsed:
    """It is known from then on, so that it is not compiled each time."""

    def check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(object_code.NoCompiler, match="code compiled on this machine cannot be used"):
            object_code.kernels(lambda _: False)
        monkeypatch.delattr(object_code, "_compiled")
        assert object_code.is_cached()
        with pytest.raises(object_code.NoCompiler, match="code compiled on this machine cannot be used"):
            object_code.kernels(lambda _: True)

    def test_as_it_computes_other_values(self, cache: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[bytes]):
        self.check(monkeypatch)

    def test_as_it_needs_what_is_not_there(self, cache: Path, monkeypatch: pytest.MonkeyPatch):
        def refuse() -> bytes:
            raise object_code.NoCompiler("the compiled code needs functions that are missing: sqrtf")

        monkeypatch.setattr(object_code, "_compiled", refuse)
        self.check(monkeypatch)


def test_the_engine_lets_just_compiled_code_prove_itself(
    cache: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[bytes]
):
    proven = []
    monkeypatch.setattr(compiled_module, "gives_reference_bits", lambda engine: proven.append(engine))
    with pytest.raises(object_code.NoCompiler):
        compiled_module.CompiledEngine()
    assert len(proven) == 1


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null"])
def test_where_nothing_can_be_kept_the_code_is_made_each_time(
    cache: Path, monkeypatch: pytest.MonkeyPatch, code: bytes, compilations: list[bytes], place: str
):
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    object_code._cache_path.cache_clear()
    for times in (1, 2):
        assert not object_code.is_cached()
        assert set(object_code.kernels(lambda _: True)) == set(object_code.SIGNATURES)
        assert compilations == [code] * times
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
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert object_code.cache_directory() == "/home/someone/.cache/initctl"


def test_without_a_home_nothing_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert object_code._cache_path() is None
    assert not object_code.is_cached()
    object_code._write(None, b"code")


def test_what_was_made_last_is_kept(cache: Path):
    for number in range(object_code._KEPT + 3):
        path = cache / f"kernels-{number}.o"
        object_code._write(str(path), b"code")
        os.utime(path, (number, number))
    object_code._write(str(cache / "kernels-new.o"), b"code")
    kept = {path.name for path in cache.iterdir()}
    assert len(kept) == object_code._KEPT
    assert kept >= {"kernels-new.o", f"kernels-{number}.o"}


@pytest.mark.parametrize("missing", ["numba", "llvmlite.binding"])
def test_without_a_compiler_there_is_a_reason(cache: Path, monkeypatch: pytest.MonkeyPatch, missing: str):
    for name in [name for name in sys.modules if name.startswith("initctl.stream.engines.kernels")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(object_code.NoCompiler, match=missing):
        object_code.kernels(lambda _: True)
