"""Checkpoints in shards and in directories, as transformers, the Hugging Face cache and trainers write them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from initctl.errors import InputError
from initctl.formats import Checkpoint, CheckpointFile, read_checkpoint
from tests.formats.handwritten import INDEX_NAME, float_file, sharded
from tests.formats.limited import read
from tests.formats.test_safetensors import assert_holds


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=64,
        dtype="bfloat16",
    )
    return LlamaForCausalLM(config).to(torch.bfloat16)


@pytest.fixture(scope="module")
def saved(llama: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    llama.save_pretrained(folder, max_shard_size="20KB")
    return folder


def names(files: tuple[CheckpointFile, ...]) -> list[str]:
    return [file.name for file in files]


def test_a_directory_that_transformers_saved_in_shards_is_its_model(llama: LlamaForCausalLM, saved: Path):
    checkpoint = read_checkpoint(saved)
    assert_holds(checkpoint, llama.state_dict())
    assert (checkpoint.format, checkpoint.is_directory) == ("safetensors-sharded", True)
    assert (checkpoint.path, checkpoint.directory, checkpoint.target) == (str(saved),) * 3
    assert len(checkpoint.files) > 2
    assert sorted(names(checkpoint.files)) == sorted(path.name for path in saved.glob("*.safetensors"))
    assert names(checkpoint.other_files) == ["config.json", "generation_config.json", INDEX_NAME]
    assert checkpoint.metadata == {name: {"format": "pt"} for name in names(checkpoint.files)}


def test_its_index_is_the_same_checkpoint(saved: Path):
    by_directory, by_index = read_checkpoint(saved), read_checkpoint(saved / INDEX_NAME)
    assert by_index.path == str(saved / INDEX_NAME)
    for field in ("format", "directory", "target", "is_directory", "files", "tensors", "metadata", "other_files"):
        assert getattr(by_index, field) == getattr(by_directory, field)


def test_an_index_without_a_directory_in_its_path_is_read(saved: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(saved)
    assert read_checkpoint(INDEX_NAME).directory == str(saved)
    assert read_checkpoint(".").directory == str(saved)


def test_a_directory_with_one_file_is_that_file_and_what_lies_beside_it(llama: LlamaForCausalLM, tmp_path: Path):
    llama.save_pretrained(tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    assert_holds(checkpoint, llama.state_dict())
    assert (checkpoint.format, checkpoint.is_directory, checkpoint.target) == ("safetensors", True, str(tmp_path))
    assert names(checkpoint.files) == ["model.safetensors"]
    assert names(checkpoint.other_files) == ["config.json", "generation_config.json"]


def test_the_name_of_an_index_is_free(tmp_path: Path):
    index = sharded(tmp_path, {"a.safetensors": ("w",)})
    renamed = index.rename(tmp_path / "index")
    assert [spec.name for spec in read_checkpoint(renamed).tensors] == ["w"]


def test_tensors_stand_shard_after_shard_in_the_order_of_the_index(tmp_path: Path):
    index = sharded(tmp_path, {"b.safetensors": ("z", "a"), "a.safetensors": ("m",)})
    checkpoint = read_checkpoint(index)
    assert [(spec.name, spec.files) for spec in checkpoint.tensors] == [
        ("z", ("b.safetensors",)),
        ("a", ("b.safetensors",)),
        ("m", ("a.safetensors",)),
    ]


def test_shards_may_lie_in_a_folder_below_the_index(tmp_path: Path):
    checkpoint = read_checkpoint(sharded(tmp_path, {"weights/a.safetensors": ("w",), "b.safetensors": ("v",)}))
    assert names(checkpoint.files) == ["weights/a.safetensors", "b.safetensors"]
    assert names(checkpoint.other_files) == [INDEX_NAME]


def test_a_wrapper_prefix_is_left_out_only_where_the_tensors_of_every_shard_carry_it(tmp_path: Path):
    both = sharded(tmp_path / "both", {"a.safetensors": ("module.w",), "b.safetensors": ("module.v",)})
    one = sharded(tmp_path / "one", {"a.safetensors": ("module.w",), "b.safetensors": ("v",)})
    assert [spec.name for spec in read_checkpoint(both).tensors] == ["w", "v"]
    assert [spec.name for spec in read_checkpoint(one).tensors] == ["module.w", "v"]


def test_other_files_are_listed_with_the_folders_that_hold_them(tmp_path: Path):
    index = sharded(tmp_path, {"a.safetensors": ("w",)})
    for name in ("config.json", "tokenizer/vocab.txt", "tokenizer/more/merges.txt", "a/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    files = read_checkpoint(index).other_files
    assert names(files) == ["a/z", "config.json", INDEX_NAME, "tokenizer/more/merges.txt", "tokenizer/vocab.txt"]
    assert files[1].size == len("config.json")
    assert files[1].identity.inode == (tmp_path / "config.json").stat().st_ino


@pytest.mark.parametrize("nested", ["checkpoint-500", "onnx"])
def test_a_checkpoint_in_a_folder_below_is_another_one(tmp_path: Path, nested: str):
    """Trainers leave `checkpoint-500/` beside the final model."""
    float_file(tmp_path / "model.safetensors", "final")
    sharded(tmp_path / nested, {"a.safetensors": ("older",)})
    float_file(tmp_path / nested / "model.safetensors", "older")
    checkpoint = read_checkpoint(tmp_path)
    assert [spec.name for spec in checkpoint.tensors] == ["final"]
    assert names(checkpoint.files) == ["model.safetensors"]
    assert f"{nested}/a.safetensors" in names(checkpoint.other_files)


def test_a_shard_that_the_index_does_not_name_is_another_file(tmp_path: Path):
    index = sharded(tmp_path, {"a.safetensors": ("w",)})
    float_file(tmp_path / "orphan.safetensors", "old")
    checkpoint = read_checkpoint(index)
    assert [spec.name for spec in checkpoint.tensors] == ["w"]
    assert "orphan.safetensors" in names(checkpoint.other_files)


def hub_cache(root: Path, files: list[Path]) -> Path:
    """The layout of Hugging Face's cache: a snapshot of links to files that are called by their hashes."""
    snapshot = root / "models--org--name" / "snapshots" / "0123abcd"
    blobs = root / "models--org--name" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(files):
        blob = blobs / f"{number:064x}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def assert_is_the_cached_model(checkpoint: Checkpoint, llama: LlamaForCausalLM, snapshot: Path) -> None:
    assert_holds(checkpoint, llama.state_dict())
    assert checkpoint.directory == str(snapshot)
    assert names(checkpoint.other_files) == ["config.json", "generation_config.json", INDEX_NAME]


def test_a_sharded_model_in_the_hub_cache_is_read(llama: LlamaForCausalLM, saved: Path, tmp_path: Path):
    snapshot = hub_cache(tmp_path, sorted(saved.iterdir()))
    assert_is_the_cached_model(read_checkpoint(snapshot), llama, snapshot)
    assert_is_the_cached_model(read_checkpoint(snapshot / INDEX_NAME), llama, snapshot)


def test_a_single_file_in_the_hub_cache_is_read(tmp_path: Path):
    snapshot = hub_cache(tmp_path, [float_file(tmp_path / "model.safetensors", "w")])
    (by_directory,) = read_checkpoint(snapshot).tensors
    (by_file,) = read_checkpoint(snapshot / "model.safetensors").tensors
    assert by_directory.name == by_file.name == "w"
    assert Path(read_checkpoint(snapshot / "model.safetensors").target).parent.name == "blobs"


def test_a_shard_may_be_a_link_that_stays_in_the_directory(tmp_path: Path):
    index = sharded(tmp_path, {"a.safetensors": ("w",)})
    (tmp_path / "a.safetensors").rename(tmp_path / "real")
    (tmp_path / "a.safetensors").symlink_to("real")
    assert names(read_checkpoint(index).files) == ["a.safetensors"]


def test_links_to_directories_are_not_followed_and_links_to_nothing_are_left_out(tmp_path: Path):
    index = sharded(tmp_path / "model", {"a.safetensors": ("w",)})
    folder = index.parent
    (tmp_path / "outside.txt").write_text("outside")
    (folder / "up").symlink_to("..")
    (folder / "circle").symlink_to(".")
    (folder / "second circle").symlink_to(".")
    (folder / "itself").symlink_to("itself")
    (folder / "nothing").symlink_to("not there")
    (folder / "inside.txt").write_text("inside")
    (folder / "file").symlink_to("inside.txt")
    os.mkfifo(folder / "pipe")
    assert names(read_checkpoint(folder).other_files) == ["file", "inside.txt", INDEX_NAME]


def test_a_folder_below_that_cannot_be_listed_fails_only_what_needs_all_files(tmp_path: Path):
    """Its path is longer than the system takes, which root cannot get round either."""
    float_file(tmp_path / "model.safetensors", "w")
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 255, dir_fd=folder)
        inner = os.open("d" * 255, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    checkpoint = read_checkpoint(tmp_path)
    with pytest.raises(InputError, match="cannot be read: File name too long") as raised:
        _ = checkpoint.other_files
    assert raised.value.problems[0].code == "file.unreadable"


@pytest.mark.parametrize("name", ["adapter_model.bin", "old-00001-of-00002.safetensors", "vae.safetensors"])
def test_weights_that_no_rule_reaches_are_warned_about(tmp_path: Path, name: str):
    index = sharded(tmp_path, {"a.safetensors": ("w",)})
    (tmp_path / name).write_bytes(b"")
    for path in (index, tmp_path):
        (warning,) = read_checkpoint(path).warnings
        assert warning.code == "directory.other_weights"
        assert name in warning.message


def test_what_a_trainer_leaves_beside_the_weights_is_not_warned_about(tmp_path: Path):
    sharded(tmp_path, {"a.safetensors": ("w",)})
    for name in ("optimizer.pt", "training_args.bin", "config.json"):
        (tmp_path / name).write_bytes(b"")
    assert read_checkpoint(tmp_path).warnings == ()


def test_what_a_copy_leaves_out_is_warned_about(tmp_path: Path):
    index = sharded(tmp_path / "model", {"a.safetensors": ("w",)})
    (index.parent / "nowhere").symlink_to("nothing")
    (index.parent / "folder").symlink_to(tmp_path)
    os.mkfifo(index.parent / "pipe")
    (warning,) = read_checkpoint(index.parent).warnings
    assert warning.code == "directory.left_out"
    assert warning.message.endswith("a copy at another place leaves out folder, nowhere, pipe")


def test_an_index_that_disagrees_with_its_shards_names_the_line(tmp_path: Path):
    """Tensor, shard, and the line of the index, as transformers writes it."""
    index = sharded(tmp_path, {"a.safetensors": ("w", "ä"), "b.safetensors": ("u", "v")})
    weight_map = {"w": "a.safetensors", "ä": "a.safetensors", "u": "b.safetensors", "v": "b.safetensors"}
    for changes, fault in {
        (("v", "a.safetensors"),): "line 6: tensor v is not in a.safetensors; it is in b.safetensors",
        (("x", "b.safetensors"),): "line 7: tensor x is not in b.safetensors; no shard contains it",
        (("ä", "b.safetensors"),): "line 4: tensor ä is not in b.safetensors; it is in a.safetensors",
    }.items():
        index.write_text(json.dumps({"weight_map": weight_map | dict(changes)}, indent=2))
        with pytest.raises(InputError) as raised:
            read_checkpoint(tmp_path)
        hint = "the index and the shards are from different saves; get all files from the same save"
        assert str(raised.value) == f"{tmp_path / INDEX_NAME}: {fault}; {hint}"


@pytest.mark.parametrize(("key", "line"), [('"ä"', "line 3: "), (r'"\u00e4"', "line 3: "), (r'"\u00E4"', "")])
def test_a_line_is_named_if_its_key_is_written_as_python_or_rust_writes_it(tmp_path: Path, key: str, line: str):
    """Python escapes letters, with small digits; Rust does not escape them."""
    index = sharded(tmp_path, {"a.safetensors": ("w", "ä")})
    index.write_text(f'{{"weight_map": {{"w": "a.safetensors",\n\n{key}: "b.safetensors"}}}}', encoding="utf-8")
    float_file(tmp_path / "b.safetensors")
    with pytest.raises(InputError) as raised:
        read_checkpoint(index)
    fault = f"{line}tensor ä is not in b.safetensors; it is in a.safetensors"
    assert str(raised.value).startswith(f"{index}: {fault}; ")


def test_a_tensor_that_two_shards_hold_or_no_line_lists_is_named_with_its_shard(tmp_path: Path):
    index = sharded(tmp_path, {"a.safetensors": ("w",), "b.safetensors": ("v",)})
    float_file(tmp_path / "b.safetensors", "v", "x")
    with pytest.raises(InputError, match=r"tensor x is in b\.safetensors but not in the index"):
        read_checkpoint(index)
    float_file(tmp_path / "b.safetensors", "v", "w")
    with pytest.raises(InputError, match=r"line 1: tensor w is in both a\.safetensors and b\.safetensors"):
        read_checkpoint(index)


def test_an_index_that_lists_half_a_million_tensors_costs_little_time_and_memory(tmp_path: Path):
    listed = {f"layers.{number}.attention.weight": "a.safetensors" for number in range(500_000)}
    index = sharded(tmp_path, {"a.safetensors": ("w",)}, weight_map={"w": "a.safetensors", **listed})
    assert index.stat().st_size > 20_000_000
    assert "tensor layers.0.attention.weight is not in a.safetensors; no shard contains it" in read(index)
