"""One file to another: the ruled tensors hold their values, and everything else is the same to the byte."""

from __future__ import annotations

import json
import os
import random
import stat
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import initctl
from initctl.execution.tasks import COPIED_AT_ONCE, FILLED_AT_ONCE
from initctl.stream import Constant, Normal, Uniform
from initctl.stream.deterministic_laws import Diagonals
from tests.commit.folders import snapshot
from tests.execution.checkpoints import METADATA, assert_written, raw_bytes, recomputed, single
from tests.formats.handwritten import safetensors_bytes, tensor

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["*.weight=normal:std=0.02", "*.bias=zeros", "norm.weight=ones", "layers.1.*=keep"]


def expected(seed: int = 0) -> dict[str, torch.Tensor]:
    """What RULES give."""
    return {
        "embed.weight": recomputed("embed.weight", Normal(0, 0.02), (50, 8), seed=seed),
        "layers.0.weight": recomputed("layers.0.weight", Normal(0, 0.02), (8, 8), seed=seed),
        "layers.0.bias": torch.zeros(8),
        "norm.weight": torch.ones(8),
    }


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_ruled_tensors_hold_their_values_and_all_else_is_the_same_to_the_byte(tmp_path: Path, seed: int):
    source, out = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    applied = initctl.apply(source, out, rules=RULES, seed=seed)
    assert_written(source.read_bytes(), out.read_bytes(), expected(seed))
    assert (applied.output, applied.files, applied.plan.seed) == (str(out), ("out.safetensors",), seed)
    loaded = load_file(out)
    assert all(torch.equal(loaded[name], values) for name, values in expected(seed).items())


def test_the_library_reads_the_same_metadata_names_and_order(tmp_path: Path):
    source, out = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    initctl.apply(source, out, rules=RULES)
    with safe_open(source, framework="pt") as before, safe_open(out, framework="pt") as after:
        assert after.metadata() == before.metadata() == METADATA
        assert list(after.keys()) == list(before.keys())


W, B = json.dumps(tensor()), json.dumps(tensor(offsets=[8, 16], extra="kept"))


@pytest.mark.parametrize(
    "header",
    [
        f'{{"w":{W},"b":{B},"__metadata__":{{"z":"1","a":"2"}}}}',
        f' \n{{"b":{B},\t"w":{W}}}\r\n     ',
        f'{{"__metadata__":null,"w":{W},"b":{B}}}',
        f'{{"w":{W},"b":{B}}}{" " * 5000}',
    ],
)
def test_a_header_written_in_any_way_is_the_same_to_the_byte(tmp_path: Path, header: str):
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    source.write_bytes(safetensors_bytes(header.encode(), os.urandom(16)))
    initctl.apply(source, out, rules=["w=ones"])
    assert_written(source.read_bytes(), out.read_bytes(), {"w": torch.ones(2)})


def test_tensors_at_odd_offsets_are_filled_where_they_lie(tmp_path: Path):
    entries = {
        "flag": tensor("BOOL", [1], [0, 1]), "w": tensor("F32", [3], [1, 13]), "none": tensor("F32", [0, 9], [13, 13]),
        "h": tensor("F16", [1], [13, 15]), "odd": tensor("F4", [2], [15, 16]),
    }  # fmt: skip
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    source.write_bytes(safetensors_bytes(entries, b"\x02" + bytes(range(1, 16))))
    initctl.apply(source, out, rules=["w=uniform", "{none,h}=ones"])
    filled = {"w": recomputed("w", Uniform(0, 1), (3,)), "h": torch.ones(1, dtype=torch.half)}
    assert_written(source.read_bytes(), out.read_bytes(), filled)


def test_every_kind_of_tensor_takes_what_fits_it(tmp_path: Path):
    entries = {
        "mask": tensor("BOOL", [3], [0, 3]), "id": tensor("U64", [1], [3, 11]), "z": tensor("C64", [2], [11, 27]),
        "eye": tensor("BF16", [2, 2], [27, 35]), "e8": tensor("F8_E8M0", [1], [35, 36]),
        "d": tensor("F64", [], [36, 44]),
    }  # fmt: skip
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    source.write_bytes(safetensors_bytes(entries, os.urandom(44)))
    rules = ["mask=ones", "id=constant:val=18446744073709551615", "z=normal", "eye=eye", "e8=constant:val=0.5"]
    initctl.apply(source, out, rules=[*rules, "d=normal:mean=1"])
    parts = recomputed("z", Normal(0, 0.5**0.5), (4,))
    filled = {
        "mask": torch.tensor([True] * 3), "id": torch.tensor([-1]), "z": torch.view_as_complex(parts.reshape(2, 2)),
        "eye": torch.eye(2).bfloat16(), "e8": torch.tensor([0.5]).to(torch.float8_e8m0fnu),
        "d": recomputed("d", Normal(1, 1), (), dtype=torch.float64),
    }  # fmt: skip
    assert_written(source.read_bytes(), out.read_bytes(), filled)


@pytest.mark.parametrize("threads", [1, 2, 7, None])
def test_any_number_of_threads_writes_the_same_bytes_across_many_pieces(tmp_path: Path, threads: int | None):
    kept, filled = COPIED_AT_ONCE + 5, 2 * FILLED_AT_ONCE + 7
    ends = list(accumulate([2 * filled, kept, 4 * 700**2], initial=0))
    entries = {
        "a": tensor("F16", [filled], ends[0:2]),
        "k": tensor("U8", [kept], ends[1:3]),
        "eye": tensor("F32", [700, 700], ends[2:4]),
    }
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    noise = random.Random(1).randbytes(1021)
    source.write_bytes(safetensors_bytes(entries, (noise * (ends[-1] // len(noise) + 1))[: ends[-1]]))
    initctl.apply(source, out, rules=["a=normal", "eye=eye"], threads=threads)
    values = {
        "a": recomputed("a", Normal(0, 1), (filled,), dtype=torch.half),
        "eye": recomputed("eye", Diagonals(0, 701, 700), (700, 700)),
    }
    assert_written(source.read_bytes(), out.read_bytes(), values)


@pytest.mark.parametrize("call", ["orthogonal", "sparse:sparsity=0.3"])
def test_a_law_of_the_whole_tensor_is_written_whole(tmp_path: Path, call: str):
    shape, size = (40_000, 7), 4 * 40_000 * 7  # more numbers than one piece holds
    header = {"w": tensor("F32", list(shape), [0, size]), "x": tensor("U8", [3], [size, size + 3])}
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    source.write_bytes(safetensors_bytes(header, b"\xaa" * (size + 3)))
    (action,) = initctl.apply(source, out, rules=[f"w={call}"]).plan.actions
    assert_written(source.read_bytes(), out.read_bytes(), {"w": recomputed("w", action.law, shape)})


def test_a_constant_fills_every_element(tmp_path: Path):
    source, out = single(tmp_path / "in.safetensors", torch.bfloat16), tmp_path / "out.safetensors"
    initctl.apply(source, out, rules=["embed.*=constant:val=0.1", "steps=constant:val=-3"])
    wanted = recomputed("embed.weight", Constant(0.1), (50, 8), dtype=torch.bfloat16)
    assert_written(source.read_bytes(), out.read_bytes(), {"embed.weight": wanted, "steps": torch.tensor([-3])})


def test_a_file_without_tensors_is_copied(tmp_path: Path):
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    source.write_bytes(safetensors_bytes(b'{"__metadata__":{"a":"b"}}'))
    applied = initctl.apply(source, out, rules=["*=zeros"], allow_unused=True)
    assert out.read_bytes() == source.read_bytes()
    assert [warning.code for warning in applied.plan.warnings] == ["rule.unused"]


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o444, 0o755])
def test_a_new_file_has_the_mode_of_the_input(tmp_path: Path, mode: int):
    source, out = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    source.chmod(mode)
    initctl.apply(source, out, rules=RULES)
    assert stat.S_IMODE(out.stat().st_mode) == mode


def test_a_file_that_is_replaced_keeps_its_own_mode(tmp_path: Path):
    source, out = single(tmp_path / "in.safetensors"), single(tmp_path / "out.safetensors", torch.float16)
    source.chmod(0o600)
    out.chmod(0o640)
    initctl.apply(source, out, rules=RULES)
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert_written(source.read_bytes(), out.read_bytes(), expected())


def test_the_input_is_not_touched_and_nothing_stands_beside_the_result(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    before = snapshot(tmp_path)
    initctl.apply(source, tmp_path / "out.safetensors", rules=RULES)
    after = snapshot(tmp_path)
    assert after.pop("out.safetensors").content
    assert after == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_orthogonal_matrices_of_half_precision_are_those_of_float32_rounded(tmp_path: Path, dtype: torch.dtype):
    written = {}
    for kind in (dtype, torch.float32):
        save_file({"w": torch.zeros(40, 20, dtype=kind)}, tmp_path / "in.safetensors")
        initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rules=["w=orthogonal"])
        written[kind] = load_file(tmp_path / "out.safetensors")["w"]
    assert torch.equal(written[dtype], written[torch.float32].to(dtype))
    w = written[dtype].double()
    assert (w.T @ w - torch.eye(20)).abs().max() < 32 * torch.finfo(dtype).eps


def test_the_same_run_again_gives_the_same_bytes(tmp_path: Path):
    source, out = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    initctl.apply(source, out, rules=RULES)
    once = out.read_bytes()
    initctl.apply(source, out, rules=RULES)
    initctl.apply(out, tmp_path / "again.safetensors", rules=RULES)
    assert out.read_bytes() == (tmp_path / "again.safetensors").read_bytes() == once


def test_a_link_goes_on_to_lead_to_the_result(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/out.safetensors")
    for _ in ("it leads nowhere yet", "it leads to a file"):
        applied = initctl.apply(source, tmp_path / "link", rules=RULES)
        assert os.readlink(tmp_path / "link") == "real/out.safetensors"
        assert_written(source.read_bytes(), (tmp_path / "real" / "out.safetensors").read_bytes(), expected())
        assert applied.output == str(tmp_path / "link")
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["out.safetensors"]


def test_a_file_given_through_a_link_is_read(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    (tmp_path / "link").symlink_to(source)
    initctl.apply(tmp_path / "link", tmp_path / "out", rules=RULES)
    assert_written(source.read_bytes(), (tmp_path / "out").read_bytes(), expected())


def test_values_are_those_of_the_library_to_the_byte(tmp_path: Path):
    source, out = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    initctl.apply(source, out, rules=["embed.weight=eye"])
    assert raw_bytes(load_file(out)["embed.weight"]) == raw_bytes(torch.nn.init.eye_(torch.empty(50, 8)))
