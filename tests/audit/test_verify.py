"""A checkpoint holds exactly what the rules give, or the first element that differs is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import initctl
from initctl.cli.main import run
from tests.execution.checkpoints import ranges, sharded
from tests.execution.torch_files import bits, load, save

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = {
    "w": torch.full((50, 6), 0.5),
    "half": torch.full((9, 4), 0.5, dtype=torch.bfloat16),
    "f16": torch.full((3, 2, 5), 0.5, dtype=torch.float16),
    "double": torch.full((4,), 0.5, dtype=torch.float64),
    "eight": torch.full((4, 4), 0.5).to(torch.float8_e4m3fn),
    "complex": torch.full((3, 5), 1 + 1j, dtype=torch.complex64),
    "scale": torch.tensor(2.0),
    "steps": torch.arange(7),
    "flags": torch.ones(3, dtype=torch.bool),
    "empty": torch.empty(0, 2),
}
RULES = [
    "{w,half,f16,double,eight,complex}=normal:std=0.5", "w[40:]=zeros", "w[45:48]=keep", "f16=xavier_normal",
    "scale=constant:val=3", "empty=normal", "flags=zeros",
]  # fmt: skip
KEPT = ("steps",)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file, and what the rules make of it."""
    folder = tmp_path_factory.mktemp("verified")
    save_file(TENSORS, folder / "in.safetensors")
    initctl.apply(folder / "in.safetensors", folder / "out.safetensors", rules=RULES, seed=4)
    return folder / "in.safetensors", folder / "out.safetensors"


def verify(*paths: Path, **options: Any) -> Any:
    return initctl.verify(*paths, **{"rules": RULES, "seed": 4, **options})


def test_what_apply_wrote_holds(written: tuple[Path, Path]):
    before, after = written
    decided = 40 * 6 + 7 * 6 + 36 + 30 + 4 + 16 + 15 + 1 + 3  # without the rows that are kept
    for threads in (1, 4):
        found = verify(after, threads=threads)
        assert found.holds
        assert found.compared == decided
        assert found.to_json()["differences"] == []
    found = verify(before, after)
    assert found.holds
    assert found.compared == decided
    kept = sum(tensor.nbytes for tensor in TENSORS.values()) - sum(a.part.nbytes for a in found.plan.actions)
    assert found.rest == before.stat().st_size - sum(tensor.nbytes for tensor in TENSORS.values()) + kept


def test_another_seed_does_not_hold_and_every_random_tensor_is_told(written: tuple[Path, Path]):
    found = verify(written[1], seed=5)
    assert not found.holds
    assert {d.tensor for d in found.differences} == {"w", "half", "f16", "double", "eight", "complex"}
    assert all(not any(d.index) or d.tensor in ("eight", "half") for d in found.differences)


def flipped(path: Path, folder: Path, name: str, at: int, bit: int = 0) -> Path:
    """A copy of the file in which a bit of a tensor's byte `at` is another."""
    content = bytearray(path.read_bytes())
    content[ranges(bytes(content))[name].start + at] ^= 1 << bit
    (folder / "flipped.safetensors").write_bytes(content)
    return folder / "flipped.safetensors"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
@given(data=st.data())
def test_each_flipped_bit_is_found_at_its_index(tmp_path: Path, written: tuple[Path, Path], data: st.DataObject):
    before, after = written
    name = data.draw(st.sampled_from([name for name, tensor in TENSORS.items() if tensor.numel()]))
    tensor = TENSORS[name]
    width = tensor.element_size()
    at = data.draw(st.integers(0, tensor.numel() * width - 1))
    path = flipped(after, tmp_path, name, at, data.draw(st.integers(0, 7)))
    index = tuple(map(int, np.unravel_index(at // width, tensor.shape))) if tensor.shape else ()
    is_decided = name not in KEPT and not (name == "w" and 45 <= index[0] < 48)
    found = verify(path)
    assert [(d.tensor, d.index) for d in found.differences] == ([(name, index)] if is_decided else [])
    assert found.holds != is_decided
    (difference,) = verify(before, path).differences
    assert (difference.tensor, difference.index) == (name, index)
    assert json.loads(json.dumps(difference.to_json(), allow_nan=False))["index"] == list(index)


def test_a_difference_tells_both_numbers_as_they_are_stored(tmp_path: Path, written: tuple[Path, Path]):
    tensors = load_file(written[1])
    expected = tensors["half"][3, 2].item()
    tensors["half"][3, 2] = 7
    tensors["complex"][1, 1] = complex(2, float("nan"))
    tensors["scale"] = torch.tensor(float("inf"))
    save_file(tensors, tmp_path / "m.safetensors")
    found = {d.tensor: d for d in verify(tmp_path / "m.safetensors").differences}
    assert (found["half"].expected, found["half"].found) == (expected, 7.0)
    assert found["complex"].found.real == 2
    assert found["scale"].to_json() == {"tensor": "scale", "index": [], "expected": 3.0, "found": "inf"}
    assert list(found) == sorted(
        found, key=[n for n, _ in ranges((tmp_path / "m.safetensors").read_bytes()).items()].index
    )


def test_the_first_of_several_differences_is_told_on_any_number_of_threads(tmp_path: Path):
    save_file({"w": torch.zeros(1500, 2000)}, tmp_path / "m.safetensors")
    wrong = torch.zeros(1500, 2000)
    wrong[700, 3] = wrong[1400:, :] = 1
    save_file({"w": wrong}, tmp_path / "wrong.safetensors")
    for threads in (1, 4):
        (difference,) = initctl.verify(tmp_path / "wrong.safetensors", rules=["w=zeros"], threads=threads).differences
        assert difference.index == (700, 3)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_strided_tied_and_transposed_tensors(tmp_path: Path, kind: str):
    base = bits(torch.float32, 20, 12)
    tensors = {"t": base[:10].T, "s": bits(torch.float16, 30, 8)[::3, ::2], "emb": base[12:], "head": base[12:]}
    rules = ["t=normal", "s[2:]=uniform", "{emb,head}=orthogonal"]
    save(tmp_path / "m.pt", tensors, kind)
    initctl.apply(tmp_path / "m.pt", tmp_path / "o.pt", rules=rules)
    assert initctl.verify(tmp_path / "m.pt", tmp_path / "o.pt", rules=rules).holds
    state = load(tmp_path / "o.pt")
    state["t"][7, 4] += 1
    state["s"][5, 3] += 1
    save(tmp_path / "wrong.pt", state, kind)
    found = initctl.verify(tmp_path / "wrong.pt", rules=rules)
    assert [(d.tensor, d.index) for d in found.differences] == [("t", (7, 4)), ("s", (5, 3))]
    state["s"][1, 1] += 1
    save(tmp_path / "wrong.pt", state, kind)
    found = initctl.verify(tmp_path / "m.pt", tmp_path / "wrong.pt", rules=rules)
    assert [(d.tensor, d.index) for d in found.differences] == [("t", (7, 4)), ("s", (1, 1))]


def test_shards_and_a_conversion_against_the_original(tmp_path: Path):
    folder = sharded(tmp_path / "m")
    rules = ["layers.*.weight=normal", "embed.weight[9:]=uniform"]
    initctl.apply(folder, tmp_path / "one.safetensors", rules=rules)
    initctl.apply(folder, tmp_path / "out", rules=rules)
    for result in (tmp_path / "one.safetensors", tmp_path / "out"):
        assert initctl.verify(folder, result, rules=rules).holds
    path = tmp_path / "out" / "model-2.safetensors"
    content = bytearray(path.read_bytes())
    content[ranges(bytes(content))["layers.1.weight"].start + 4 * 11] ^= 1
    path.write_bytes(content)
    (difference,) = initctl.verify(tmp_path / "out", rules=rules).differences
    assert (difference.tensor, difference.index) == ("layers.1.weight", (1, 3))


def test_a_sample_looks_at_the_ends_and_at_no_more_than_it_must(written: tuple[Path, Path], tmp_path: Path):
    after = written[1]
    for sample in (1, 2, 16, 17, 33, 100, 10_000):
        found = verify(after, sample=sample)
        assert found.holds
        assert found.compared <= verify(after).compared
        parts = len(found.plan.actions)
        assert found.compared <= parts * (sample + 15)
    assert not verify(flipped(after, tmp_path, "w", 0, 5), sample=20).holds
    assert not verify(flipped(after, tmp_path, "w", 4 * 6 * 40 - 1, 5), sample=20).holds
    assert verify(after, sample=10_000).compared == verify(after).compared
    with pytest.raises(initctl.UsageError, match="sample: 0 is not a whole number of 1 or more"):
        verify(after, sample=0)


REVISIONS = ["scale:by=0.5", "perturb:std=0.1,rel=true", "reinit:p=0.5,std=1", "copy:from=b", "permute_rows"]


@pytest.mark.parametrize("call", [*REVISIONS, "mean_rows:of=:", "match_stats"])
def test_what_started_from_old_values_is_verified_against_them(tmp_path: Path, call: str):
    save_file({"a": torch.randn(20, 3), "b": torch.randn(20, 3)}, tmp_path / "in.safetensors")
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rules=[f"a={call}"])
    with pytest.raises(initctl.UsageError) as raised:
        initctl.verify(tmp_path / "out.safetensors", rules=[f"a={call}"])
    given = "initctl.verify(ORIGINAL, RESULT)"
    assert str(raised.value) == f"new values depend on old ones: a; name the original checkpoint with {given}"
    against = tmp_path / "in.safetensors"
    assert initctl.verify(against, tmp_path / "out.safetensors", rules=[f"a={call}"]).holds
    path = flipped(tmp_path / "out.safetensors", tmp_path, "a", 4 * 20)
    (difference,) = initctl.verify(against, path, rules=[f"a={call}"]).differences
    assert difference.index == (6, 2)


def test_a_copy_of_what_was_filled_too_is_verified_against_the_original(tmp_path: Path):
    save_file({"a": torch.randn(20, 3), "b": torch.randn(20, 3)}, tmp_path / "in.safetensors")
    rules = ["a=copy:from=b", "b=copy:from=a"]
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rules=rules)
    assert initctl.verify(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rules=rules).holds


@pytest.mark.parametrize(
    ("other", "tensor", "fault"),
    [
        ({"a": torch.ones(3)}, "b", "is missing"),
        ({"a": torch.ones(4), "b": torch.ones(2)}, "a", "is [4] float32 instead of [3] float32"),
        ({"a": torch.ones(3), "b": torch.ones(2, dtype=torch.float16)}, "b", "is [2] float16 instead of [2] float32"),
    ],
)
@pytest.mark.parametrize("converted", [False, True])
def test_a_tensor_that_was_lost_is_told(
    tmp_path: Path, other: dict[str, torch.Tensor], tensor: str, fault: str, *, converted: bool
):
    before = tmp_path / ("m.pt" if converted else "m.safetensors")
    (torch.save if converted else save_file)({"a": torch.zeros(3), "b": torch.ones(2)}, before)
    save_file(other, tmp_path / "other.safetensors")
    found = initctl.verify(before, tmp_path / "other.safetensors", rules=["a=zeros"])
    assert [(lost.tensor, lost.fault) for lost in found.lost] == [(tensor, fault)]
    assert not found.holds
    assert run(["verify", str(tmp_path / "other.safetensors"), "-r", "a=zeros", "--against", str(before)]) == 1


def test_an_original_may_lie_otherwise(tmp_path: Path):
    save_file({"a": torch.zeros(3), "b": torch.ones(2)}, tmp_path / "m.safetensors")
    save(tmp_path / "o.pt", {"state_dict": {"b": torch.ones(4)[::2], "a": torch.ones(3)}})
    assert initctl.verify(tmp_path / "o.pt", tmp_path / "m.safetensors", rules=["a=zeros"]).holds


def test_a_difference_beyond_the_digits_of_float32_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_file({"a": torch.tensor([0.1 + 1e-16], dtype=torch.float64)}, tmp_path / "m.safetensors")
    assert run(["verify", str(tmp_path / "m.safetensors"), "-r", "a=constant:val=0.1"]) == 1
    assert "0.1  " in (told := capsys.readouterr().out)
    assert "0.10000000000000009" in told or "0.1000000000000001" in told


def test_models_that_have_little_in_common_take_few_lines_unless_all_are_asked_for(tmp_path: Path):
    path, other = tmp_path / "m.safetensors", tmp_path / "o.safetensors"
    save_file({f"{kind}.{n}": torch.zeros(2) for n in range(40) for kind in ("both", "one")}, path)
    save_file({f"{kind}.{n}": torch.ones(2) for n in range(40) for kind in ("both", "other")}, other)
    found = initctl.verify(path, other)
    assert not found
    assert repr(found).splitlines()[1].startswith("one.{0..39} ×40  ")
    assert len(repr(found).splitlines()) < 40
    named = [line.split()[0] for line in found.report(unfold=True)[0].lines()]
    assert {f"{kind}.{n}" for n in range(40) for kind in ("both", "one")} <= set(named)
    assert (len(found.to_json()["differences"]), len(found.to_json()["lost"])) == (40, 80)


def test_an_original_is_read_at_the_root_of_the_plan(tmp_path: Path):
    save(tmp_path / "m.ckpt", {"model": {"a": torch.ones(3)}, "ema": {"b": torch.ones(2), "c": torch.ones(1)}})
    initctl.plan(tmp_path / "m.ckpt", rules=["b=normal"], root="ema").save(tmp_path / "plan.json")
    initctl.apply(initctl.load_plan(tmp_path / "plan.json", tmp_path / "m.ckpt"), tmp_path / "o.ckpt")
    found = initctl.verify(initctl.load_plan(tmp_path / "plan.json", tmp_path / "m.ckpt"), tmp_path / "o.ckpt")
    assert found.holds
    assert found.compared == 2
    assert {action.tensor.name for action in found.plan.actions} == {"b"}


def test_torchs_own_random_numbers_are_verified(tmp_path: Path):
    save_file({"a": torch.zeros(8, 3), "b": torch.ones(2, 5)}, tmp_path / "m.safetensors")
    options: dict[str, Any] = {"rules": ["*=normal", "b=kaiming_uniform"], "seed": 7, "rng": "torch"}
    initctl.apply(tmp_path / "m.safetensors", tmp_path / "o.safetensors", **options)
    assert initctl.verify(tmp_path / "o.safetensors", **options).holds
    assert not initctl.verify(tmp_path / "o.safetensors", **{**options, "rng": "philox"}).holds
    (difference,) = initctl.verify(flipped(tmp_path / "o.safetensors", tmp_path, "b", 4 * 7), **options).differences
    assert (difference.tensor, difference.index) == ("b", (1, 2))


def test_a_saved_plan_is_verified(tmp_path: Path, written: tuple[Path, Path]):
    before, after = written
    initctl.plan(before, rules=RULES, seed=4).save(tmp_path / "plan.json")
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=after)).holds
    assert not initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=before)).holds


def test_the_checkpoint_is_not_touched(written: tuple[Path, Path]):
    contents = [(path.read_bytes(), path.stat().st_mtime_ns) for path in written]
    verify(*written)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in written] == contents
    assert len(list(written[0].parent.iterdir())) == 2


def test_exit_statuses(tmp_path: Path, written: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    before, after = map(str, written)
    rules = [word for rule in RULES for word in ("-r", rule)]
    assert run(["verify", after, *rules, "--seed", "4"]) == 0
    assert run(["verify", after, *rules, "--seed", "4", "--against", before, "--sample", "3"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["verify", before, *rules, "--seed", "4"]) == 1
    assert run(["verify", before, *rules, "--seed", "4", "--json"]) == 1
    document = json.loads(capsys.readouterr().out.rpartition("\n{")[2].join(["{", ""]))
    assert (document["status"], document["exit_code"]) == ("negative", 1)
    assert {d["tensor"] for d in document["data"]["differences"]} >= {"w", "scale"}
    assert run(["verify", after]) == 2
    assert run(["verify", after, "-r", "w=scale:by=2"]) == 2
    assert run(["verify", f"{after}.no", "-r", "w=zeros"]) == 3
    assert run(["verify", after, "-r", "nothing=zeros"]) == 4
    assert run(["verify", after, "-r", "w=zeros", "--sample", "0"]) == 2
