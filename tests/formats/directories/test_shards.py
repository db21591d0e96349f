"""Shards are named, filled and indexed as huggingface_hub does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from huggingface_hub import split_torch_state_dict_into_shards
from huggingface_hub.serialization._base import parse_size_to_int
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from safetensors.torch import save as save_bytes

import initctl
from initctl.dtypes import BY_NAME
from initctl.errors import UsageError
from initctl.formats.directories.shards import LARGEST, Naming, index_of, parse_size, spread
from initctl.tensors import TensorSpec
from tests.commit.folders import contents
from tests.execution.checkpoints import METADATA, network, sharded, single
from tests.execution.torch_files import FORMATS, lightning, save
from tests.execution.torch_files import index_of as torch_index

if TYPE_CHECKING:
    from pathlib import Path


def tensor(name: str, numel: int) -> TensorSpec:
    return TensorSpec.contiguous(name, BY_NAME["uint8"], (numel,), "file", 0)


@given(sizes=st.lists(st.integers(1, 20) | st.just(100), min_size=1, max_size=12), largest=st.integers(1, 40))
@settings(deadline=None)
def test_tensors_are_spread_as_huggingface_hub_does(sizes: list[int], largest: int):
    state = {f"t{number}": torch.zeros(size, dtype=torch.uint8) for number, size in enumerate(sizes)}
    theirs = split_torch_state_dict_into_shards(state, max_shard_size=largest)
    ours = spread([tensor(name, held.numel()) for name, held in state.items()], largest, Naming())
    assert {file: [held.name for held in shard] for file, shard in ours.items()} == theirs.filename_to_tensors
    assert json.loads(index_of(ours)) == {"metadata": theirs.metadata, "weight_map": theirs.tensor_to_filename}


@given(sizes=st.lists(st.integers(0, 20), max_size=12), largest=st.integers(1, 40))
@settings(deadline=None)
def test_every_tensor_lies_in_one_shard_in_order_and_none_is_too_large_or_empty(sizes: list[int], largest: int):
    tensors = [tensor(f"t{number}", size) for number, size in enumerate(sizes)]
    shards = list(spread(tensors, largest, Naming()).values())
    assert sorted(held.name for shard in shards for held in shard) == sorted(held.name for held in tensors)
    for shard in shards:
        assert [tensors.index(held) for held in shard] == sorted(tensors.index(held) for held in shard)
        assert sum(held.nbytes for held in shard) <= largest or len(shard) == 1
    assert all(shards) or not tensors


def test_no_tensors_at_all_are_one_empty_file():
    assert spread([], 5, Naming()) == {"model.safetensors": []}


def test_an_index_is_the_same_every_time_and_sorted():
    shards = spread([tensor("é", 3), tensor("b", 3), tensor("a", 3)], 6, Naming())
    wanted = {
        "metadata": {"total_size": 9},
        "weight_map": {
            "a": "model-00002-of-00002.safetensors",
            "b": "model-00001-of-00002.safetensors",
            "é": "model-00001-of-00002.safetensors",
        },
    }
    assert index_of(shards) == (json.dumps(wanted, indent=2) + "\n").encode()


@pytest.mark.parametrize(
    "text", ["5GB", "500MB", "1KB", "2TB", "1.5GB", "0.1MB", " 7 MB ", "3kb", "10mB", LARGEST, "1.23456789GB"]
)
def test_a_size_is_what_huggingface_hub_takes_it_for(text: str):
    assert parse_size(text) == parse_size_to_int(text)


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("1234", 1234), ("7B", 7), ("0.001KB", 1), ("007", 7)])
def test_a_size_may_be_in_bytes(text: str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "GB", "0", "0GB", "0.5", "0.0001KB", "-1", "-5GB", "+5GB", "1e3", "5 PB", "5GiB", "5G", "5GB!", "GB5",
        "1_000", "1,5GB", "nan", "inf", "0x10", "5 5GB", ".5GB", "5.GB", "٣MB", "5GB\0", "9" * 16, "five",
    ],
)  # fmt: skip
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(UsageError, match="is not a size; for example, 500MB or 5GB") as raised:
        parse_size(text)
    assert [problem.code for problem in raised.value.problems] == ["usage.shard_size"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", ["300B", "0.5KB", "1KB", "1MB"])
def test_a_directory_is_split_as_huggingface_hub_does(tmp_path: Path, kind: str, size: str):
    tensors = network()
    initctl.apply(save(tmp_path / "model.pt", lightning(tensors), kind), f"{tmp_path}/out/", max_shard_size=size)
    limit = {"300B": 300, "0.5KB": 500, "1KB": 1000, "1MB": 10**6}[size]
    split = split_torch_state_dict_into_shards(tensors, max_shard_size=limit)
    found = contents(tmp_path / "out")
    if split.is_sharded:
        index = json.loads(found.pop("model.safetensors.index.json"))
        assert index == {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    assert found == {
        file: save_bytes({name: tensors[name] for name in names}, metadata={"format": "pt"})
        for file, names in split.filename_to_tensors.items()
    }
    read = initctl.inspect(tmp_path / "out")
    assert {(t.name, t.nbytes) for t in read.tensors} == {(name, t.nbytes) for name, t in tensors.items()}


def test_shards_of_torch_become_shards_or_one_file_and_other_files_go_along(tmp_path: Path):
    tensors, folder = network(), tmp_path / "in"
    names = list(tensors)
    shards = {"pytorch_model-1.bin": names[:3], "pytorch_model-2.bin": names[3:]}
    for shard, listed in shards.items():
        save(folder / shard, {name: tensors[name] for name in listed})
    index = torch_index((name, shard) for shard, listed in shards.items() for name in listed)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")
    initctl.apply(folder, tmp_path / "out", max_shard_size="5GB")
    whole = save_bytes(tensors, metadata={"format": "pt"})
    assert contents(tmp_path / "out") == {"config.json": b"{}", "model.safetensors": whole}
    initctl.apply(folder, tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == whole


def test_a_safetensors_file_becomes_a_directory_and_a_directory_one_file(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    initctl.apply(source, tmp_path / "shards", max_shard_size="300B")
    files = sorted((tmp_path / "shards").glob("*.safetensors"))
    assert len(files) == 4
    assert all(initctl.inspect(file).metadata[file.name] == METADATA for file in files)
    initctl.apply(tmp_path / "shards", tmp_path / "back.safetensors")
    assert initctl.inspect(tmp_path / "back.safetensors").metadata == {"back.safetensors": METADATA}
    initctl.apply(sharded(tmp_path / "three"), tmp_path / "one.safetensors", rules=["norm.weight=ones"])
    for name, changes in {"back": {}, "one": {"norm.weight": torch.ones(8)}}.items():
        found = load_file(tmp_path / f"{name}.safetensors")
        assert {n: found[n].tolist() for n in found} == {n: t.tolist() for n, t in {**network(), **changes}.items()}


def test_the_same_model_beside_what_is_converted_stays_behind_if_it_is_dropped(tmp_path: Path):
    both = tmp_path / "both"
    both.mkdir()
    torch.save({"w": torch.ones(3)}, both / "pytorch_model.bin")
    index = {"metadata": {}, "weight_map": {"w": "pytorch_model.bin"}}
    (both / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    save_file({"w": torch.zeros(3)}, both / "model.safetensors")
    (both / "config.json").write_text("{}")
    initctl.apply(both / "pytorch_model.bin.index.json", tmp_path / "out", max_shard_size="1GB", stale="drop")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")["w"], torch.ones(3))
