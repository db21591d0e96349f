"""What `initctl.changes` says of a plan is what tensors hold before and after it is carried out."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from initctl.events import Chosen, Progress
from initctl.filling import memory
from initctl.filling.computer import Computer
from tests.execution.checkpoints import SHARDS, sharded, single
from tests.execution.torch_files import FORMATS, RULES, bits, network, save
from tests.planning.optimizers.networks import by_adamw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from initctl.manifest import Change
    from initctl.planning import Plan


SMALL_AND_LARGE = (("bias", (10,)), ("weight", (100, 90)))


def close(one: float | None, other: float | None) -> bool:
    """Whether two engines may say so of the same numbers."""
    return one == other or one == pytest.approx(other, rel=1e-9, abs=1e-12)


def agreeing(plan: Plan, applied: Path, **options: Any) -> tuple[Change, ...]:
    """The changes of `plan`, once they agree with what `initctl.stats` says of its checkpoint, and of the result that
    is `applied`: the plan's actions must fill whole tensors.
    """
    changes = initctl.changes(plan, digest=True, **options)
    before = initctl.stats(plan.checkpoint.path, digest=True)
    initctl.apply(plan, applied)
    after = initctl.stats(applied, digest=True)
    for held, side in ((before, "before"), (after, "after")):
        found = {getattr(change, side).tensor.name: getattr(change, side) for change in changes.changes}
        wanted = {one.tensor.name: one for one in held.tensors if one.tensor.name in found}
        assert found.keys() == wanted.keys()
        for name, one in found.items():
            same, other = one.measures(), wanted[name].measures()
            for key in ("mean", "std", "l2"):  # each engine rounds in its own way
                numbers = same.pop(key), other.pop(key)
                assert close(*numbers), (name, side, key)
            for key, count in (same.pop("histogram") or {}).items():
                assert count == pytest.approx(other["histogram"][key]), (name, side, key)
            del other["histogram"]
            assert same == other, (name, side)
    return changes.changes


@pytest.mark.parametrize("kind", FORMATS)
def test_they_are_what_stats_says_of_the_input_and_of_the_result(tmp_path: Path, kind: str):
    path = save(tmp_path / "m.pt", network(), kind)
    changes = agreeing(initctl.plan(path, rules=RULES), tmp_path / "out.pt")
    assert [change.action.tensor.name for change in changes] == [name for name in network() if name != "norm.bias"]


@pytest.mark.parametrize(
    "rule",
    [
        "*.weight=orthogonal", "*.weight=sparse:sparsity=0.5", "*.weight=perturb:std=0.1", "*.weight=scale:by=2",
        "*.weight=constant:val=0.1", "w.weight=permute_rows", "w.weight=copy:from=v.weight", "*.weight=eye",
        "*.weight=normal",
    ],
)  # fmt: skip
def test_laws_that_need_a_whole_tensor_or_old_values_are_among_them(tmp_path: Path, rule: str):
    tensors = {f"{name}.weight": torch.randn(300, 200) for name in "vw"}
    save_file(tensors, tmp_path / "m.safetensors")
    plan = initctl.plan(tmp_path / "m.safetensors", rules=[rule], seed=3)
    agreeing(plan, tmp_path / "out.safetensors", threads=3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0, 3), (7, 5), (1100, 1001)], ids=str)
def test_every_dtype_and_shape(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]):
    save_file({"w": bits(dtype, *shape), "v": bits(dtype, 3)}, tmp_path / "m.safetensors")
    agreeing(initctl.plan(tmp_path / "m.safetensors", rules=["*=uniform:a=-0.1,b=0.1"]), tmp_path / "out.safetensors")


def test_numbers_of_torchs_own_generator_are_drawn_in_the_order_of_the_plan(tmp_path: Path):
    plan = initctl.plan(single(tmp_path / "m.safetensors"), rules=["*.weight=normal", "*.bias=uniform"], rng="torch")
    agreeing(plan, tmp_path / "out.safetensors")


def test_shards_are_one_checkpoint(tmp_path: Path):
    changes = agreeing(initctl.plan(sharded(tmp_path / "m"), rules=["*.{weight,bias}=normal"]), tmp_path / "out")
    assert len(changes) == sum(map(len, SHARDS.values())) - 1


def test_rows_are_measured_by_themselves(tmp_path: Path):
    weight = torch.arange(600_000.0).reshape(6000, 100)
    save_file({"w": weight}, tmp_path / "m.safetensors")
    plan = initctl.plan(tmp_path / "m.safetensors", rules=["w[100:5000]=normal", "w[5000:]=ones"])
    first, second = initctl.changes(plan, digest=True).changes
    result = load_file(initctl.apply(plan, tmp_path / "out.safetensors").output)["w"]
    assert (first.before.tensor.shape, second.before.tensor.shape) == ((4900, 100), (1000, 100))
    assert first.before.digest == hashlib.sha256(weight[100:5000].numpy().tobytes()).hexdigest()
    assert (second.before.moments.least, second.before.moments.greatest) == (500_000, 599_999)
    assert (second.after.moments.mean, second.after.moments.std) == (1, 0)
    assert first.after.digest == hashlib.sha256(result[100:5000].numpy().tobytes()).hexdigest()


def test_rows_of_a_transposed_matrix_are_measured_by_themselves(tmp_path: Path):
    matrix = torch.randn(50, 80).T
    torch.save({"w": matrix}, tmp_path / "m.pt")
    (change,) = initctl.changes(initctl.plan(tmp_path / "m.pt", rules=["w[7:30]=normal"]), digest=True).changes
    assert change.before.digest == hashlib.sha256(matrix[7:30].contiguous().numpy().tobytes()).hexdigest()


def test_what_an_optimizer_remembers_is_among_them(tmp_path: Path):
    *_, path = by_adamw(tmp_path)
    plan = initctl.plan(path, rules=["fc1.weight=normal"], reset_optimizer=True)
    changes = initctl.changes(plan).changes
    assert [change.action for change in changes] == [*plan.actions, *plan.resets]
    resets = [change for change in changes if change.action in plan.resets]
    assert all(reset.before.moments.largest > 0 for reset in resets)
    assert all(reset.after.moments.largest == 0 for reset in resets)
    assert len(resets) == 3


def test_one_answer_whatever_the_number_of_threads(tmp_path: Path):
    save_file({f"w{n}": torch.randn(500, 40 * n) for n in range(1, 30)}, tmp_path / "m.safetensors")
    plan = initctl.plan(tmp_path / "m.safetensors", rules=["*=normal", "w9=orthogonal", "w11=perturb:std=1"])
    one, two, seven = (initctl.changes(plan, digest=True, threads=threads).to_json() for threads in (1, 2, 7))
    assert one == two == seven


def test_nothing_is_written(tmp_path: Path):
    path = single(tmp_path / "m.safetensors")
    before, status = path.read_bytes(), path.stat()
    initctl.changes(initctl.plan(path, rules=["*.weight=normal"]))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, status.st_mtime_ns)
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_a_checkpoint_that_changed_since_it_was_planned_for_is_refused(tmp_path: Path):
    path = single(tmp_path / "m.safetensors")
    plan = initctl.plan(path, rules=["*.weight=normal"])
    initctl.apply(plan, in_place=True)
    with pytest.raises(initctl.ConflictError, match="changed while it was read"):
        initctl.changes(plan)


@pytest.mark.parametrize("changed", ["m.safetensors", "other.safetensors"])
def test_a_checkpoint_that_changes_meanwhile_is_noticed(tmp_path: Path, changed: str):
    """Also another one, which a rule copies from."""
    for name in ("m.safetensors", "other.safetensors"):
        single(tmp_path / name)
    source = tmp_path / "other.safetensors"
    plan = initctl.plan(tmp_path / "m.safetensors", rules=[f"norm.weight=copy:from={source}#norm.weight"])

    def on_event(event: Any) -> None:
        if isinstance(event, Progress) and event.done == event.total:
            single(tmp_path / changed)

    with pytest.raises(initctl.ConflictError, match=f"{changed}: changed while it was read"):
        initctl.changes(plan, on_event=on_event)


def test_what_does_not_fit_the_memory_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "_limits", lambda: iter([999]))
    plan = initctl.plan(single(tmp_path / "m.safetensors"), rules=["embed.weight=orthogonal"])
    with pytest.raises(initctl.StorageError, match="of memory at once"):
        initctl.changes(plan)


def test_values_that_overflow_are_refused_as_apply_refuses_them(tmp_path: Path):
    save_file({"w": torch.full((3, 3), 60000.0, dtype=torch.float16)}, tmp_path / "m.safetensors")
    plan = initctl.plan(tmp_path / "m.safetensors", rules=["w=scale:by=2"])
    with pytest.raises(initctl.FitError, match="overflow"):
        initctl.changes(plan)


def test_many_small_tensors_are_computed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tensors = {f"layers.{n}.{name}": torch.randn(*shape) for n in range(50) for name, shape in SMALL_AND_LARGE}
    save_file(tensors, tmp_path / "m.safetensors")
    computed: list[int] = []

    def noted(computer: Computer, runs: Sequence[Any], out: Any) -> Any:
        computed.append(len(runs))
        return filled(computer, runs, out)

    filled = Computer.filled
    monkeypatch.setattr(Computer, "filled", noted)
    initctl.changes(initctl.plan(tmp_path / "m.safetensors", rules=["*=normal"]))
    assert sum(computed) == 100
    assert max(computed) == 50


def test_events_are_the_engine_and_the_bytes_of_both_sides(tmp_path: Path):
    events: list[Any] = []
    plan = initctl.plan(single(tmp_path / "m.safetensors"), rules=["*.weight=normal"])
    initctl.changes(plan, on_event=events.append)
    assert isinstance(events[0], Chosen)
    nbytes = 2 * plan.initialized.bytes
    assert events[-1] == Progress(nbytes, nbytes)


def test_many_changes_are_folded_and_measured_together(tmp_path: Path):
    tensors = {f"layers.{n}.weight": torch.full((10,), float(n)) for n in range(40)} | {"norm": torch.ones(3)}
    save_file(tensors, tmp_path / "m.safetensors")
    changes = initctl.changes(initctl.plan(tmp_path / "m.safetensors", rules=["*.weight=ones", "norm=zeros"]))
    assert changes.report()[0].lines() == [
        "tensor                         mean       std    min     max  initializer",
        "layers.{0..39}.weight ×40  19.5 → 1  11.5 → 0  0 → 1  39 → 1  ones",
        "norm                          1 → 0     0 → 0  1 → 0   1 → 0  zeros",
    ]
    assert len(changes.report(unfold=True)[0].rows) == 41


def test_a_plan_that_fills_nothing_changes_nothing(tmp_path: Path):
    changes = initctl.changes(initctl.plan(single(tmp_path / "m.safetensors"), rules=["*=keep"]))
    assert changes.to_json() == {"changes": []}
    assert changes.report()[0].startswith("initialize none; keep 7 tensors")
