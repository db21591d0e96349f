"""With the original at hand, every byte that the rules do not give is held against it."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import initctl
from initctl.cli.main import run
from initctl.formats import read_checkpoint
from tests.execution.checkpoints import sharded, single
from tests.execution.torch_files import save

if TYPE_CHECKING:
    from pathlib import Path

RULES = {"safetensors": ["*.weight=normal"], "zip": ["w=normal", "v=zeros"], "legacy": ["w=normal", "v=zeros"]}


def training(path: Path, kind: str) -> Path:
    """A training state: parameters that were trained a step, and what the optimizer remembers of them."""
    torch.manual_seed(0)
    state = {"w": torch.rand(4, 3).requires_grad_(), "v": torch.rand(5).requires_grad_()}
    optimizer = torch.optim.AdamW(state.values())
    sum(tensor.square().sum() for tensor in state.values()).backward()
    optimizer.step()
    held = {name: tensor.detach() for name, tensor in state.items()} | {"k": torch.arange(6)}
    save(path, {"model": held, "optimizer": optimizer.state_dict(), "epoch": 3, "note": "é" * 9}, kind)
    return path


@pytest.fixture(scope="module", params=RULES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """A checkpoint, what came of it, and the rules."""
    folder = tmp_path_factory.mktemp(request.param)
    before = folder / "in"
    single(before) if request.param == "safetensors" else training(before, request.param)
    initctl.apply(before, folder / "out", rules=RULES[request.param])
    return before, folder / "out", RULES[request.param]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=250)
@given(data=st.data())
def test_no_flipped_bit_of_the_file_is_passed_over(
    tmp_path: Path, case: tuple[Path, Path, list[str]], data: st.DataObject
):
    before, after, rules = case
    content = bytearray(after.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "flipped").write_bytes(content)
    try:
        found = initctl.verify(before, tmp_path / "flipped", rules=rules)
    except initctl.InitctlError:
        return  # no checkpoint any more, or one of other tensors
    assert not found.holds, at


def test_all_that_was_kept_is_counted(case: tuple[Path, Path, list[str]]):
    before, after, rules = case
    found = initctl.verify(before, after, rules=rules)
    assert found.holds
    written = sum(action.part.nbytes for action in found.plan.written)
    checksums = 4 * sum(len(checksum.places) for file in read_checkpoint(after).files for checksum in file.checksums)
    assert found.rest is not None
    assert written + found.rest <= os.path.getsize(after) <= written + found.rest + checksums


def flipped(path: Path, name: str, at: int = 0) -> Path:
    """The file with a bit of a tensor's byte `at` flipped."""
    checkpoint = read_checkpoint(path)
    (block,) = next(t for t in (*checkpoint.tensors, *checkpoint.outside) if t.name == name).blocks
    content = bytearray(path.read_bytes())
    content[block.offset + at] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_what_an_optimizer_remembers_is_held_against_the_original(tmp_path: Path, kind: str):
    before = training(tmp_path / "in.pt", kind)
    initctl.apply(before, tmp_path / "out.pt", rules=["w=normal"])
    flipped(tmp_path / "out.pt", "optimizer.state.0.exp_avg", 4 * 7)
    (difference,) = initctl.verify(before, tmp_path / "out.pt", rules=["w=normal"]).differences
    assert (difference.tensor, difference.index) == ("optimizer.state.0.exp_avg", (2, 1))
    assert initctl.verify(tmp_path / "out.pt", rules=["w=normal"]).holds


@pytest.mark.parametrize("saved", [False, True], ids=["by rules", "by a saved plan"])
@pytest.mark.parametrize("rule", ["w=normal", "w[1:3]=normal"])
def test_what_an_optimizer_was_made_to_forget_is_verified(tmp_path: Path, rule: str, saved: bool):
    before = training(tmp_path / "in.pt", "zip")
    plan = initctl.plan(before, rules=[rule], reset_optimizer=True)
    initctl.apply(plan, tmp_path / "out.pt")
    if saved:
        plan.save(tmp_path / "plan.json")
        plan = initctl.load_plan(tmp_path / "plan.json")
    assert initctl.verify(plan, tmp_path / "out.pt").holds
    assert not initctl.verify(before, tmp_path / "out.pt", rules=[rule]).holds
    for at in (0, 4 * 4):  # kept, and set back, where rows were filled
        flipped(tmp_path / "out.pt", "optimizer.state.0.exp_avg_sq", at)
        (difference,) = initctl.verify(plan, tmp_path / "out.pt").differences
        assert difference.tensor == "optimizer.state.0.exp_avg_sq"
        flipped(tmp_path / "out.pt", "optimizer.state.0.exp_avg_sq", at)
    assert initctl.verify(plan, tmp_path / "out.pt").holds


def test_an_optimizer_that_was_not_set_back_is_told(tmp_path: Path):
    before = training(tmp_path / "in.pt", "zip")
    initctl.apply(before, tmp_path / "out.pt", rules=["w=normal"])
    found = initctl.verify(tmp_path / "out.pt", rules=["w=normal"], reset_optimizer=True)
    assert [d.tensor for d in found.differences] == [
        f"optimizer.state.0.{kind}" for kind in ("step", "exp_avg", "exp_avg_sq")
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "config.json").write_text('{"model_type": "ROBE"}'), [("config.json", 16)]),
        (lambda folder: (folder / "config.json").write_text("[]"), [("config.json", 0)]),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "none"} '), [("config.json", 22)]),
        (lambda folder: (folder / "extra/deep/notes.txt").write_bytes(b"\0"), [("extra/deep/notes.txt", 1)]),
        (lambda folder: (folder / "empty").unlink(), [("empty", None)]),
        (lambda folder: (folder / "added").write_text("more"), []),
    ],
    ids=["changed", "another", "longer", "shorter", "lost", "added"],
)
def test_other_files_of_a_directory_are_held_against_the_original(tmp_path: Path, change: Any, expected: list[Any]):
    before = sharded(tmp_path / "in")
    initctl.apply(before, tmp_path / "out", rules=["*.weight=normal"])
    assert initctl.verify(before, tmp_path / "out", rules=["*.weight=normal"]).holds
    change(tmp_path / "out")
    found = initctl.verify(before, tmp_path / "out", rules=["*.weight=normal"])
    assert [(d.file, d.at) for d in found.rest_differences] == expected
    assert found.holds == (not expected)
    assert not found.differences


def test_a_converted_result_is_found_at_no_root_and_only_its_tensors_are_compared(tmp_path: Path, capsys: Any):
    state = {"model": {"w": torch.ones(3)}, "ema": {"w": torch.rand(3), "model.w": torch.zeros(2)}}
    save(tmp_path / "in.pt", state)
    (tmp_path / "config.json").write_text('{"std": 0.5}')
    rules = ["w=normal:std=config.std"]
    result = tmp_path / "converted" / "out.safetensors"
    result.parent.mkdir()
    initctl.apply(tmp_path / "in.pt", result, rules=rules, root="ema")
    found = initctl.verify(tmp_path / "in.pt", result, rules=rules, root="ema")
    assert found.holds
    assert (found.compared, found.rest, found.is_converted) == (5, 0, True)
    arguments = ["verify", str(result), "-r", rules[0], "--root", "ema", "--against", str(tmp_path / "in.pt")]
    assert run(arguments) == 0
    assert "it was converted: everything outside the root was not compared" in capsys.readouterr().out
    initctl.plan(tmp_path / "in.pt", rules=rules, root="ema").save(tmp_path / "plan.json")
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", tmp_path / "in.pt"), result).holds
    with pytest.raises(initctl.UsageError, match="there is no tensor under emma"):
        initctl.verify(tmp_path / "in.pt", result, rules=rules, root="emma")


@pytest.mark.parametrize("inner", ["model.w", "ema.w"])
def test_names_that_begin_like_the_root_survive_a_conversion(tmp_path: Path, inner: str):
    save(tmp_path / "in.pt", {"model": {inner: torch.ones(3), "v": torch.ones(2)}})
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.safetensors", rules=[f"{inner}=normal"], root="model")
    options: dict[str, Any] = {"rules": [f"{inner}=normal"], "root": "model"}
    assert initctl.verify(tmp_path / "in.pt", tmp_path / "out.safetensors", **options).holds
    initctl.plan(tmp_path / "in.pt", **options).save(tmp_path / "plan.json")
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=tmp_path / "out.safetensors")).holds


def test_all_of_a_file_is_verified_at_the_root_of_all(tmp_path: Path):
    before = training(tmp_path / "in.pt", "zip")
    options: dict[str, Any] = {"rules": ["optimizer.state.0.exp_avg=normal"], "root": ""}
    initctl.apply(before, tmp_path / "out.pt", **options)
    assert initctl.verify(before, tmp_path / "out.pt", **options).holds


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_elements_that_are_no_numbers_are_compared_as_they_are_stored(tmp_path: Path):
    quantized = torch.quantize_per_tensor(torch.arange(4.0), 0.5, 2, torch.qint8)
    wide = torch.quantize_per_tensor(torch.arange(4.0), 0.5, 2, torch.qint32)
    save(tmp_path / "in.pt", {"w": torch.ones(3), "q": quantized, "wide": wide})
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["w=normal"])
    flipped(flipped(tmp_path / "out.pt", "q", 2), "wide", 4)
    found = initctl.verify(tmp_path / "in.pt", tmp_path / "out.pt", rules=["w=normal"])
    assert [(d.tensor, d.index, d.expected, d.found) for d in found.differences] == [
        ("q", (2,), 6, 7), ("wide", (1,), 4, 5),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3"])
def test_elements_below_a_byte_are_compared_by_their_bytes(tmp_path: Path, dtype: str):
    def written(path: Path, packed: bytes) -> Path:
        count = len(packed) * 8 // (4 if dtype == "F4" else 6)
        header = {"p": {"dtype": dtype, "shape": [count], "data_offsets": [0, len(packed)]}}
        header["w"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(packed), len(packed) + 8]}
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + packed + bytes(8))
        return path

    before = written(tmp_path / "in.safetensors", bytes(range(6)))
    after = written(tmp_path / "out.safetensors", bytes([0, 1, 2, 9, 4, 5]))
    assert initctl.verify(shutil.copy(before, tmp_path / "same"), before, rules=["w=zeros"]).holds
    (difference,) = initctl.verify(before, after, rules=["w=zeros"]).differences
    assert (difference.tensor, difference.index, difference.expected, difference.found) == ("p", (3,), 3, 9)


def test_the_first_of_several_bytes_that_differ_is_told(tmp_path: Path):
    before = sharded(tmp_path / "in")
    (before / "large").write_bytes(bytes(9 << 20))
    initctl.apply(before, tmp_path / "out", rules=["*.weight=normal"])
    content = bytearray(9 << 20)
    content[0] = content[8 << 20] = 1
    (tmp_path / "out" / "large").write_bytes(content)
    for threads in (1, 4):
        found = initctl.verify(before, tmp_path / "out", rules=["*.weight=normal"], threads=threads)
        assert [(d.file, d.at) for d in found.rest_differences] == [("large", 0)]


@pytest.mark.parametrize("rule", ["w=zeros", "g=normal", "g[1:3]=normal"])
def test_bytes_between_the_elements_of_a_view_are_compared(tmp_path: Path, rule: str):
    large = torch.rand(300, 800)
    save(tmp_path / "in.pt", {"w": torch.ones(3), "g": large[::2, ::2]})
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=[rule])
    (block,) = next(t for t in read_checkpoint(tmp_path / "in.pt").tensors if t.name == "g").blocks
    assert initctl.verify(tmp_path / "in.pt", tmp_path / "out.pt", rules=[rule]).holds
    content = bytearray((tmp_path / "out.pt").read_bytes())
    content[block.offset + 4 * (2 * 800 + 1)] ^= 1  # of an odd column
    (tmp_path / "out.pt").write_bytes(content)
    found = initctl.verify(tmp_path / "in.pt", tmp_path / "out.pt", rules=[rule])
    assert [(d.file, d.at) for d in found.rest_differences] == [("out.pt", block.offset + 4 * (2 * 800 + 1))]
    assert not found.differences


def test_a_byte_between_elements_is_reported_beside_an_element_that_differs(tmp_path: Path):
    save(tmp_path / "in.pt", {"g": torch.rand(40, 40)[::2, ::2]})
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["g=normal"])
    (block,) = read_checkpoint(tmp_path / "out.pt").tensors[0].blocks
    content = bytearray((tmp_path / "out.pt").read_bytes())
    content[block.offset] ^= 16
    content[block.offset + 4] ^= 16
    (tmp_path / "out.pt").write_bytes(content)
    found = initctl.verify(tmp_path / "in.pt", tmp_path / "out.pt", rules=["g=normal"])
    assert [(d.tensor, d.index) for d in found.differences] == [("g", (0, 0))]
    assert [(d.file, d.at) for d in found.rest_differences] == [("out.pt", block.offset + 4)]


@pytest.mark.parametrize("stored", [b"\1\2\3\4", bytes(4)], ids=["another", "taken away"])
def test_a_wrong_checksum_of_what_was_filled_is_told(tmp_path: Path, stored: bytes):
    before = training(tmp_path / "in.pt", "zip")
    initctl.apply(before, tmp_path / "out.pt", rules=["w=normal"])
    checkpoint = read_checkpoint(tmp_path / "out.pt")
    (block,) = next(t for t in checkpoint.tensors if t.name == "w").blocks
    (checksum,) = (c for c in checkpoint.files[0].checksums if c.start <= block.offset < c.stop)
    content = bytearray((tmp_path / "out.pt").read_bytes())
    for place in checksum.places:
        content[place : place + 4] = stored
    (tmp_path / "out.pt").write_bytes(content)
    for paths in ([before, tmp_path / "out.pt"], [tmp_path / "out.pt"]):
        found = initctl.verify(*paths, rules=["w=normal"]).rest_differences
        told = any(stored) or len(paths) > 1  # a file may have none
        assert [difference.fault for difference in found] == [f"the checksum of {checksum.name} is wrong"] * told


def test_rows_of_what_has_no_numbers_may_be_kept(tmp_path: Path):
    def written(path: Path, packed: bytes, pad: str) -> Path:
        header = {"p": {"dtype": "F4", "shape": [4, 4], "data_offsets": [0, 8]}, "__metadata__": {"pad": pad}}
        header["w"] = {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + packed + bytes(8))
        return path

    before = written(tmp_path / "in.safetensors", bytes(8), "")
    rules = ["w=zeros", "p[:2]=keep"]
    for pad, fault in (("", []), ("longer", ["out.safetensors"])):
        after = written(tmp_path / "out.safetensors", bytes(7) + b"\1", pad)
        found = initctl.verify(before, after, rules=rules)
        assert [(d.tensor, d.index) for d in found.differences] == [("p", (7,))]
        assert [d.file for d in found.rest_differences] == fault


@pytest.mark.parametrize(("value", "told"), [(255, "nan"), (124, 0.125)])
def test_powers_of_two_are_told_as_such(tmp_path: Path, value: int, told: Any):
    save_file({"s": torch.full((3,), 0.25).to(torch.float8_e8m0fnu), "w": torch.ones(2)}, tmp_path / "in.safetensors")
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rules=["w=zeros"])
    path = tmp_path / "out.safetensors"
    (block,) = next(t for t in read_checkpoint(path).tensors if t.name == "s").blocks
    content = bytearray(path.read_bytes())
    content[block.offset + 1] = value
    path.write_bytes(content)
    (difference,) = initctl.verify(tmp_path / "in.safetensors", path, rules=["w=zeros"]).differences
    assert difference.to_json() == {"tensor": "s", "index": [1], "expected": 0.25, "found": told}


def test_a_tensor_in_the_gaps_of_another_is_named(tmp_path: Path):
    base = torch.arange(200.0)
    save(tmp_path / "in.pt", {"even": base[::2], "odd": base[1::2], "w": torch.ones(2)})
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["w=zeros"])
    checkpoint = read_checkpoint(tmp_path / "out.pt")
    (block,) = next(t for t in checkpoint.tensors if t.name == "odd").blocks
    content = bytearray((tmp_path / "out.pt").read_bytes())
    content[block.offset + 8 * 7] ^= 1
    (tmp_path / "out.pt").write_bytes(content)
    found = initctl.verify(tmp_path / "in.pt", tmp_path / "out.pt", rules=["w=zeros"])
    assert [(d.tensor, d.index) for d in found.differences] == [("odd", (7,))]
    assert not found.rest_differences


@pytest.mark.parametrize("sample", [1, 7, 100])
def test_a_sample_looks_at_all_that_is_no_tensor(tmp_path: Path, sample: int):
    before = training(tmp_path / "in.pt", "legacy")
    initctl.apply(before, tmp_path / "out.pt", rules=["w=normal"])
    whole = initctl.verify(before, tmp_path / "out.pt", rules=["w=normal"])
    found = initctl.verify(before, tmp_path / "out.pt", rules=["w=normal"], sample=sample)
    assert found.holds
    assert found.rest <= whole.rest
    assert found.to_json()["sample"] == sample
    content = (tmp_path / "out.pt").read_bytes()
    (tmp_path / "out.pt").write_bytes(content.replace("é".encode() * 9, "è".encode() * 9))
    assert not initctl.verify(before, tmp_path / "out.pt", rules=["w=normal"], sample=sample).holds


def test_what_differs_beside_tensors_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_file({"w": torch.ones(2)}, tmp_path / "in.safetensors", metadata={"note": "one"})
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rules=["w=zeros"])
    content = (tmp_path / "out.safetensors").read_bytes()
    (tmp_path / "out.safetensors").write_bytes(content.replace(b"one", b"two"))
    arguments = [str(tmp_path / "out.safetensors"), "-r", "w=zeros", "--against", str(tmp_path / "in.safetensors")]
    assert run(["verify", *arguments]) == 1
    told = capsys.readouterr().out
    assert f"out.safetensors  byte {content.index(b'one')} differs" in told
    assert "1 file differs" in told
    assert run(["verify", *arguments, "--json"]) == 1
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["differences_rest"] == [
        {"file": "out.safetensors", "byte": content.index(b"one"), "fault": f"byte {content.index(b'one')} differs"}
    ]
    assert data["against"] == str(tmp_path / "in.safetensors")
