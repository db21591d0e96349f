"""What cannot fit the memory is refused before anything is written."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import initctl
from initctl.filling import memory
from initctl.stream.engines import device
from tests.commit.folders import snapshot
from tests.execution.checkpoints import single
from tests.formats.handwritten import safetensors_bytes, tensor

LIMITED = """
import resource, sys
import initctl
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    initctl.apply(sys.argv[1], sys.argv[2], rules=["w=" + sys.argv[3]])
except initctl.StorageError as error:
    print(error.problems[0].code, error)
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A matrix of 4 GB that takes no room on the disk."""
    path, size = tmp_path / "large.safetensors", 4 * 2**30
    header = safetensors_bytes({"w": tensor("F32", [2**15, 2**15], [0, size])}, b"")
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + size)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say what is available")
def test_a_tensor_that_does_not_fit_is_refused_before_anything_is_written(large: Path, tmp_path: Path):
    before = large.stat()
    command = [sys.executable, "-c", LIMITED, large, tmp_path / "out", "orthogonal"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.startswith(
        "storage.memory rule 1 (w=orthogonal): tensor w: orthogonal needs about 47.2 GB of memory at"
    )
    assert told.endswith("is available; run it on a machine with more memory\n")
    assert list(tmp_path.iterdir()) == [large]
    assert (large.stat().st_ino, large.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_least_of_all_limits_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = single(tmp_path / "model.safetensors")
    before = snapshot(tmp_path)
    monkeypatch.setattr(memory, "_limits", lambda: iter([10**12, 999, 10**9]))
    with pytest.raises(initctl.StorageError, match=r"but only 9\.99e-07 GB is available"):
        initctl.apply(path, in_place=True, rules=["embed.weight=orthogonal"])
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(("free", "refused"), [(999, True), (10**12, False), (None, False)])
def test_that_of_the_device_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, refused: bool):
    monkeypatch.setattr(memory, "_limits", lambda: iter([10**12]))
    monkeypatch.setattr(device, "free_memory", {"cpu:0": free}.__getitem__)
    expected = (
        pytest.raises(initctl.StorageError, match=r"9\.99e-07 GB is free on cpu:0; use device='cpu'")
        if refused
        else nullcontext()
    )
    with expected:
        initctl.apply(single(tmp_path / "in"), tmp_path / "out", rules=["embed.weight=orthogonal"], device="cpu:0")
    assert (tmp_path / "out").exists() is not refused


def test_that_of_the_device_does_not_count_for_what_the_processor_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(device, "free_memory", {"cpu:0": 0}.__getitem__)
    rules = ["embed.weight=sparse:sparsity=0.5"]
    initctl.apply(single(tmp_path / "in"), tmp_path / "out", rules=rules, device="cpu:0")
    assert (tmp_path / "out").exists()


def test_of_a_device_is_asked_only_where_torch_can_tell():
    assert device.free_memory("cpu") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_of_a_gpu_is_a_size():
    assert device.free_memory("cuda") > 2**20


def test_laws_of_single_elements_are_not_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_limits", lambda: iter([0]))
    initctl.apply(single(tmp_path / "in"), tmp_path / "out", rules=["embed.weight=normal"])
    assert (tmp_path / "out").exists()


def test_where_the_system_says_nothing_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_limits", lambda: iter([]))
    initctl.apply(single(tmp_path / "in"), tmp_path / "out", rules=["embed.weight=orthogonal"])
    assert (tmp_path / "out").exists()


def group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content.strip()}\n")


class TestLimits:
    @pytest.fixture
    def system(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The files in which a system says what it allows."""
        monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "meminfo"))
        monkeypatch.setattr(memory, "_OWN_GROUP", str(tmp_path / "own"))
        monkeypatch.setattr(memory, "_GROUPS", str(tmp_path / "groups"))
        return tmp_path

    def test_of_a_machine(self, system: Path):
        (system / "meminfo").write_text("MemTotal:  20 kB\nMemAvailable:   7 kB\n")
        assert list(memory._machine()) == [7 * 1024]

    def test_of_a_control_group_are_those_of_all_it_lies_in(self, system: Path):
        (system / "own").write_text("0::/outer/inner\n")
        for name, limit, used in [("", None, None), ("outer", "1000", "400"), ("outer/inner", "max", "300")]:
            group(system / "groups" / name, {"memory.max": limit, "memory.current": used} if limit else {})
        assert list(memory._control_groups()) == [600]
        (system / "groups" / "outer" / "inner" / "memory.max").write_text("100\n")
        assert list(memory._control_groups()) == [0, 600]

    def test_of_a_control_group_that_is_not_seen_from_inside_are_those_of_the_top(self, system: Path):
        (system / "own").write_text("0::/kubepods/pod1\n")
        group(system / "groups", {"memory.max": "1000", "memory.current": "400"})
        assert list(memory._control_groups()) == [600]

    def test_of_a_control_group_do_not_count_what_caches_files(self, system: Path):
        (system / "own").write_text("0::/\n")
        stat = "anon 100\nactive_file 200\ninactive_file 500\nslab_reclaimable 50\nslab 90\n"
        group(system / "groups", {"memory.max": "1000", "memory.current": "990", "memory.stat": stat})
        assert list(memory._control_groups()) == [760]

    def test_of_a_control_group_of_the_first_version(self, system: Path):
        (system / "own").write_text("5:devices:/\n4:cpu,memory:/job\n0::/\n")
        stat = "cache 800\ntotal_active_file 200\ntotal_inactive_file 500\n"
        files = {"memory.limit_in_bytes": "1000", "memory.usage_in_bytes": "990", "memory.stat": stat}
        group(system / "groups" / "memory" / "job", files)
        assert list(memory._control_groups()) == [710]

    @pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="this system has no control groups")
    def test_of_this_machine_are_sizes(self):
        assert all(limit > 2**20 for limit in (*memory._machine(), *memory._control_groups()))

    def test_that_are_nowhere_written_are_none(self, system: Path):
        assert list(memory._machine()) == list(memory._control_groups()) == []
