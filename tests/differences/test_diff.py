"""What `initctl.diff` says of real files is what NumPy computes of the values that torch loads."""

from __future__ import annotations

import json
import os
import tracemalloc
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.commit.copying import read_into
from initctl.differences.comparing import _SMALL
from initctl.events import Progress
from initctl.layout.pieces import AT_ONCE, PIECE
from tests.cli.checkpoints import checkpoint
from tests.execution.checkpoints import METADATA, network, sharded, single
from tests.execution.torch_files import FORMATS, bits, save
from tests.execution.torch_files import network as views
from tests.formats.ranks import saved_alone
from tests.statistics.test_stats import DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIZES = [_SMALL + 1, AT_ONCE[2] // 4 + 1, 3 * PIECE // 4 + 7]
"""Elements of float32 that are compared at once, in a few steps, and in a few tasks."""


def elements(tensor: torch.Tensor) -> np.ndarray:
    """As doubles, or as pairs of them that NumPy takes for one number."""
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64).numpy().reshape(-1)


def raw(tensor: torch.Tensor) -> np.ndarray:
    """The bytes of each element."""
    return tensor.contiguous().reshape(-1, 1).view(torch.uint8).numpy().reshape(tensor.numel(), -1)


def check(found: Mapping[str, Any], one: torch.Tensor, other: torch.Tensor) -> None:
    """Whether `found` says how far `other` is from `one`."""
    x, y = elements(one), elements(other)
    is_same = one.dtype == other.dtype
    differ = (raw(one) != raw(other)).any(1) if is_same else (x != y) & ~(np.isnan(x) & np.isnan(y))
    assert found["kind"] == ("values" if is_same else "dtype")
    assert found["changed_elements"] == differ.sum()
    first = np.unravel_index(differ.argmax(), one.shape) if differ.any() else None
    assert found["first"] == (None if first is None else list(map(int, first)))
    finite = np.isfinite(x) & np.isfinite(y)
    assert found["not_finite"] == x.size - finite.sum()
    x, y = x[finite], y[finite]
    if not x.size:
        assert [found[key] for key in ("max_abs", "mean_abs", "rel_norm", "cosine")] == [None] * 4
        return
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(x), np.linalg.norm(y)
        wanted = {
            "max_abs": np.abs(x - y).max(), "mean_abs": np.abs(x - y).mean(),
            "rel_norm": np.linalg.norm(x - y) / norms[0], "cosine": np.vdot(y, x).real / norms[0] / norms[1],
        }  # fmt: skip
    for key, value in wanted.items():
        if np.isfinite((value, *norms)).all():  # NumPy's sums of the largest doubles overflow, and so do ours
            assert found[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key


def data(one: Path, other: Path, *patterns: str, **options: Any) -> dict[str, Any]:
    """What the library says, as JSON has it: nothing in it that JSON has not."""
    found = initctl.diff(one, other, patterns, **options)
    written = found.to_json()
    assert found.differ == written["differ"]
    read: dict[str, Any] = json.loads(json.dumps(written, allow_nan=False))
    return read


def changed(one: Path, other: Path, *patterns: str, **options: Any) -> dict[str, dict[str, Any]]:
    return {found["name"]: found for found in data(one, other, *patterns, **options)["changed"]}


def saved(path: Path, tensors: Mapping[str, torch.Tensor], **metadata: str) -> Path:
    save_file(dict(tensors), path, metadata or None)
    return path


class TestNumbers:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", [(), (1,), (7, 5), (150, 1001)], ids=str)
    def test_are_numpys_for_every_dtype_and_shape(self, tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]):
        one, other = (bits(dtype, *shape, seed=seed) for seed in (1, 2))
        other = torch.where(torch.rand(shape) < 0.3, one, other) if shape and dtype.itemsize > 1 else other
        paths = [saved(tmp_path / f"{n}.safetensors", {"w": tensor}) for n, tensor in enumerate((one, other))]
        found = changed(*paths)
        if torch.equal(raw_of(one), raw_of(other)):
            assert not found
        else:
            check(found["w"], one, other)

    @pytest.mark.parametrize("kind", FORMATS)
    def test_are_numpys_for_views_ties_and_buffers_of_torch_save(self, tmp_path: Path, kind: str):
        before, after = views(), views()
        for name in ("proj.weight", "stepped.weight", "part.weight", "steps", "half.weight"):
            after[name][-1] = after[name].flip(-1)[-1] if name != "steps" else 9
        after["embed.weight"][3, 4] = 1.5
        found = changed(save(tmp_path / "a.pt", before, kind), save(tmp_path / "b.pt", after, kind))
        names = ["embed.weight", "half.weight", "head.weight", "part.weight", "proj.weight", "stepped.weight", "steps"]
        assert sorted(found) == names
        for name in names:
            check(found[name], before[name], after[name])

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("at", [0, -1, None], ids=["first", "last", "all"])
    def test_are_of_the_whole_tensor_wherever_it_changed(self, tmp_path: Path, size: int, at: int | None):
        one = torch.randn(size)
        other = one + 1e-3 if at is None else one.clone()
        if at is not None:
            other[at] += 1
        paths = [saved(tmp_path / f"{n}.safetensors", {"w": tensor}) for n, tensor in enumerate((one, other))]
        one_thread, two, seven = (changed(*paths, threads=threads) for threads in (1, 2, 7))
        check(one_thread["w"], one, other)
        assert one_thread == two == seven

    @pytest.mark.parametrize("at", [[(299, 1)], [(1, 299), (2, 0)], [(0, 0)]], ids=str)
    @pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (2, 0, 1)], ids=str)
    def test_are_the_same_for_what_is_transposed_in_both_files(
        self, tmp_path: Path, order: tuple[int, ...], at: list[tuple[int, int]]
    ):
        """They are read in the order of the files, and the first change is that of the tensor."""
        one = torch.randn(300, 350, 25)
        other = one.clone()
        for row, column in at:
            other[row, column, 3:] += 1
        stored = [tensor.permute(order).contiguous().permute(np.argsort(order).tolist()) for tensor in (one, other)]
        found = changed(*(save(tmp_path / f"{n}.pt", {"w": tensor}) for n, tensor in enumerate(stored)))
        check(found["w"], one, other)

    def test_are_the_same_for_what_is_transposed_in_two_ways(self, tmp_path: Path):
        one = torch.randn(30, 40, 50)
        other = one + (torch.rand(30, 40, 50) < 0.01)
        a = save(tmp_path / "a.pt", {"w": one.permute(1, 0, 2).contiguous().permute(1, 0, 2)})
        b = save(tmp_path / "b.pt", {"w": other.permute(2, 1, 0).contiguous().permute(2, 1, 0)})
        check(changed(a, b)["w"], one, other)

    @pytest.mark.parametrize(
        "dtypes", [("float32", "bfloat16"), ("bfloat16", "float32"), ("int64", "float64")], ids=str
    )
    @pytest.mark.parametrize("size", [10, *SIZES[1:]])
    def test_are_compared_if_the_dtype_changed(self, tmp_path: Path, dtypes: tuple[str, str], size: int):
        one, other = (bits(getattr(torch, dtype), size) for dtype in dtypes)
        one[:5] = other[:5] = torch.arange(5)
        paths = [saved(tmp_path / f"{n}.safetensors", {"w": tensor}) for n, tensor in enumerate((one, other))]
        check(changed(*paths)["w"], one, other)

    @pytest.mark.parametrize("size", [10, *SIZES])
    def test_of_another_dtype_are_compared_even_if_bytes_are_equal(self, tmp_path: Path, size: int):
        a = saved(tmp_path / "a.safetensors", {"w": torch.zeros(size)})
        b = saved(tmp_path / "b.safetensors", {"w": torch.zeros(size, dtype=torch.int32)})
        check(changed(a, b)["w"], torch.zeros(size), torch.zeros(size, dtype=torch.int32))

    def test_a_wider_dtype_changes_no_number(self, tmp_path: Path):
        one = torch.tensor([1.5, -0.0, float("nan"), float("inf")], dtype=torch.bfloat16)
        paths = (
            saved(tmp_path / "a.safetensors", {"w": one}),
            saved(tmp_path / "b.safetensors", {"w": one.to(torch.float32)}),
        )
        found = changed(*paths)["w"]
        assert (found["kind"], found["changed_elements"], found["first"], found["max_abs"]) == ("dtype", 0, None, 0)

    def test_an_element_changed_if_its_bits_did(self, tmp_path: Path):
        quiet, signed = np.array([0x7FC00000, 0xFFC00000], np.uint32).view(np.float32)
        one, other = (
            torch.from_numpy(np.array(v, np.float32)) for v in ([0.0, quiet, quiet, 1], [-0.0, quiet, signed, 1])
        )
        paths = [saved(tmp_path / f"{n}.safetensors", {"w": tensor}) for n, tensor in enumerate((one, other))]
        found = changed(*paths)["w"]
        assert (found["changed_elements"], found["first"], found["max_abs"], found["not_finite"]) == (2, [0], 0, 2)

    def test_of_integers_are_exact(self, tmp_path: Path):
        one, other = torch.tensor([2**62, 5]), torch.tensor([2**62 + 1, 5])
        paths = [saved(tmp_path / f"{n}.safetensors", {"w": tensor}) for n, tensor in enumerate((one, other))]
        assert changed(*paths)["w"]["max_abs"] == 1

    def test_of_packed_elements_are_not_known(self, tmp_path: Path):
        paths = []
        for n, last in enumerate((7, 7, 8)):
            paths.append(checkpoint(tmp_path / f"{n}.safetensors", {"w": ("F4", (4, 6))}))
            with open(paths[-1], "r+b") as stream:
                stream.seek(-1, 2)
                stream.write(bytes([last]))
        assert not data(paths[0], paths[1])["differ"]
        found = changed(paths[0], paths[2])["w"]
        assert (found["kind"], found["changed_elements"], found["first"], found["max_abs"]) == (
            "values",
            None,
            None,
            None,
        )


def raw_of(tensor: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(raw(tensor))


class TestTensors:
    def test_are_the_same_in_every_format(self, tmp_path: Path):
        tensors = network()
        files = [
            single(tmp_path / "m.safetensors"), sharded(tmp_path / "shards"), save(tmp_path / "m.pt", tensors),
            save(tmp_path / "legacy.pt", tensors, "legacy"), saved_alone(tmp_path / "dcp", tensors),
            save(tmp_path / "train.ckpt", {"model": tensors, "step": 3}),
        ]  # fmt: skip
        for one, other in product(files, repeat=2):
            found = data(one, other)
            assert (found["changed"], found["only_a"], found["only_b"]) == ([], [], [])
            assert found["totals"] == {"tensors": 7, "elements": 553, "bytes": 2216}

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64, torch.int16])
    def test_differ_by_the_same_numbers_in_every_format(self, tmp_path: Path, dtype: torch.dtype):
        before = {"w": bits(dtype, 90, 70, seed=1), "v": bits(dtype, 5, seed=2)}
        after = {"w": bits(dtype, 90, 70, seed=3), "v": before["v"]}
        a = saved(tmp_path / "a.safetensors", before)
        b = save(tmp_path / "b.pt", after | {"w": after["w"].T.contiguous().T})
        found = changed(a, b)
        assert list(found) == ["w"]
        check(found["w"], before["w"], after["w"])
        if dtype != torch.complex64:
            assert changed(a, saved_alone(tmp_path / "dcp", after)) == found

    def test_in_one_of_both_are_named(self, tmp_path: Path):
        a = saved(tmp_path / "a.safetensors", {"x": torch.ones(1), "y": torch.ones(1)})
        b = saved(tmp_path / "b.safetensors", {"z": torch.ones(1), "y": torch.ones(1)})
        found = data(a, b)
        assert (found["only_a"], found["only_b"], found["changed"], found["differ"]) == (["x"], ["z"], [], True)
        assert initctl.diff(a, b).report()[0] == "1 tensor is identical, 4 bytes; 1 only in A; 1 only in B"

    def test_of_another_shape_have_no_numbers(self, tmp_path: Path):
        a = saved(tmp_path / "a.safetensors", {"w": torch.ones(2, 3)})
        b = saved(tmp_path / "b.safetensors", {"w": torch.ones(3, 2, dtype=torch.float16)})
        found = changed(a, b)["w"]
        assert (found["kind"], found["a"], found["b"]) == (
            "shape", {"dtype": "float32", "shape": [2, 3]}, {"dtype": "float16", "shape": [3, 2]},
        )  # fmt: skip
        assert {found[key] for key in ("max_abs", "mean_abs", "rel_norm", "cosine", "changed_elements", "first")} == {
            None
        }

    def test_without_elements_are_equal(self, tmp_path: Path):
        a = saved(tmp_path / "a.safetensors", {"w": torch.ones(0, 3)})
        assert not data(a, saved(tmp_path / "b.safetensors", {"w": torch.ones(0, 3)}))["differ"]
        found = changed(a, saved(tmp_path / "c.safetensors", {"w": torch.ones(0, 3, dtype=torch.int8)}))["w"]
        assert (found["kind"], found["changed_elements"], found["mean_abs"]) == ("dtype", 0, None)

    def test_that_are_tied_in_one_file_only_are_compared_under_both_names(self, tmp_path: Path):
        embed = torch.randn(4, 3)
        torch.save({"embed": embed, "head": embed}, tmp_path / "a.pt")
        b = saved(tmp_path / "b.safetensors", {"embed": embed}, head="embed")
        c = saved(tmp_path / "c.safetensors", {"embed": embed, "head": embed + 1})
        assert not data(tmp_path / "a.pt", b)["differ"]
        assert list(changed(tmp_path / "a.pt", c)) == ["head"]
        assert list(changed(c, b)) == ["head"]

    def test_that_cannot_be_read_are_listed_and_end_nothing(self, tmp_path: Path):
        tensors = {"w": torch.ones(3), "sparse": torch.eye(4).to_sparse(), "meta": torch.empty(5, device="meta")}
        a = save(tmp_path / "a.pt", tensors)
        found = data(a, a)
        assert [(each["name"], bool(each["reason"])) for each in found["not_compared"]] == [
            ("sparse", True),
            ("meta", True),
        ]
        assert not found["differ"]
        verdict, _, *lines = initctl.diff(a, a).report()
        assert verdict == "1 tensor is identical, 12 bytes; 2 tensors could not be compared"
        assert lines[0] == "not compared: sparse: it is sparse"
        other = save(tmp_path / "b.pt", tensors | {"meta": torch.empty(6, device="meta"), "sparse": torch.ones(4, 4)})
        assert [(each["name"], each["kind"]) for each in data(a, other)["changed"]] == [("meta", "shape")]

    def test_one_of_many_small_ones_is_found(self, tmp_path: Path):
        a = {
            f"layers.{n}.{dtype}": bits(dtype, n % 7, 3, seed=n)
            for n in range(300)
            for dtype in (torch.int8, torch.float32)
        }
        b = {name: tensor.clone() for name, tensor in a.items()}
        b["layers.208.torch.float32"][1, 2] = 5
        paths = [saved(tmp_path / "a.safetensors", a), save(tmp_path / "b.pt", b)]
        found = changed(*paths)
        assert list(found) == ["layers.208.torch.float32"]
        check(found["layers.208.torch.float32"], a["layers.208.torch.float32"], b["layers.208.torch.float32"])


class TestRoots:
    @pytest.fixture
    def training(self, tmp_path: Path) -> Path:
        state = {"w": torch.ones(3), "b": torch.zeros(2)}
        ema = {"w": torch.ones(3) / 2, "b": torch.zeros(2)}
        return save(tmp_path / "run.ckpt", {"model": state, "ema": ema, "step": 3})

    def test_two_of_one_file_can_be_compared(self, training: Path):
        assert list(changed(training, training, root="model", other_root="ema")) == ["w"]
        assert not data(training, training, root="ema")["differ"]

    def test_two_of_one_file_that_are_equal_are_the_same_beside_whatever_else_it_holds(self, tmp_path: Path):
        state = {"w": torch.ones(3)}
        path = save(tmp_path / "run.ckpt", {"model": state, "ema": state, "moments": {"w": torch.zeros(3)}})
        found = initctl.diff(path, path, root="model", other_root="ema")
        assert (found.differ, found.only_a, found.only_b) == (False, (), ())
        assert [pair.name for pair in found.tensors.pairs] == ["w", "moments.w"]

    def test_names_are_relative_to_each_ones_root(self, training: Path, tmp_path: Path):
        b = saved(tmp_path / "b.safetensors", {"w": torch.ones(3), "b": torch.zeros(2)})
        found = data(training, b)
        assert (found["differ"], found["a"]["root"], found["b"]["root"]) == (False, "model", "")
        assert (found["a"]["outside"], found["b"]["outside"]) == (2, 0)
        assert initctl.diff(training, b).report()[-1] == "not compared: 2 tensors outside the root, only in A"
        assert list(changed(training, b, root="ema", other_root="")) == ["w"]

    @pytest.mark.parametrize("order", [1, -1])
    def test_that_would_pair_the_names_are_proposed(self, tmp_path: Path, order: int):
        tensors = {"h.0.w": torch.ones(3), "h.1.w": torch.zeros(2)}
        nested = {f"model.{name}": tensor for name, tensor in tensors.items()} | {"head": torch.ones(1)}
        paths = [saved(tmp_path / "a.safetensors", nested), saved(tmp_path / "b.safetensors", tensors)][::order]
        whole, part, roots = ("A", "B", ("model", "")) if order == 1 else ("B", "A", ("", "model"))
        options = "--root {} --other-root {}".format(*(root or "''" for root in roots))
        line = f"{whole} has the tensors of {part} under model: to compare them, use {options}"
        assert initctl.diff(*paths).report()[-1] == line
        assert not data(*paths, root=roots[0], other_root=roots[1])["changed"]

    def test_that_would_not_pair_all_names_are_not_proposed(self, tmp_path: Path):
        a = saved(tmp_path / "a.safetensors", {"model.w": torch.ones(1), "x": torch.ones(1)})
        b = saved(tmp_path / "b.safetensors", {"w": torch.ones(1), "v": torch.ones(1)})
        assert "compare them" not in str(initctl.diff(a, b))

    def test_what_is_outside_of_both_is_compared_too(self, training: Path, tmp_path: Path):
        other = torch.load(training)
        other["ema"]["b"] += 1
        other["step"] = 4
        found = data(training, save(tmp_path / "other.ckpt", other))
        assert [each["name"] for each in found["changed"]] == ["ema.b"]
        assert found["metadata"] == [{"key": "step", "a": "3", "b": "4"}]
        assert not data(training, tmp_path / "other.ckpt", "*")["differ"]

    def test_a_component_is_that_of_both_if_both_are_directories(self, tmp_path: Path):
        for name in ("a", "b"):
            single(tmp_path / name / "unet" / "diffusion_pytorch_model.safetensors")
            (tmp_path / name / "model_index.json").write_text("{}")
        single(tmp_path / "one.safetensors")
        assert not data(tmp_path / "a", tmp_path / "b", component="unet")["differ"]
        assert not data(tmp_path / "a", tmp_path / "one.safetensors", component="unet")["differ"]


class TestMetadata:
    def test_of_safetensors_is_compared_whatever_file_it_is_in(self, tmp_path: Path):
        a, b = sharded(tmp_path / "a"), single(tmp_path / "b.safetensors")
        assert not data(a, b)["differ"]
        metadata = {**METADATA, "note": "other", "new": "1"}
        del metadata["zeta"]
        save_file(network(), b, metadata)
        assert data(a, b)["metadata"] == [
            {"key": "new", "a": None, "b": "1"},
            {"key": "note", "a": "é\n", "b": "other"},
            {"key": "zeta", "a": "1", "b": None},
        ]
        assert data(a, b)["differ"]

    def test_of_two_formats_is_not_compared(self, tmp_path: Path):
        a = saved(tmp_path / "a.safetensors", {"w": torch.ones(1)}, note="x")
        assert not data(a, save(tmp_path / "b.pt", {"w": torch.ones(1)}))["differ"]


class TestOtherFiles:
    def test_of_two_directories_are_compared_by_their_bytes(self, tmp_path: Path):
        a, b = sharded(tmp_path / "a"), sharded(tmp_path / "b")
        (a / "large").write_bytes(bytes(3 * PIECE))
        (b / "large").write_bytes(bytes(3 * PIECE - 1) + b"\1")
        (b / "config.json").write_text('{"model_type": "ones"}')
        (b / "extra" / "deep" / "notes.txt").write_bytes(b"longer notes")
        (a / "empty").unlink()
        (b / ".cache").mkdir()
        (b / ".cache" / "hidden").touch()
        found = data(a, b)
        assert found["files"] == {
            "changed": ["config.json", "extra/deep/notes.txt", "large"], "only_a": [], "only_b": ["empty"],
        }  # fmt: skip
        verdict, _, *lines = initctl.diff(a, b).report()
        assert verdict == "7 tensors are identical, 2.2 kB; 4 other files differ"
        assert lines == [
            "file config.json: differs", "file extra/deep/notes.txt: differs", "file large: differs",
            "file empty: only in B",
        ]  # fmt: skip

    def test_of_equal_directories_are_counted(self, tmp_path: Path):
        (verdict,) = initctl.diff(sharded(tmp_path / "a"), sharded(tmp_path / "b")).report()
        assert verdict == "identical: 7 tensors, 2.2 kB, 3 other files"

    def test_in_one_directory_only_are_a_difference(self, tmp_path: Path):
        a, b = sharded(tmp_path / "a"), sharded(tmp_path / "b")
        (a / "empty").unlink()
        assert data(a, b)["differ"]
        assert data(b, a)["files"]["only_a"] == ["empty"]

    def test_beside_a_single_file_do_not_matter(self, tmp_path: Path):
        sharded(tmp_path / "a")
        assert data(tmp_path / "a", single(tmp_path / "b.safetensors"))["files"]["only_a"] == []


def test_progress_comes_to_the_bytes_of_all_tensors(tmp_path: Path):
    one = torch.zeros(3 * PIECE // 4)
    other = one.clone()
    other[-1] = 1
    paths = [saved(tmp_path / f"{n}.safetensors", {"w": t, "b": torch.zeros(5)}) for n, t in enumerate((one, other))]
    events: list[Any] = []
    initctl.diff(*paths, threads=1, on_event=events.append)
    assert events[-1] == Progress(5 * PIECE + 20, 5 * PIECE + 20)  # all, and once more what was equal before the change


def test_a_checkpoint_that_changes_meanwhile_is_a_conflict(tmp_path: Path):
    a, b = single(tmp_path / "a.safetensors"), single(tmp_path / "b.safetensors")
    with pytest.raises(initctl.ConflictError, match=r"b\.safetensors: changed while it was read"):
        initctl.diff(a, b, on_event=lambda _: os.utime(b, ns=(1, 1)))


def test_it_shows_itself_wherever_it_is_looked_at(tmp_path: Path):
    result = initctl.diff(single(tmp_path / "a.safetensors"), single(tmp_path / "b.safetensors", torch.bfloat16))
    assert repr(result).startswith("6 of 7 tensors differ")
    assert "<table>" in result._repr_html_()
    assert isinstance(result, initctl.Differences)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each read of tensors."""
    made: list[int] = []

    def noted(descriptor: int, room: memoryview, start: int) -> None:
        made.append(room.nbytes)
        read_into(descriptor, room, start)

    monkeypatch.setattr("initctl.reading.read_into", noted)
    return made


def test_transposed_tensors_are_read_from_beginning_to_end(tmp_path: Path, reads: list[int]):
    matrix = torch.randn(2000, 3000)
    paths = [save(tmp_path / name, {"w": matrix.T}) for name in ("a.pt", "b.pt")]
    assert not data(*paths)["differ"]
    assert sum(reads) == 2 * matrix.nbytes
    assert len(reads) < 2 * matrix.nbytes / AT_ONCE[2] + 2


def test_forty_thousand_small_tensors_are_read_together(tmp_path: Path, reads: list[int]):
    tensors = {f"layers.{n}.weight": ("BF16", (3, 4)) for n in range(40_000)}
    paths = [checkpoint(tmp_path / name, tensors) for name in ("a.safetensors", "b.safetensors")]
    with open(paths[1], "r+b") as stream:
        stream.seek(-24, os.SEEK_END)
        stream.write(b"\0\0\x80\x3f")  # 0 and 1
    (found,) = data(*paths)["changed"]
    assert (found["name"], found["first"], found["max_abs"]) == ("layers.39999.weight", [0, 1], 1)
    assert len(reads) < 2 * (960_000 / AT_ONCE[2] + 2)


def test_a_large_tensor_takes_no_more_memory_than_a_small_one(tmp_path: Path):
    """Files with holes: nothing is on the disk."""
    paths = []
    for n in range(2):
        header = json.dumps({"w": {"dtype": "BF16", "shape": [2**27], "data_offsets": [0, 2**28]}}).encode()
        paths.append(tmp_path / f"{n}.safetensors")
        paths[-1].write_bytes(len(header).to_bytes(8, "little") + header)
        os.truncate(paths[-1], 8 + len(header) + 2**28)
    tracemalloc.start()
    found = initctl.diff(*paths)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not found.differ
    assert peak < 16 << 20
