"""A saved plan is carried out later on just the checkpoint that it was made for, and gives the same bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import initctl
from initctl.cli.main import run
from initctl.planning.documents import signed
from initctl.planning.overview import overview
from tests.execution.checkpoints import network, sharded, single
from tests.execution.torch_files import RULES as TORCH_RULES
from tests.execution.torch_files import load, save
from tests.execution.torch_files import network as torch_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = [
    "*.weight=normal:std=1/sqrt(numel)", "*.bias=uniform:a=-0.5,b=0.5", "embed.weight[40:]=mean_rows:of=:40,std=0.01",
    "layers.0.weight=orthogonal", "norm.weight=keep", "layers.1.weight[2:4]=copy:from=layers.0.weight",
    "steps=constant:val=3",
]  # fmt: skip


def saved(source: Path, *rules: str, **options: Any) -> Path:
    """The document of a plan for `source`."""
    path = source.parent / "plan.json"
    initctl.plan(source, rules=rules or RULES, **options).save(path, overwrite=True)
    return path


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {os.path.relpath(p, path): p.read_bytes() for p in files}


def same_bytes(folder: Path, source: Path, *rules: str, suffix: str = "", **options: Any) -> None:
    """Applying rules, and applying the plan that was saved of them, must write the same."""
    document = saved(source, *rules, **options)
    initctl.apply(source, folder / f"direct{suffix}", rules=rules or RULES, **options)
    initctl.apply(initctl.load_plan(document, source), folder / f"later{suffix}")
    assert contents(folder / f"direct{suffix}") == contents(folder / f"later{suffix}")
    assert contents(folder / f"direct{suffix}") != contents(source)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_same_bytes_from_one_file(tmp_path: Path, dtype: torch.dtype):
    same_bytes(tmp_path, single(tmp_path / "m.safetensors", dtype), suffix=".safetensors", seed=2**64 - 1)


def test_the_same_bytes_from_shards(tmp_path: Path):
    same_bytes(tmp_path, sharded(tmp_path / "m"), seed=5)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_the_same_bytes_from_a_torch_file_with_ties_and_views(tmp_path: Path, kind: str):
    rules = [*TORCH_RULES, "{embed,head}.weight[3:5]=zeros"]
    same_bytes(tmp_path, save(tmp_path / "m.pt", torch_network(), kind), *rules, suffix=".pt")


def test_the_same_bytes_from_torchs_own_random_numbers(tmp_path: Path):
    rules = ["*.weight=normal", "embed.weight[3:]=xavier_uniform", "*.bias=zeros"]
    same_bytes(tmp_path, single(tmp_path / "m.safetensors"), *rules, rng="torch", seed=9, suffix=".safetensors")


def test_the_same_bytes_from_a_recipe_with_a_config(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"std": 0.25}')
    (tmp_path / "r.toml").write_text('seed = 3\n[[rule]]\nmatch = "*.weight"\ninit = "normal"\nstd = "config.std"\n')
    source = single(tmp_path / "m.safetensors")
    initctl.plan(source, recipes=[tmp_path / "r.toml"]).save(tmp_path / "plan.json")
    initctl.apply(source, tmp_path / "direct.safetensors", recipes=[tmp_path / "r.toml"])
    (tmp_path / "config.json").unlink()
    (tmp_path / "r.toml").unlink()
    initctl.apply(initctl.load_plan(tmp_path / "plan.json", source), tmp_path / "later.safetensors")
    assert (tmp_path / "direct.safetensors").read_bytes() == (tmp_path / "later.safetensors").read_bytes()


def with_optimizer(path: Path, hidden: int = 4, **changed: torch.Tensor) -> Path:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, hidden)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    save(path, {"model": {**net.state_dict(), **changed}, "optimizer": optimizer.state_dict()})
    return path


def test_what_optimizers_remember_is_reset_too(tmp_path: Path):
    source = with_optimizer(tmp_path / "m.ckpt")
    same_bytes(tmp_path, source, "weight[1:3]=zeros", "bias=ones", suffix=".ckpt", reset_optimizer=True)
    states = load(tmp_path / "later.ckpt")["optimizer"]["state"]
    assert (states[0]["exp_avg"][1:3] == 0).all()
    assert (states[0]["exp_avg"][0] != 0).any()
    assert (states[1]["exp_avg"] == 0).all()


def test_the_plan_that_is_read_is_the_plan_that_was_saved(tmp_path: Path):
    source = single(tmp_path / "m.safetensors")
    made = initctl.plan(source, rules=RULES, seed=8)
    seen: list[Any] = []
    initctl.apply(initctl.load_plan(saved(source, seed=8), source), tmp_path / "o.safetensors", on_event=seen.append)
    one, other = made.to_json(), seen[0].to_json()
    for data in (one, other):
        for entry in data["kept"]:  # which rule keeps a tensor is not saved
            entry.pop("rule"), entry.pop("source")
    assert one == other


def test_a_plan_that_is_read_is_shown_as_the_one_that_was_saved(tmp_path: Path):
    rules = ["*.bias=uniform:a=-0.5,b=0.5", "layers.{0..1}.weight[2:4]=zeros where ndim == 2"]
    source = single(tmp_path / "m.safetensors")
    made = initctl.plan(source, rules=rules)
    assert "rule 2: layers.{0..1}.weight[2:4]" in repr(made)
    restored = initctl.load_plan(saved(source, *rules))
    assert overview(restored.actions, unfold=False) == overview(made.actions, unfold=False)


RENAMED = {"values": True, "name": True, "shape": False, "dtype": False, "order": False, "tensor": False, "size": False}


@pytest.mark.parametrize(("change", "is_accepted"), RENAMED.items())
def test_only_the_checkpoint_with_the_same_table_is_taken(tmp_path: Path, change: str, is_accepted: bool):
    tensors = network()
    save_file(tensors, tmp_path / "m.safetensors")
    document = saved(tmp_path / "m.safetensors")
    other = {name: tensor.clone() for name, tensor in tensors.items()}
    match change:
        case "values":
            other["embed.weight"] += 1
        case "shape":
            other["norm.weight"] = other["norm.weight"].reshape(2, 4)
        case "dtype":
            other["norm.weight"] = torch.full((8,), 1, dtype=torch.int32)
        case "order":
            other["norm.weight"], other["layers.0.bias"] = (
                other[n].to(torch.float64) for n in ("norm.weight", "layers.0.bias")
            )
        case "tensor":
            other["extra"] = torch.ones(1)
        case "size":
            other["embed.weight"] = torch.ones(51, 8)
    path = tmp_path / ("renamed.safetensors" if change == "name" else "other.safetensors")
    save_file(other, path)
    if is_accepted:
        initctl.apply(initctl.load_plan(document, path), tmp_path / "o.safetensors")
        return
    with pytest.raises(initctl.ConflictError) as raised:
        initctl.apply(initctl.load_plan(document, path), tmp_path / "o.safetensors")
    (problem,) = raised.value.problems
    assert problem.code == "plan.table"
    assert str(problem) == (
        f"{path}: is not the checkpoint that {document} was made for: its tensors or files differ; plan again"
    )
    assert not (tmp_path / "o.safetensors").exists()


def test_tensors_that_lie_elsewhere_are_another_table(tmp_path: Path):
    save_file({"a": torch.ones(4)}, tmp_path / "m.safetensors")
    document = saved(tmp_path / "m.safetensors", "a=normal")
    for metadata, is_accepted in ({"format": "pt"}, False), (None, True):
        save_file({"a": torch.zeros(4)}, tmp_path / "other.safetensors", metadata=metadata)
        with nullcontext() if is_accepted else pytest.raises(initctl.ConflictError):
            initctl.apply(initctl.load_plan(document, tmp_path / "other.safetensors"), tmp_path / "o.safetensors")


def test_a_tensor_renamed_moved_or_tied_is_another_table(tmp_path: Path):
    one, other = torch.ones(4, 4), torch.ones(4, 4)
    source = save(tmp_path / "m.pt", {"a": one, "b": other})
    document = saved(source, "a=normal")
    for state in (
        {"a": one, "c": other}, {"b": other, "a": one}, {"a": one, "b": one}, {"a": one.T, "b": other},
        {"state_dict": {"a": one, "b": other}},
    ):  # fmt: skip
        with pytest.raises(initctl.ConflictError):
            initctl.apply(initctl.load_plan(document, save(tmp_path / "other" / "m.pt", state)), tmp_path / "o.pt")
    shutil.copy(source, tmp_path / "renamed.pt")
    assert initctl.apply(initctl.load_plan(document, tmp_path / "renamed.pt"), tmp_path / "o.pt").files


def test_a_checkpoint_without_tensors_at_the_plans_root_is_another(tmp_path: Path):
    tensors = {"a": torch.ones(2)}
    source = save(tmp_path / "m.pt", {"net": {"model": tensors}, "x": 1})
    document = saved(source, "a=normal", root="net.model")
    with pytest.raises(initctl.ConflictError, match="its tensors or files differ"):
        initctl.apply(initctl.load_plan(document, save(tmp_path / "other.pt", tensors)), tmp_path / "o.pt")
    same_bytes(tmp_path, source, "a=normal", suffix=".pt", root="net.model")


def test_another_optimizer_is_another_table(tmp_path: Path):
    source = with_optimizer(tmp_path / "m.ckpt")
    document = saved(source, "weight=zeros", reset_optimizer=True)
    state = load(source)
    state["optimizer"]["state"][0]["exp_avg"] = state["optimizer"]["state"][0]["exp_avg"].T.contiguous().T
    with pytest.raises(initctl.ConflictError):
        initctl.apply(initctl.load_plan(document, save(tmp_path / "other" / "m.ckpt", state)), tmp_path / "o.ckpt")
    assert (tmp_path / "other" / "m.ckpt").stat().st_size == source.stat().st_size


def test_a_table_that_differs_in_strides_alone_is_another(tmp_path: Path):
    square = torch.arange(16.0).reshape(4, 4)
    source = save(tmp_path / "m.pt", {"a": square})
    document = saved(source, "a=normal")
    other = save(tmp_path / "other" / "m.pt", {"a": square.T})
    assert other.stat().st_size == source.stat().st_size
    with pytest.raises(initctl.ConflictError):
        initctl.apply(initctl.load_plan(document, other), tmp_path / "o.pt")


def test_shards_of_other_names_are_another_table(tmp_path: Path):
    document = saved(sharded(tmp_path / "m"))
    shutil.copytree(tmp_path / "m", tmp_path / "copy")
    initctl.apply(initctl.load_plan(document, tmp_path / "copy"), tmp_path / "o")
    index = tmp_path / "copy" / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-1", "renamed-1"))
    os.rename(tmp_path / "copy" / "model-1.safetensors", tmp_path / "copy" / "renamed-1.safetensors")
    with pytest.raises(initctl.ConflictError):
        initctl.apply(initctl.load_plan(document, tmp_path / "copy"), tmp_path / "o2")


def test_a_copy_takes_the_same_other_checkpoint(tmp_path: Path):
    source = single(tmp_path / "m.safetensors")
    save_file({"x": torch.ones(8, 8)}, tmp_path / "other.safetensors")
    document = saved(source, f"layers.0.weight=copy:from={tmp_path}/other.safetensors#x")
    save_file({"x": torch.full((8, 8), 2.0)}, tmp_path / "other.safetensors")
    initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")
    assert (load_file(tmp_path / "o.safetensors")["layers.0.weight"] == 2).all()
    save_file({"x": torch.ones(8, 8), "y": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(initctl.ConflictError, match=r"other\.safetensors: is not the checkpoint"):
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")
    (tmp_path / "other.safetensors").unlink()
    with pytest.raises(initctl.InputError, match=r"other\.safetensors: no such file"):
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")


@pytest.mark.parametrize(
    "given",
    [
        {"rules": ["*=zeros"]}, {"seed": 3}, {"preset": "gpt2"}, {"recipes": ["x.toml"]}, {"root": ""},
        {"rng": "torch"},
        {"device": "auto"}, {"reset_optimizer": True}, {"require_all": True}, {"allow_unused": True}, {"seed": 0},
    ],
)  # fmt: skip
def test_nothing_that_the_plan_says_is_told_once_more(tmp_path: Path, given: dict[str, Any]):
    source = single(tmp_path / "m.safetensors")
    (tmp_path / "x.toml").write_text('[[rule]]\nmatch = "*"\ninit = "zeros"')
    given = {k: [str(tmp_path / "x.toml")] if k == "recipes" else v for k, v in given.items()}
    with pytest.raises(initctl.UsageError, match=rf"{next(iter(given))}\b.*; it already fixes the rules"):
        initctl.apply(initctl.load_plan(saved(source), source), tmp_path / "o.safetensors", **given)


# Damage


def set_at(path: tuple[str | int, ...], value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def without(*path: str | int) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


DAMAGE: dict[str, Callable[[Any], None]] = {
    "seed is negative": set_at(("seed",), -1),
    "seed is too large": set_at(("seed",), 2**64),
    "seed is a text": set_at(("seed",), "3"),
    "seed is a fraction": set_at(("seed",), 1.5),
    "seed is true": set_at(("seed",), True),
    "seed is gone": without("seed"),
    "rng is another": set_at(("rng",), "dice"),
    "root is a list": set_at(("root",), []),
    "component is a list": set_at(("component",), [1]),
    "component is half a surrogate pair": set_at(("component",), "\ud800"),
    "actions are a text": set_at(("actions",), "none"),
    "actions hold null": set_at(("actions", 0), None),
    "no such tensor": set_at(("actions", 0, "tensor"), "nothing"),
    "tensor is a list": set_at(("actions", 0, "tensor"), []),
    "a tensor twice": lambda d: d["actions"].append(d["actions"][0]),
    "no such initializer": set_at(("actions", 0, "init"), "nrmal"),
    "initializer is keep": set_at(("actions", 0, "init"), "keep"),
    "initializer is a list": set_at(("actions", 0, "init"), []),
    "device not yet chosen": set_at(("actions", 0, "device"), "auto"),
    "one that does not fit": set_at(("actions", 0, "init"), "dirac"),
    "unknown argument": set_at(("actions", 0, "arguments", "x"), 1),
    "argument is a list": set_at(("actions", 0, "arguments", "std"), [1]),
    "argument is a text": set_at(("actions", 0, "arguments", "std"), "1"),
    "argument is null": set_at(("actions", 0, "arguments", "std"), None),
    "argument is out of range": set_at(("actions", 0, "arguments", "std"), -1),
    "argument overflows": set_at(("actions", 0, "arguments", "std"), 1e300),
    "argument is gone": set_at(("actions", 0, "init"), "scale"),
    "arguments are gone": without("actions", 0, "arguments"),
    "arguments are a list": set_at(("actions", 0, "arguments"), []),
    "required is gone": lambda d: d["actions"][0].update(init="scale", arguments={}),
    "rows are a number": set_at(("actions", 0, "rows"), 3),
    "rows are three": set_at(("actions", 0, "rows"), [1, 2, 3]),
    "rows are outside": set_at(("actions", 0, "rows"), [0, 99]),
    "rows are empty": set_at(("actions", 0, "rows"), [3, 3]),
    "rows are negative": set_at(("actions", 0, "rows"), [-3, -1]),
    "rows are fractions": set_at(("actions", 0, "rows"), [0.0, 1.0]),
    "rows are gone": without("actions", 0, "rows"),
    "rows of no dims": lambda d: d["actions"][-1].update(rows=[0, 1]),
    "rows of a permutation": lambda d: d["actions"][0].update(init="permute_rows", arguments={}, rows=[0, 2]),
    "device is another": set_at(("actions", 0, "device"), "abacus"),
    "device is a number": set_at(("actions", 0, "device"), 3),
    "rule is a number": set_at(("actions", 0, "rule"), 3),
    "source is gone": without("actions", 0, "source"),
    "schema is another": set_at(("schema",), "initctl-plan/2"),
    "schema is gone": without("schema"),
    "table is gone": without("table"),
    "reset is asked for": set_at(("reset_optimizer",), True),
    "reset is gone": without("reset_optimizer"),
}
OTHER_ERRORS = {"reset is asked for": 4}
"""Not damage, but what cannot be done."""


def small(folder: Path) -> tuple[Path, Path]:
    tensors = {"w": torch.ones(5, 3), "other": torch.ones(5, 3), "scale": torch.tensor(1.0)}
    save_file(tensors, folder / "m.safetensors")
    return folder / "m.safetensors", saved(folder / "m.safetensors", "w=normal:std=2", "scale=constant:val=3")


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_document_is_refused_in_one_line(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]):
    source, document = small(tmp_path)
    data = json.loads(document.read_text())
    data["actions"].sort(key=lambda entry: entry["tensor"] != "w")
    DAMAGE[kind](data)
    document.write_text(json.dumps(signed(data)))
    status = run(["apply", str(source), "-o", str(tmp_path / "o.safetensors"), "--plan", str(document)])
    captured = capsys.readouterr()
    assert status == OTHER_ERRORS.get(kind, 3), captured.err
    assert len([line for line in captured.err.splitlines() if not line.startswith("see: ")]) == 1
    assert captured.err.startswith("initctl: error: ")
    assert kind in OTHER_ERRORS or f"{document}: " in captured.err
    assert not (tmp_path / "o.safetensors").exists()


@pytest.mark.parametrize("change", [
    set_at(("seed",), 3), set_at(("actions", 0, "arguments", "std"), 0.25), without("actions", 0),
    lambda d: d["actions"].reverse(), set_at(("digest",), None), without("digest"),
])  # fmt: skip
def test_a_document_that_was_edited_is_refused(tmp_path: Path, change: Callable[[Any], None]):
    source, document = small(tmp_path)
    data = json.loads(document.read_text())
    change(data)
    document.write_text(json.dumps(data))
    with pytest.raises(initctl.InputError, match="was changed after it was saved: its digest differs; plan again"):
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b"\xff", b'{"schema": 1, "schema": 2}', b"[" * 100_000])
def test_what_is_no_document_is_refused(tmp_path: Path, text: bytes):
    source, document = small(tmp_path)
    document.write_bytes(text)
    with pytest.raises(initctl.InputError, match=r"plan\.json: is not a saved plan: .*; save one with"):
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")


def test_a_document_that_cannot_be_read_is_refused(tmp_path: Path):
    source, document = small(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "no.json", tmp_path, tmp_path / "pipe"):
        with pytest.raises(initctl.InputError):
            initctl.apply(initctl.load_plan(path, source), tmp_path / "o.safetensors")
    assert document.exists()


def test_a_document_that_tears_tied_tensors_apart_is_refused(tmp_path: Path):
    shared = torch.ones(4, 2)
    source = save(tmp_path / "m.pt", {"a": shared, "b": shared})
    document = saved(source, "{a,b}=normal")
    data = json.loads(document.read_text())
    del data["actions"][1]
    document.write_text(json.dumps(signed(data)))
    with pytest.raises(initctl.InputError, match="rules treat them differently"):
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.pt")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(data=st.data(), value=JSON)
def test_any_value_anywhere_is_refused_or_carried_out(tmp_path: Path, data: st.DataObject, value: Any):
    source, document = small(tmp_path)
    content = json.loads(document.read_text())
    part = content
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(st.sampled_from(keys))
        if not part[key] or not isinstance(part[key], (dict, list)) or data.draw(st.booleans()):
            break
        part = part[key]
    part[key] = value
    document.write_text(json.dumps(content))
    try:
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")
    except (initctl.InputError, initctl.ConflictError, initctl.FitError) as error:
        assert "\n" not in str(error)


# What came of a plan


def converted(folder: Path) -> tuple[Path, Path]:
    """What a plan for a file with tied tensors gave as safetensors, and the plan."""
    source = save(folder / "m.pt", torch_network())
    document = saved(source, *TORCH_RULES, seed=4)
    initctl.apply(initctl.load_plan(document, source), folder / "o.safetensors")
    return folder / "o.safetensors", document


def test_a_result_that_was_converted_is_verified_by_the_plan(tmp_path: Path):
    result, document = converted(tmp_path)
    assert initctl.verify(initctl.load_plan(document, result=result)).holds
    initctl.apply(result, tmp_path / "changed.safetensors", rules=["proj.weight=ones"])
    (difference,) = initctl.verify(initctl.load_plan(document, result=tmp_path / "changed.safetensors")).differences
    assert difference.tensor == "proj.weight"


def test_a_result_that_torch_wrote_anew_is_verified_by_the_plan(tmp_path: Path):
    source = with_optimizer(tmp_path / "m.ckpt")
    document = saved(source, "weight[1:3]=normal", "bias=copy:from=bias", reset_optimizer=True)
    initctl.apply(initctl.load_plan(document, source), tmp_path / "o.ckpt")
    torch.save({"note": "moved", **load(tmp_path / "o.ckpt")}, tmp_path / "copy.ckpt")
    found = initctl.verify(initctl.load_plan(document, source), tmp_path / "copy.ckpt")
    assert found.differences == found.lost == ()
    assert [difference.file for difference in found.rest_differences] == ["copy.ckpt"]
    assert re.fullmatch(r"has \S+ bytes instead of \S+", found.rest_differences[0].fault)


def test_what_a_plan_copies_from_must_be_told_in_it(tmp_path: Path):
    source, other = (single(tmp_path / name) for name in ("m.safetensors", "other.safetensors"))
    document = saved(source, f"embed.weight=copy:from={other}#embed.weight")
    content = json.loads(document.read_text())
    assert list(content["sources"]) == [str(other)]
    initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")
    document.write_text(json.dumps(signed(content | {"sources": {}})))
    with pytest.raises(initctl.InputError, match="is damaged: KeyError"):
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")


def test_what_is_no_result_of_the_plan_is_a_conflict(tmp_path: Path):
    result, document = converted(tmp_path)
    tensors = load_file(result)
    tensors["proj.weight"] = tensors["proj.weight"].to(torch.float64)
    save_file(tensors, result)
    with pytest.raises(initctl.ConflictError, match="is not the checkpoint"):
        initctl.verify(initctl.load_plan(document, result=result))


def test_a_plan_never_takes_the_place_of_what_it_is_for(tmp_path: Path):
    folder = sharded(tmp_path / "shards")
    for name in ("config.json", "model.safetensors.index.json"):
        with pytest.raises(initctl.UsageError, match="is a file of the plan's own checkpoint"):
            initctl.plan(folder, rules=["*.weight=ones"]).save(folder / name)
    source = single(tmp_path / "m.safetensors")
    before = source.read_bytes()
    with pytest.raises(initctl.UsageError, match="is a file of the plan's own checkpoint"):
        initctl.plan(source, rules=RULES).save(source)
    assert source.read_bytes() == before


def test_a_plan_whose_numbers_are_others_now_is_a_conflict(tmp_path: Path):
    source = single(tmp_path / "m.safetensors")
    document = saved(source, "layers.0.weight=kaiming_normal")
    content = json.loads(document.read_text())
    content["actions"][0]["derived"]["std"] *= 2
    document.write_text(json.dumps(signed(content)))
    with pytest.raises(initctl.ConflictError, match="kaiming_normal now computes different numbers"):
        initctl.apply(initctl.load_plan(document, source), tmp_path / "o.safetensors")
