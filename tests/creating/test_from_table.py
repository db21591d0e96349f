"""A table in JSON becomes a checkpoint; one that is wrong in any way is refused before anything is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import initctl
from initctl.creating.from_table import Table
from initctl.errors import FitError, InitctlError, InputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["*=normal:std=0.02"]
GOOD = {"name": "w", "dtype": "float32", "shape": [2, 3]}


def table_at(folder: Path, document: object) -> Path:
    (folder / "table.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return folder / "table.json"


def refusal(folder: Path, document: object) -> str:
    with pytest.raises(InputError) as raised:
        initctl.new(folder / "new.safetensors", table=table_at(folder, document), rules=RULES)
    (problem,) = raised.value.problems
    assert problem.code == "table.malformed"
    assert [path.name for path in folder.iterdir()] == ["table.json"]
    return str(raised.value)


@pytest.mark.parametrize("is_envelope", [True, False])
def test_the_table_of_a_checkpoint_gives_a_checkpoint_of_the_same_table(tmp_path: Path, *, is_envelope: bool):
    tensors = {"a.weight": torch.ones(3, 4), "a.bias": torch.ones(3, dtype=torch.bfloat16), "n": torch.ones(())}
    save_file(tensors, tmp_path / "old.safetensors", {"format": "pt", "by": "me"})
    data = initctl.inspect(tmp_path / "old.safetensors").to_json()
    document = {"schema": "initctl/1", "command": "inspect", "data": data} if is_envelope else data
    created = initctl.new(tmp_path / "new.safetensors", table=table_at(tmp_path, document), rules=RULES)
    initctl.apply(tmp_path / "old.safetensors", tmp_path / "applied.safetensors", rules=RULES)
    new, applied = (load_file(tmp_path / f"{name}.safetensors") for name in ("new", "applied"))
    assert new.keys() == applied.keys()
    assert all(torch.equal(new[name], applied[name]) for name in new)
    with safe_open(tmp_path / "new.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "by": "me"}
    assert initctl.verify(created.plan, tmp_path / "new.safetensors")
    assert initctl.verify(tmp_path / "new.safetensors", rules=RULES)


def test_tied_tensors_are_written_once(tmp_path: Path):
    weight = torch.ones(4, 2)
    torch.save({"emb.weight": weight, "head.weight": weight, "norm.weight": torch.ones(2)}, tmp_path / "old.pt")
    table = table_at(tmp_path, initctl.inspect(tmp_path / "old.pt").to_json())
    initctl.new(tmp_path / "new.safetensors", table=table, rules=RULES)
    initctl.apply(tmp_path / "old.pt", tmp_path / "applied.safetensors", rules=RULES)
    assert (tmp_path / "new.safetensors").read_bytes() == (tmp_path / "applied.safetensors").read_bytes()


def test_only_names_dtypes_and_shapes_are_needed_and_shards_are_new(tmp_path: Path):
    entries = [{"name": f"layers.{n}.weight", "dtype": "float16", "shape": [10, 10]} for n in range(5)]
    created = initctl.new(
        tmp_path / "new", table=table_at(tmp_path, {"tensors": entries}), rules=RULES, max_shard_size="400"
    )
    assert len(created.files) == 4
    assert len(initctl.inspect(tmp_path / "new").tensors) == 5


def test_another_dtype_is_for_floating_point_tensors(tmp_path: Path):
    entries = [GOOD, {**GOOD, "name": "ids", "dtype": "int64"}]
    initctl.new(
        tmp_path / "new.safetensors",
        table=table_at(tmp_path, {"tensors": entries}),
        rules=[*RULES, "ids=zeros"],
        dtype="bfloat16",
    )
    found = load_file(tmp_path / "new.safetensors")
    assert (found["w"].dtype, found["ids"].dtype) == (torch.bfloat16, torch.int64)


def test_integers_need_a_rule_but_a_counter_of_batches_begins_at_zero(tmp_path: Path):
    counter = {"name": "bn.num_batches_tracked", "dtype": "int64", "shape": []}
    document = {"tensors": [GOOD, counter, {**GOOD, "name": "ids", "dtype": "int64"}]}
    with pytest.raises(FitError, match=r"no rule fills ids \(int64\), which has no value yet; add a rule"):
        initctl.new(tmp_path / "new.safetensors", table=table_at(tmp_path, document), rules=RULES)
    created = initctl.new(
        tmp_path / "new.safetensors", table=tmp_path / "table.json", rules=[*RULES, "ids=constant:val=3"]
    )
    assert "; 1 tensor (1 element, 8 bytes) set to 0; " in created.summary()[0]
    assert load_file(tmp_path / "new.safetensors")["bn.num_batches_tracked"].item() == 0
    assert initctl.verify(created.plan, tmp_path / "new.safetensors")


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("[]", "not a JSON object"),
        ("{", "at line 1"),
        ('{"tensors": [], "tensors": []}', "appears twice"),
        ({}, 'there is no list "tensors"'),
        ({"tensors": {}}, 'there is no list "tensors"'),
        ({"data": {"tensors": 3}}, 'there is no list "tensors"'),
        ({"data": None}, 'there is no list "tensors"'),
        ({"tensors": [3]}, "tensors[0] is not an object"),
        ({"tensors": [GOOD, {}]}, "tensors[1] has no name"),
        ({"tensors": [{**GOOD, "name": 3}]}, "tensors[0] has no name"),
        ({"tensors": [GOOD, GOOD]}, "tensor w is listed twice"),
        ({"tensors": [{**GOOD, "dtype": "float33"}]}, "unknown dtype 'float33'; did you mean float32?"),
        ({"tensors": [{**GOOD, "dtype": ["float32"]}]}, "unknown dtype ['float32']"),
        ({"tensors": [{"name": "w", "shape": [1]}]}, "unknown dtype None"),
        ({"tensors": [{**GOOD, "shape": [2, -1]}]}, "must be a list of at most 64 whole numbers"),
        ({"tensors": [{**GOOD, "shape": [2.0]}]}, "must be a list of at most 64 whole numbers"),
        ({"tensors": [{**GOOD, "shape": [True]}]}, "must be a list of at most 64 whole numbers"),
        ({"tensors": [{**GOOD, "shape": 6}]}, "must be a list of at most 64 whole numbers"),
        ({"tensors": [{**GOOD, "shape": [1] * 65}]}, "must be a list of at most 64 whole numbers"),
        ({"tensors": [{**GOOD, "shape": [2**63]}]}, "must be a list of at most 64 whole numbers"),
        ({"tensors": [{**GOOD, "shape": [2**61]}]}, "tensor w is too large"),
        ({"tensors": [{**GOOD, "shape": [2**62, 0, 2**62]}]}, "tensor w is too large"),
        ({"tensors": [{**GOOD, "shape": [2**60]}, {**GOOD, "name": "v", "shape": [2**60]}]}, "too many bytes"),
        ({"tensors": [{**GOOD, "dtype": "float4_e2m1fn", "shape": [3]}]}, "does not fill whole bytes"),
        ({"tensors": [{**GOOD, "tied_to": "v"}]}, "tied_to must name a tensor of the same dtype and shape"),
        ({"tensors": [{**GOOD, "tied_to": 3}]}, "tied_to must name a tensor of the same dtype and shape"),
        ({"tensors": [GOOD, {**GOOD, "name": "v", "shape": [3, 2], "tied_to": "w"}]}, "of the same dtype and shape"),
        ({"tensors": [{**GOOD, "tied_to": "w"}]}, "tied_to must name the first"),
        (
            {"tensors": [GOOD, {**GOOD, "name": "v", "tied_to": "w"}, {**GOOD, "name": "u", "tied_to": "v"}]},
            "tied_to must name the first",
        ),
        ({"tensors": [GOOD], "metadata": []}, '"metadata" must give texts by name'),
        ({"tensors": [GOOD], "metadata": {"f": {"a": 3}}}, '"metadata" must give texts by name'),
        ({"tensors": [GOOD], "metadata": {"f": "a"}}, '"metadata" must give texts by name'),
        ('{"tensors": [{"name": "\\ud800", "dtype": "float32", "shape": []}]}', "half a surrogate pair"),
        ('{"tensors": [{"name": "w", "dtype": "float32", "shape": [1e400]}]}', "a number is too large"),
    ],
)
def test_a_table_that_is_wrong_is_refused_and_nothing_is_written(tmp_path: Path, document: object, fault: str):
    assert fault in refusal(tmp_path, document)


def test_what_safetensors_cannot_hold_is_refused(tmp_path: Path):
    for entry in ({**GOOD, "name": "__metadata__"}, {**GOOD, "dtype": "complex32"}):
        with pytest.raises(FitError, match="cannot be written to safetensors"):
            initctl.new(tmp_path / "new.safetensors", table=table_at(tmp_path, {"tensors": [entry]}), rules=RULES)


def test_names_are_shown_escaped(tmp_path: Path):
    entry = {**GOOD, "name": "\x1b[31mw\n::error", "dtype": "\x1b"}
    assert refusal(tmp_path, {"tensors": [entry]}).isprintable()


def test_a_missing_table_is_missing(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        initctl.new(tmp_path / "new.safetensors", table=tmp_path / "none.json", rules=RULES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]) | JSON,
        "dtype": st.sampled_from(["float32", "bool", "float4_e2m1fn"]) | JSON,
        "shape": st.lists(st.integers(-1, 2**64), max_size=3) | JSON,
        "tied_to": st.sampled_from([None, "a", "b"]) | JSON,
    },
)


@settings(deadline=None)
@given(document=st.fixed_dictionaries({"tensors": st.lists(ENTRY, max_size=3)}, optional={"metadata": JSON}))
def test_any_json_is_a_table_or_refused(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]):
    path = table_at(tmp_path_factory.getbasetemp(), document)
    try:
        table = Table(str(path)).template().checkpoint
    except InitctlError as error:
        assert [problem.code for problem in error.problems] == ["table.malformed"]
    else:
        assert len(table.by_name) == len(document["tensors"])
        assert all(0 <= tensor.nbytes < 2**63 for tensor in table.tensors)


def test_the_changes_of_what_was_not_there_are_refused(tmp_path: Path):
    created = initctl.new(tmp_path / "a.safetensors", table=table_at(tmp_path, {"tensors": [GOOD]}), rules=RULES)
    with pytest.raises(UsageError, match="w has no old values"):
        initctl.changes(created.plan)
