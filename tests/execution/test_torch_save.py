"""Files of torch.save: ruled tensors hold what safetensors would, all else stays to the byte, checksums fit."""

from __future__ import annotations

import json
import sys
import types
import zipfile
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.events import Progress
from tests.commit.folders import contents, snapshot
from tests.events import on
from tests.execution.checkpoints import raw_bytes
from tests.execution.torch_files import (
    CRC_OF_ZERO,
    FORMATS,
    MODES,
    RULES,
    WRAPPED,
    accelerate,
    apply,
    as_safetensors,
    bits,
    damage,
    index_of,
    lightning,
    load,
    network,
    rewritten,
    same,
    save,
    sound,
    trained,
)

if TYPE_CHECKING:
    from pathlib import Path

SEED = 5
FLOATS = (
    torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz, torch.float32, torch.float64, torch.complex64,
)  # fmt: skip
UNTAGGED = (torch.complex32, torch.complex128)
"""What safetensors has no tag for."""
WHOLE = (
    torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64,
    torch.int64, torch.float8_e8m0fnu,
)  # fmt: skip

formats = pytest.mark.parametrize("kind", FORMATS)
modes = pytest.mark.parametrize("mode", MODES)


def expected(folder: Path, tensors: dict[str, torch.Tensor], rules: list[str] = RULES) -> dict[str, torch.Tensor]:
    """What the tensors that `rules` fill get in safetensors; of tied ones the first."""
    filled = as_safetensors(folder, {n: t for n, t in tensors.items() if n != "head.weight"}, rules, seed=SEED)
    return {name: filled[name] for name in filled if raw_bytes(filled[name]) != raw_bytes(tensors[name])}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What RULES make of `network`."""
    rules = ["embed.weight=normal:std=0.02", *RULES[1:]]
    found = expected(tmp_path_factory.mktemp("filled"), network(), rules)
    assert set(found) == set(network()) - {"head.weight", "norm.bias", "empty"}
    return found


@formats
@modes
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_ruled_tensors_hold_what_safetensors_would_and_no_other_byte_changes(
    tmp_path: Path, filled: dict, kind: str, mode: str, threads: int, wrapped: str
):
    tensors = network()
    source = save(tmp_path / "model.ckpt", WRAPPED[wrapped](tensors), kind)
    before = source.read_bytes()
    out = apply(mode, source, seed=SEED, threads=threads)
    assert out.read_bytes() == rewritten(before, tensors, filled)
    assert sound(out)
    assert sorted(tmp_path.iterdir()) == sorted({source, out})
    assert out == source or source.read_bytes() == before


@formats
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_torch_loads_the_values_and_everything_else_as_it_was(tmp_path: Path, filled: dict, kind: str, wrapped: str):
    source = save(tmp_path / "model.pt", WRAPPED[wrapped](network()), kind)
    before, after = load(source), load(apply("to a new file", source, seed=SEED))
    roots = [next((of[key] for key in ("state_dict", "model") if key in of), of) for of in (before, after)]
    for name, tensor in {**filled, "head.weight": filled["embed.weight"]}.items():
        assert raw_bytes(roots[1][name]) == raw_bytes(tensor)
        roots[0][name].copy_(tensor)
    assert roots[1]["head.weight"].data_ptr() == roots[1]["embed.weight"].data_ptr()
    assert same(before, after)
    whole = [bytes(of["part.weight"].untyped_storage()) for of in roots]
    assert whole[0] == whole[1]


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@formats
@modes
@pytest.mark.parametrize("dtype", [*FLOATS, *UNTAGGED], ids=str)
def test_every_floating_dtype_holds_the_values_that_safetensors_would(
    tmp_path: Path, kind: str, mode: str, dtype: torch.dtype
):
    tensors = {"w": bits(dtype, 6, 7), "v": bits(dtype, 5, 8, seed=1).T, "kept": bits(dtype, 9, seed=2)}
    source = save(tmp_path / "model.pt", tensors, kind)
    before, rules = source.read_bytes(), ["w=normal:std=0.5", "v=uniform:a=-0.5,b=0.5"]
    known = {name: torch.zeros(t.shape, dtype=torch.complex64) for name, t in tensors.items()}
    wanted = expected(tmp_path / "same", known if dtype in UNTAGGED else tensors, rules)
    result = rewritten(before, tensors, {name: converted(wanted[name], dtype) for name in ("w", "v")})
    assert apply(mode, source, rules, seed=SEED).read_bytes() == result


def converted(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`tensor` in `dtype`: part for part, where torch warns of converting complex numbers."""
    if dtype != torch.complex32:
        return tensor.to(dtype)
    return torch.view_as_real(tensor).half().reshape(-1).view(dtype).reshape(tensor.shape)


@formats
@modes
@pytest.mark.parametrize("dtype", WHOLE, ids=str)
def test_integers_bools_and_scales_take_constants(tmp_path: Path, kind: str, mode: str, dtype: torch.dtype):
    tensors = {"w": bits(dtype, 16, 17, seed=3), "kept": bits(dtype, 11, 12, seed=4)}
    source = save(tmp_path / "model.pt", tensors, kind)
    before = source.read_bytes()
    wanted = expected(tmp_path / "same", tensors, ["w=constant:val=1"])
    assert apply(mode, source, ["w=constant:val=1"]).read_bytes() == rewritten(before, tensors, wanted)


@formats
def test_classes_that_nobody_has_are_carried_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    module = types.ModuleType("initctl_nowhere")
    exec("class Callback: pass\nclass Config(dict): pass", module.__dict__)
    callback = module.Callback()
    callback.best, callback.shadow = 0.25, torch.arange(5.0)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        value = {"model": network(), "callback": callback, "config": module.Config(lr=module.Callback)}
        source = save(tmp_path / "model.pt", value, kind)
    out = apply("to a new file", source, ["norm.weight=ones"])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    value["model"]["norm.weight"].fill_(1)
    assert same(load(out), value)


@formats
@modes
def test_two_views_of_one_storage_are_filled_each_for_itself(tmp_path: Path, kind: str, mode: str):
    whole = bits(torch.float32, 10, 6, seed=11)
    tensors = {"q": whole[:4], "k": whole[4:8], "even": whole[8:, ::2], "odd": whole[8:, 1::2]}
    source = save(tmp_path / "model.pt", tensors, kind)
    before, rules = source.read_bytes(), ["q=normal", "even=uniform", "odd=normal:std=2"]
    wanted = expected(tmp_path / "same", tensors, rules)
    assert set(wanted) == {"q", "even", "odd"}
    assert apply(mode, source, rules, seed=SEED, threads=3).read_bytes() == rewritten(before, tensors, wanted)


@pytest.mark.parametrize(
    ("mode", "broken"),
    [*product(["to a new file", "in place"], ["norm.bias", "part.weight"]), ("patched", "part.weight")],
)
def test_a_record_that_is_kept_and_damaged_is_refused_and_nothing_written(tmp_path: Path, mode: str, broken: str):
    tensors = network()  # of part.weight, only a part of the storage is filled
    damage(save(tmp_path / "model.pt", lightning(tensors)), tensors[broken])
    before = snapshot(tmp_path)
    with pytest.raises(initctl.InputError, match="is damaged") as raised:
        apply(mode, tmp_path / "model.pt")
    assert [problem.code for problem in raised.value.problems] == ["archive.checksum"]
    assert snapshot(tmp_path) == before


@modes
def test_a_damaged_record_that_is_overwritten_as_a_whole_is_sound_again(tmp_path: Path, filled: dict, mode: str):
    tensors = network()
    source = save(tmp_path / "model.pt", tensors)
    sound_before = source.read_bytes()
    damage(source, tensors["proj.weight"])
    out = apply(mode, source, seed=SEED)
    assert out.read_bytes() == rewritten(sound_before, tensors, filled)
    assert sound(out)


def test_a_patch_looks_at_nothing_but_what_it_touches(tmp_path: Path, filled: dict):
    tensors = network()
    source = save(tmp_path / "model.pt", tensors)
    damage(source, tensors["norm.bias"])
    before = source.read_bytes()
    apply("patched", source, seed=SEED)
    assert source.read_bytes() == rewritten(before, tensors, filled)


@formats
def test_a_patch_that_stopped_is_completed_by_the_same_patch(tmp_path: Path, filled: dict, kind: str):
    tensors = network()
    source = save(tmp_path / "model.pt", tensors, kind)
    before = source.read_bytes()
    stop = on(Progress, lambda _: source.read_bytes() == before or 1 / 0)
    with pytest.raises(initctl.UncertainError, match="complete it with in_place='resume'"):
        apply("patched", source, seed=SEED, threads=1, on_event=stop)
    assert before != source.read_bytes() != rewritten(before, tensors, filled)
    assert not (kind == "zip" and sound(source))
    apply("patched", source, seed=SEED)
    assert source.read_bytes() == rewritten(before, tensors, filled)


@modes
def test_checksums_that_were_never_written_stay_zeros(tmp_path: Path, filled: dict, mode: str):
    tensors, computed = network(), torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        source = save(tmp_path / "model.pt", accelerate(tensors))
    finally:
        torch.serialization.set_crc32_options(computed)
    before = source.read_bytes()
    with zipfile.ZipFile(source) as archive:
        crcs = {info.filename: info.CRC for info in archive.infolist()}
    assert 0 in crcs.values()
    out = apply(mode, source, seed=SEED)
    assert out.read_bytes() == rewritten(before, tensors, filled)
    assert same(load(out)["optimizer"], trained())


@modes
def test_a_checksum_that_is_zero_is_renewed(tmp_path: Path, mode: str):
    tensors = {"w": torch.frombuffer(bytearray(CRC_OF_ZERO), dtype=torch.float32), "kept": torch.ones(3)}
    source = save(tmp_path / "model.pt", tensors)
    assert sound(source)
    assert sound(apply(mode, source, ["w=ones"]))


@modes
def test_zeros_stay_where_no_checksum_was_written_among_others(tmp_path: Path, mode: str):
    """As torch writes records whose content is to follow."""
    tensors = {"w": bits(torch.float32, 3, 5), "kept": bits(torch.float32, 4)}
    with torch.serialization.skip_data():
        source = save(tmp_path / "model.pt", tensors)
    with zipfile.ZipFile(source) as archive:
        crcs = {info.filename.partition("/")[2]: info.CRC for info in archive.infolist()}
    assert (crcs["data/0"], crcs["data/1"], bool(crcs["version"])) == (0, 0, True)
    before = source.read_bytes()
    out = apply(mode, source, ["w=ones"])
    changed = {i for i, (old, new) in enumerate(zip(before, out.read_bytes(), strict=True)) if old != new}
    assert len(changed) == 2 * 15  # of ones, two bytes are not zeros
    assert torch.equal(load(out)["w"], torch.ones(3, 5))


@formats
@modes
def test_shards_with_an_index_are_filled_like_one_file(tmp_path: Path, filled: dict, kind: str, mode: str):
    tensors, folder = network(), tmp_path / "model"
    names = [name for name in tensors if name not in ("head.weight", "empty")]
    shards = {"pytorch_model-00001-of-00002.bin": names[:4], "pytorch_model-00002-of-00002.bin": names[4:]}
    for shard, held in shards.items():
        save(folder / shard, {name: tensors[name] for name in held}, kind)
    index = index_of((name, shard) for shard, held in shards.items() for name in held)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")
    before = contents(folder)
    out = apply(mode, folder, ["embed.weight=normal:std=0.02", *RULES[1:-1]], seed=SEED, threads=3)
    after = contents(out)
    for shard, held in shards.items():
        wanted = {name: filled[name] for name in held if name in filled}
        assert after.pop(shard) == rewritten(before.pop(shard), tensors, wanted)
    assert after == before
