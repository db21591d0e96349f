"""Directories of torch.distributed.checkpoint: the same tensors get the same values, whatever wrote them."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint.filesystem import FileSystemWriter, SerializationFormat
from torch.distributed.checkpoint.metadata import BytesStorageMetadata

import initctl
from initctl.formats.distributed import directory
from initctl.initializers.structured import Orthogonal
from tests.formats.ranks import RULES, WORLDS, Payload, assembled, loaded, saved_alone

if TYPE_CHECKING:
    from pathlib import Path

SOME = ("fc.*=ones", "rows=normal", "half.columns=normal")
FORMATS = ("pickled", "safetensors")


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """What lies in nested dicts and lists, by dotted keys."""
    if isinstance(value, (dict, list)):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: v for key, held in entries for name, v in flat(held, f"{prefix}{key}.").items()}
    return {prefix[:-1]: value}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    return one == other


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not same(one[name], other[name])] == []


def read(folder: Path, kind: str, tmp_path: Path) -> dict[str, Any]:
    """All that a checkpoint holds, by dotted keys, read by others than initctl."""
    return flat(loaded(folder, tmp_path / "whole.pt")) if kind == "pickled" else assembled(folder)


@pytest.mark.parametrize("ranks", WORLDS)
@pytest.mark.parametrize("kind", FORMATS)
def test_each_number_of_ranks_gives_what_the_whole_file_gives(
    saved: Path, reference: Path, tmp_path: Path, kind: str, ranks: int
):
    initctl.apply(reference, tmp_path / "whole.safetensors", rules=RULES, seed=5)
    expected = load_file(tmp_path / "whole.safetensors")
    rules = RULES
    if kind == "safetensors":
        rules = tuple(rule for rule in RULES if not rule.startswith("transposed"))
        del expected["transposed"]
    initctl.apply(saved / f"{kind}-{ranks}", tmp_path / "out", rules=rules, seed=5)
    model = {k: v for k, v in read(tmp_path / "out", kind, tmp_path).items() if k.startswith("model.")}
    assert_same(model, {f"model.{name}": tensor for name, tensor in expected.items()})


def test_a_tensor_that_lies_in_several_files_is_decomposed_once(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    prepared, prepare = [], Orthogonal.prepared
    monkeypatch.setattr(Orthogonal, "prepared", lambda law, draws: prepared.append(law) or prepare(law, draws))
    initctl.apply(saved / "pickled-4", tmp_path / "out", rules=RULES)
    (tensor,) = (tensor for tensor in initctl.inspect(saved / "pickled-4").tensors if tensor.name == "columns")
    assert len(tensor.files) > 1
    assert len(prepared) == 2


@pytest.mark.parametrize("ranks", WORLDS)
def test_conversion_gives_the_bytes_that_the_whole_file_gives(saved: Path, reference: Path, tmp_path: Path, ranks: int):
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for source, file in zip((saved / "pickled-1", saved / f"pickled-{ranks}"), files, strict=True):
        initctl.apply(source, file, rules=SOME)
    assert files[0].read_bytes() == files[1].read_bytes()
    initctl.apply(reference, files[0], rules=SOME)
    assert_same(load_file(files[1]), load_file(files[0]))


@pytest.mark.parametrize("ranks", WORLDS)
def test_conversion_without_rules_gives_the_saved_model(saved: Path, reference: Path, tmp_path: Path, ranks: int):
    initctl.apply(saved / f"pickled-{ranks}", tmp_path / "model.safetensors")
    assert_same(load_file(tmp_path / "model.safetensors"), load_file(reference))


def test_conversion_to_a_directory_of_shards_leaves_the_old_files_behind(saved: Path, reference: Path, tmp_path: Path):
    initctl.apply(saved / "pickled-4", tmp_path / "out", max_shard_size="300B")
    written = [path.name for path in (tmp_path / "out").iterdir()]
    assert not any(name.endswith(".distcp") or name == ".metadata" for name in written)
    tensors = {k: v for path in (tmp_path / "out").glob("*.safetensors") for k, v in load_file(path).items()}
    assert_same(tensors, load_file(reference))


@pytest.mark.parametrize("ranks", WORLDS)
@pytest.mark.parametrize("kind", FORMATS)
def test_what_no_rule_decides_is_equal_and_metadata_is_the_same_to_the_byte(
    saved: Path, tmp_path: Path, kind: str, ranks: int
):
    source, out = saved / f"{kind}-{ranks}", tmp_path / "out"
    initctl.apply(source, out, rules=SOME)
    assert {p.name: p.stat().st_size for p in out.iterdir()} == {p.name: p.stat().st_size for p in source.iterdir()}
    assert (out / ".metadata").read_bytes() == (source / ".metadata").read_bytes()
    before, after = (read(path, kind, tmp_path) for path in (source, out))
    changed = {"model.fc.weight", "model.fc.bias", "model.rows", "model.half.columns"}
    assert {name for name in before if not same(before[name], after[name])} == changed
    assert before.keys() == after.keys()
    assert kind == "safetensors" or after["step"] == 3


@pytest.mark.parametrize("ranks", WORLDS)
def test_every_archive_in_the_files_has_right_checksums(saved: Path, tmp_path: Path, ranks: int):
    initctl.apply(saved / f"pickled-{ranks}", tmp_path / "out", rules=RULES)
    metadata = pickle.loads((tmp_path / "out/.metadata").read_bytes())
    checked = 0
    for index, place in metadata.storage_data.items():
        content = (tmp_path / "out" / place.relative_path).read_bytes()[place.offset : place.offset + place.length]
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None, index
        checked += 1
    assert checked >= 30


@pytest.mark.parametrize("ranks", WORLDS)
def test_a_damaged_tensor_that_stays_is_refused_by_its_name(saved: Path, tmp_path: Path, ranks: int):
    source = shutil.copytree(saved / f"pickled-{ranks}", tmp_path / "in")
    (block,) = (t.blocks[0] for t in initctl.inspect(source).tensors if t.name == "plain")
    with (source / block.file).open("r+b") as file:
        file.seek(block.offset)
        file.write(b"\1")
    with pytest.raises(initctl.InputError, match=r"model\.plain"):
        initctl.apply(source, tmp_path / "out", rules=["rows=ones"])
    initctl.apply(source, tmp_path / "out", rules=["plain=ones"])


@pytest.mark.parametrize("in_place", [True, "patch"])
def test_in_place_is_refused(saved: Path, in_place: Any):
    before = {path: path.read_bytes() for path in (saved / "pickled-2").iterdir()}
    with pytest.raises(initctl.UsageError, match="a distributed checkpoint cannot be replaced in place"):
        initctl.apply(saved / "pickled-2", rules=SOME, in_place=in_place)
    assert {path: path.read_bytes() for path in (saved / "pickled-2").iterdir()} == before


def test_the_root_is_found_by_the_paths_of_the_planner_and_not_by_dots_in_names(tmp_path: Path):
    state = {"model": {"a.b": torch.ones(2), "c": [torch.ones(3)]}, "model.x": torch.ones(4)}
    found = initctl.inspect(saved_alone(tmp_path / "nested", state))
    assert (found.root, [t.name for t in found.tensors]) == ("model", ["a.b", "c.0", "x"])
    flat_names = {"model.a": torch.ones(2), "model.b": torch.ones(2)}
    found = initctl.inspect(saved_alone(tmp_path / "flat", flat_names))
    assert (found.root, [t.name for t in found.tensors]) == ("", ["model.a", "model.b"])
    assert [t.name for t in initctl.inspect(tmp_path / "flat", root="model").tensors] == ["a", "b"]


@pytest.mark.parametrize("ranks", WORLDS)
def test_what_lies_outside_of_the_root_is_the_optimizer(saved: Path, ranks: int):
    found = initctl.inspect(saved / f"pickled-{ranks}")
    assert found.root == "model"
    assert {t.name.split(".")[0] for t in found.outside} == {"optimizer"}
    assert found.contents[".metadata"]["step"] == "bytes"
    assert found.warnings == ()


def test_bytes_are_never_unpickled(tmp_path: Path):
    source = saved_alone(tmp_path / "in", {"w": torch.zeros(4), "payload": Payload(tmp_path / "harm")})
    assert isinstance(pickle.loads((source / ".metadata").read_bytes()).state_dict_metadata["payload"],
                      BytesStorageMetadata)  # fmt: skip
    initctl.apply(source, tmp_path / "out", rules=["w=normal"])
    initctl.apply(source, tmp_path / "out.safetensors", rules=["w=normal"])
    assert not (tmp_path / "harm").exists()
    loaded(tmp_path / "out", tmp_path / "out.pt")
    assert (tmp_path / "harm").exists()  # torch does


@pytest.mark.parametrize("threads", [1, 2])
def test_bytes_beside_tensors_in_safetensors_stay(tmp_path: Path, threads: int):
    writer = FileSystemWriter(
        tmp_path / "in", thread_count=threads, serialization_format=SerializationFormat.SAFETENSORS
    )
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4).bfloat16(), "n": {"step": 3}}
    source = saved_alone(tmp_path / "in", state, writer=writer)
    initctl.apply(source, tmp_path / "out", rules=["b=constant:val=2"])
    assert_same(assembled(tmp_path / "out"), {"a": state["a"], "b": torch.full((4,), 2).bfloat16()})
    metadata = pickle.loads((source / ".metadata").read_bytes())
    (place,) = (place for index, place in metadata.storage_data.items() if index.fqn == "n.step")
    before, after = ((path / place.relative_path).read_bytes() for path in (source, tmp_path / "out"))
    held = slice(place.offset, place.offset + place.length)
    assert torch.load(io.BytesIO(after[held])) == 3
    assert after[held] == before[held]


@pytest.mark.parametrize("fact", ["conj", "quantized"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_no_rule_can_fill_is_listed_and_stays(tmp_path: Path, fact: str):
    special = {
        "conj": lambda: torch.ones(4, dtype=torch.complex64).conj(),
        "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    }[fact]()
    source = saved_alone(tmp_path / "in", {"w": torch.ones(2), "special": special})
    assert [tensor.name for tensor in initctl.inspect(source).tensors] == ["w", "special"]
    with pytest.raises(initctl.FitError, match=fact):
        initctl.plan(source, rules=["special=zeros"])
    initctl.apply(source, tmp_path / "out", rules=["w=zeros"])


def test_a_file_that_metadata_does_not_name_goes_along_with_a_warning(tmp_path: Path):
    """RELIABILITY.md, D11."""
    source = saved_alone(tmp_path / "in", {"w": torch.ones(2)})
    (source / "__7_0.distcp").write_bytes(b"left over")
    applied = initctl.apply(source, tmp_path / "out", rules=["w=zeros"])
    assert (tmp_path / "out/__7_0.distcp").read_bytes() == b"left over"
    assert "__7_0.distcp" in " ".join(map(str, applied.plan.warnings))


def test_chunks_that_lie_in_the_same_bytes_are_never_filled_with_different_values(tmp_path: Path):
    source = saved_alone(tmp_path / "in", {"w": torch.ones(2, 3), "v": torch.ones(2)})
    metadata = pickle.loads((source / ".metadata").read_bytes())
    (index,) = (index for index in metadata.storage_data if index.fqn == "w")
    (chunk,) = metadata.state_dict_metadata["w"].chunks
    start, listed = torch.Size([2, 0]), metadata.state_dict_metadata["w"]
    listed.size, listed.chunks = torch.Size([4, 3]), [chunk, replace(chunk, offsets=start)]
    metadata.storage_data[replace(index, offset=start)] = metadata.storage_data[index]
    (source / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(initctl.FitError, match="shares memory with"):
        initctl.plan(source, rules=["w=normal"])
    initctl.plan(source, rules=["w=ones"])


def test_tensors_that_lie_in_the_same_bytes_are_tied(tmp_path: Path):
    """Torch never writes that; filled apart, one would have the values of the other."""
    source = saved_alone(tmp_path / "in", {"w": torch.zeros(2, 3), "v": torch.zeros(2, 3), "own": torch.zeros(2, 3)})
    metadata = pickle.loads((source / ".metadata").read_bytes())
    places = {index.fqn: index for index in metadata.storage_data}
    metadata.storage_data[places["v"]] = metadata.storage_data[places["w"]]
    (source / ".metadata").write_bytes(pickle.dumps(metadata))
    assert {t.name: t.tied for t in initctl.inspect(source).tensors} == {"w": ("v", "w"), "v": ("v", "w"), "own": ()}
    for rules in (["w=normal"], ["v=ones", "w=normal"]):
        with pytest.raises(initctl.FitError, match="v, w are one tensor, but rules treat them differently"):
            initctl.apply(source, tmp_path / "out", rules=rules)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    initctl.apply(source, tmp_path / "out", rules=["{v,w}=ones"])
    filled = loaded(tmp_path / "out", tmp_path / "out.pt")
    assert {name: value.sum().item() for name, value in filled.items()} == {"w": 6, "v": 6, "own": 0}


def test_metadata_that_is_removed_while_the_chunks_are_read_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, read_all = saved_alone(tmp_path / "in", {"w": torch.ones(2)}), directory.read_chunks

    def remove_and_read(*arguments: Any) -> Any:
        (source / ".metadata").unlink()
        return read_all(*arguments)

    monkeypatch.setattr(directory, "read_chunks", remove_and_read)
    with pytest.raises(initctl.InputError, match=r"in/\.metadata: no such file or directory"):
        initctl.inspect(source)
