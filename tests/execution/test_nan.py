"""`nan` poisons a checkpoint: every command copes with it, and what code never loads from it is found."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.execution.checkpoints import raw_bytes

if TYPE_CHECKING:
    from pathlib import Path

FLOATS = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu,
]  # fmt: skip


def of_all_floats() -> dict[str, torch.Tensor]:
    return {str(dtype).removeprefix("torch."): torch.ones(3, 5).to(dtype) for dtype in FLOATS}


def poisoned(folder: Path, tensors: dict[str, torch.Tensor], **options: object) -> Path:
    """A file of `tensors`, and beside it one whose floats are NaN."""
    save_file(tensors, folder / "in.safetensors")
    rules = [f"{name}=nan" for name, tensor in tensors.items() if tensor.dtype.is_floating_point]
    initctl.apply(folder / "in.safetensors", folder / "nan.safetensors", rules=rules, **options)
    return folder / "nan.safetensors"


@pytest.mark.parametrize("options", [{}, {"device": "auto"}, {"rng": "torch"}, {"threads": 3}], ids=str)
def test_a_file_holds_torchs_nan_in_every_float_type(tmp_path: Path, options: dict[str, object]):
    after = load_file(poisoned(tmp_path, of_all_floats(), **options))
    for name, tensor in of_all_floats().items():
        assert raw_bytes(after[name]) == raw_bytes(torch.empty_like(tensor).fill_(math.nan)), name


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_complex_tensors_of_torch_save_are_nan_in_both_parts(tmp_path: Path):
    kinds = torch.complex32, torch.complex64, torch.complex128
    torch.save({str(kind): torch.zeros(4, dtype=kind) for kind in kinds}, tmp_path / "in.pt")
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["*=nan"])
    for tensor in torch.load(tmp_path / "out.pt").values():
        assert torch.view_as_real(tensor).isnan().all()


def test_large_tensors_are_nan_to_the_last_element_by_any_engine(tmp_path: Path):
    tensors = {"a": torch.zeros(1_500_001, dtype=torch.bfloat16), "b": torch.zeros(700, 1000), "c": torch.zeros(9)}
    save_file(tensors, tmp_path / "in.safetensors")
    rules = ["*=normal", "a=nan", "b[3:]=nan"]
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rules=rules)
    after = load_file(tmp_path / "out.safetensors")
    assert after["a"].isnan().all()
    assert after["b"][3:].isnan().all()
    assert after["b"][:3].isfinite().all()
    assert after["c"].isfinite().all()


def test_verify_tells_nan_from_any_other_bits(tmp_path: Path):
    path = poisoned(tmp_path, {"w": torch.ones(4, 4), "ids": torch.arange(3)})
    plan = initctl.plan(tmp_path / "in.safetensors", rules=["w=nan"])
    assert initctl.verify(plan, path)
    tensors = load_file(path)
    for other in (0.0, math.inf, -math.nan):
        tensors["w"][2, 1] = other
        assert not math.isnan(other) or tensors["w"][2, 1].signbit()
        save_file(tensors, path)
        assert not initctl.verify(plan, path)


def test_the_numbers_of_all_commands_count_nan_and_stay_json(tmp_path: Path):
    path = poisoned(tmp_path, {"w": torch.ones(4, 4), "b": torch.ones(4)})
    original, plan = tmp_path / "in.safetensors", initctl.plan(tmp_path / "in.safetensors", rules=["*=nan"])
    (before, _), changes = (measured.tensors for measured in (initctl.stats(original), initctl.stats(path)))
    assert before.moments.nan == 0
    assert [tensor.moments.nan for tensor in changes] == [4, 16]
    documents = [
        initctl.stats(path).to_json(), initctl.changes(plan).to_json(), plan.to_json(), plan.to_document(),
        initctl.doctor(path).to_json(), initctl.diff(original, path).to_json(), initctl.suggest(path).to_json(),
    ]  # fmt: skip
    for document in documents:
        json.dumps(document, allow_nan=False)


def test_doctor_finds_it(tmp_path: Path):
    path = poisoned(tmp_path, {"w": torch.ones(4, 4), "b": torch.ones(4)})
    assert {finding.check.code for finding in initctl.doctor(path).findings} == {"values.nan"}


def test_a_saved_plan_with_it_is_applied_and_its_report_verified(tmp_path: Path):
    save_file({"w": torch.ones(4, 4)}, tmp_path / "in.safetensors")
    plan = initctl.plan(tmp_path / "in.safetensors", rules=["*=nan"])
    plan.save(tmp_path / "plan.json")
    loaded = initctl.load_plan(tmp_path / "plan.json")
    assert loaded.actions[0].law == plan.actions[0].law
    changes = initctl.changes(loaded, digest=True)
    applied = initctl.apply(loaded, tmp_path / "out.safetensors")
    applied.manifest(changes).save(tmp_path / "report.json")
    assert initctl.load_manifest(tmp_path / "report.json").verify(tmp_path / "out.safetensors").holds


def test_what_loading_code_never_sets_is_what_is_not_nan_after_loading(tmp_path: Path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 2))
    path = poisoned(tmp_path, {name: tensor.clone() for name, tensor in model.state_dict().items()})
    renamed = {name.replace("1.weight", "norm.weight"): tensor for name, tensor in load_file(path).items()}
    model.load_state_dict(renamed, strict=False)  # the fault: it does not say what it left out
    never_set = [name for name, tensor in model.state_dict().items() if not tensor.isnan().all()]
    assert never_set == ["1.weight"]
