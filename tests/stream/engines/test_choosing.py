"""Which engine does the work, and the reason it gives."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from initctl.errors import StorageError, UsageError
from initctl.stream.devices import cuda_wins
from initctl.stream.engines import Engine, Work, choose, object_code
from initctl.stream.engines.device import TorchEngine, orthonormal_on, torch_device
from initctl.stream.orthonormal import flops, orthonormal

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.stream.engines.compiled import CompiledEngine

SMALL, LARGE, HUGE = 10**5, 10**8, 10**10


@pytest.fixture
def cached(compiled: CompiledEngine, monkeypatch: pytest.MonkeyPatch):
    """Whether compiled code is at hand."""
    return lambda answer: monkeypatch.setattr(object_code, "is_cached", lambda: answer)


def test_small_work_is_numpys_and_does_not_look_for_a_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    engine, reason = choose(Work(SMALL, 10), threads=1)
    assert (engine.name, reason) == ("numpy", "too little work to load compiled code")


def test_work_beyond_that_is_compiled_codes(cached):
    cached(True)
    engine, reason = choose(Work(LARGE, 10), threads=2)
    assert (engine.name, reason) == ("compiled", "numpy would take about 1.5 s")


def test_many_small_tensors_are_as_much_work_as_large_ones(cached):
    cached(True)
    assert choose(Work(10**5, 10**5), threads=64).engine.name == "compiled"


def test_where_nothing_is_compiled_yet_the_work_must_be_worth_it(cached):
    cached(False)
    engine, reason = choose(Work(LARGE, 10), threads=2)
    assert (engine.name, reason) == ("numpy", "about 1.5 s of work, less than compiling takes")
    assert choose(Work(5 * LARGE, 10), threads=2).engine.name == "compiled"


def test_work_of_several_runs_is_worth_it_together(cached, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cached(False)
    code = shutil.copy(object_code._cache_path(), tmp_path / "kernels-1.o")
    monkeypatch.setattr(object_code, "_cache_path", lambda: str(code))
    heard = []
    names = [choose(Work(LARGE, 10), threads=2, on_compiling=lambda: heard.append(1)).engine.name for _ in range(4)]
    assert (names, heard) == (["numpy", "numpy", "numpy", "compiled"], [1])
    object_code._write(str(code), b"new code")
    assert [path.name for path in tmp_path.iterdir()] == ["kernels-1.o"], "the note of the work is gone"


def test_work_is_not_noted_if_there_is_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for path in (None, str(tmp_path / "file" / "kernels-1.o")):
        (tmp_path / "file").touch()
        monkeypatch.setattr(object_code, "_cache_path", lambda path=path: path)
        assert [object_code.work_without(2.0), object_code.work_without(2.0)] == [2.0, 2.0]


def test_without_a_compiler_numpy_does_all_of_it_and_says_why(monkeypatch: pytest.MonkeyPatch):
    def no_compiler() -> bool:
        raise object_code.NoCompiler("ImportError: none")

    monkeypatch.setattr(object_code, "is_cached", no_compiler)
    engine, reason = choose(Work(HUGE, 10), threads=2)
    assert (engine.name, reason) == ("numpy", "compiled code is not available: ImportError: none")


def test_large_decompositions_are_torchs_and_small_ones_numpys():
    small, large = (choose(Work(0, 1, flops(1, size, size)), threads=3) for size in (500, 5000))
    assert small.engine.orthonormal is orthonormal
    assert small.reason.endswith("; QR by numpy")
    assert large.engine.orthonormal.func is orthonormal_on
    assert large.engine.orthonormal.keywords == {"device": "cpu", "threads": 3}
    assert large.reason.endswith("; QR by torch")
    assert large.engine.draws((0, 0)).orthonormal is large.engine.orthonormal


def test_where_torch_cannot_be_loaded_decompositions_are_numpys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "initctl.stream.engines.device", None)
    engine, reason = choose(Work(0, 1, flops(1, 5000, 5000)), threads=3)
    assert engine.orthonormal is orthonormal
    assert "; QR by numpy: torch cannot be imported: " in reason


def test_a_gpu_wins_for_decompositions_that_take_a_processor_long():
    assert not cuda_wins(flops(1, 4096, 4096), threads=1)
    assert cuda_wins(flops(10, 4096, 4096), threads=2)
    assert not cuda_wins(flops(10, 4096, 4096), threads=16)


@pytest.mark.parametrize(("shape", "expected"), [((1, 8, 8), 4 * (8**3 * 2 / 3)), ((3, 4, 10), 3 * 4 * (160 - 64 / 3))])
def test_the_operations_of_a_decomposition(shape, expected):
    batch, rows, columns = shape
    assert flops(batch, rows, columns) == flops(batch, columns, rows) == pytest.approx(expected)


class TestADevice:
    def test_of_torch_is_used_as_asked_for(self):
        engine, reason = choose(Work(SMALL, 1), threads=1, device="cpu:0")
        assert (engine.name, reason) == ("torch on cpu:0", "the plan's device; other work by engine numpy")
        assert isinstance(engine.host.orthonormal, partial)

    def test_that_torch_does_not_know_is_a_usage_error(self):
        with pytest.raises(UsageError, match="unknown device quantum; use cpu, cuda, cuda:N or auto"):
            torch_device("quantum")

    @pytest.mark.parametrize("name", ["cuda:99", "xpu", "mps"])
    def test_that_is_not_there_is_an_error_that_says_what_to_do(self, name):
        with pytest.raises(StorageError, match=rf"device {name}: .*; use device='cpu'"):
            torch_device(name)

    def test_that_computes_other_bits_is_refused(self, monkeypatch: pytest.MonkeyPatch):
        from initctl.stream.engines import device

        monkeypatch.setattr(device.TorchDraws.formulas, "sqrt", lambda x: x.sqrt() * 1.0000001)
        with pytest.raises(StorageError, match="torch on cpu: computes different values than the processor"):
            TorchEngine("cpu", Engine())

    def test_that_fails_at_work_is_a_storage_error(self, monkeypatch: pytest.MonkeyPatch):
        from initctl.stream.engines import device

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("CUDA out of memory.\nTried to allocate")

        monkeypatch.setattr(device.TorchDraws, "words", fail)
        with pytest.raises(StorageError, match=r"^torch on cpu: CUDA out of memory\.; use device='cpu'$"):
            TorchEngine("cpu", Engine())

    def test_that_has_too_little_memory_for_a_decomposition_is_a_storage_error(self, monkeypatch: pytest.MonkeyPatch):
        def fail(*_: object, **__: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

        monkeypatch.setattr(torch, "geqrf", fail)
        with pytest.raises(StorageError, match=r"^QR on cpu: CUDA out of memory\..*GiB$"):
            orthonormal_on(np.eye(3, dtype=np.float32)[np.newaxis], "cpu")
