"""Which files of a directory are the checkpoint: decided from their names, as the libraries' own loaders decide."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.errors import InputError, UsageError
from initctl.formats import read_checkpoint
from initctl.formats.directories import nested
from initctl.formats.directories.directory import entrance
from tests.formats.handwritten import float_file, sharded

if TYPE_CHECKING:
    from pathlib import Path

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
FP16 = ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"]
INDEX, INDEX_FP16 = "model.safetensors.index.json", "model.safetensors.index.fp16.json"
CHOSEN = {
    "one file": (["model.safetensors"], "model.safetensors"),
    "a variant alone": (["model.fp16.safetensors"], "model.fp16.safetensors"),
    "a variant beside": (["model.fp16.safetensors", "model.safetensors"], "model.safetensors"),
    "two variants beside": (["model.bf16.bin", "model.bin", "model.non_ema.bin"], "model.bin"),
    "an index": ([INDEX, *SHARDS], INDEX),
    "an index of a variant": ([INDEX_FP16, *FP16], INDEX_FP16),
    "an index of a variant beside": ([INDEX, INDEX_FP16, *SHARDS, *FP16], INDEX),
    "a file beside an index of a variant": (["model.safetensors", INDEX_FP16, *FP16], "model.safetensors"),
    "an index beside a file of a variant": ([INDEX, "model.fp16.safetensors", *SHARDS], INDEX),
    "Whisper's": (["model.safetensors", "model.safetensors.index.fp32.json", "pytorch_model.bin"], "model.safetensors"),
    "hidden files": ([".model.safetensors", "._model.safetensors", "model.safetensors"], "model.safetensors"),
    "hidden indexes": ([f"._{INDEX}", INDEX, *SHARDS], INDEX),
    "a hidden file of another format": (["._model.safetensors", "pytorch_model.bin"], "pytorch_model.bin"),
    "Trainer's": (["optimizer.pt", "pytorch_model.bin", "scheduler.pt", "training_args.bin"], "pytorch_model.bin"),
    "PEFT's": (["adapter_model.bin", "optimizer.pt", "rng_state.pth", "training_args.bin"], "adapter_model.bin"),
    "accelerate's": (["model.safetensors", "optimizer.bin", "sampler.bin", "scheduler.bin"], "model.safetensors"),
    "pickles beside safetensors": (["model.safetensors", "pytorch_model.bin", "tf_model.h5"], "model.safetensors"),
    "one shard": (SHARDS[1:], SHARDS[1]),
    "Mistral's": (["consolidated.safetensors", "model.safetensors"], "model.safetensors"),
    "Mistral's own alone": (["consolidated.safetensors", "params.json"], "consolidated.safetensors"),
    "nothing": (["README.md", "config.json", "optimizer.pt"], None),
    "foreign weights alone": (["tf_model.h5", "model.gguf", "model.onnx"], None),
}
SEVERAL = {
    "two models": ["a.safetensors", "b.safetensors"],
    "two variants": ["model.bf16.safetensors", "model.fp16.safetensors"],
    "shards": SHARDS,
    "ranks": ["consolidated.00.pth", "consolidated.01.pth"],
}
"""All are candidates: whether they belong together is for their content to tell."""
UNDECIDED = {
    "two indexes": (
        ["a.bin.index.json", "b.bin.index.json"],
        "contains several indexes: a.bin.index.json, b.bin.index.json",
    ),
    "two indexes of variants": (
        [INDEX_FP16, "model.safetensors.index.bf16.json"],
        f"contains several indexes: {INDEX_FP16}, model.safetensors.index.bf16.json",
    ),
    "distributed": (["__0_0.distcp"], "contains .distcp files but no .metadata"),
}


@pytest.mark.parametrize("layout", CHOSEN)
def test_the_checkpoint_is_chosen_by_names(layout: str):
    names, chosen = CHOSEN[layout]
    assert entrance(names, "folder") == ([chosen] if chosen else [])


@pytest.mark.parametrize("layout", SEVERAL)
def test_several_files_without_an_index_are_all_chosen_but_variants_of_them(layout: str):
    assert entrance(SEVERAL[layout], "folder") == SEVERAL[layout]
    assert entrance([*SHARDS, "model.fp16.safetensors"], "folder") == SHARDS


@pytest.mark.parametrize("layout", UNDECIDED)
def test_what_names_leave_open_is_not_chosen(layout: str):
    names, fault = UNDECIDED[layout]
    with pytest.raises(InputError) as raised:
        entrance(names, "folder")
    (problem,) = raised.value.problems
    assert problem.message == f"folder: {fault}"
    assert problem.hint


def variant(folder: Path) -> Path:
    """What diffusers saves with `variant="fp16"` in two shards."""
    weights = {}
    for number, name in enumerate(("x.weight", "y.weight"), start=1):
        shard = f"diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors"
        float_file(folder / shard, name)
        weights[name] = shard
    index = folder / "diffusion_pytorch_model.safetensors.index.fp16.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weights}))
    return index


def test_an_index_of_a_variant_is_read_from_its_directory_without_a_warning(tmp_path: Path):
    index = variant(tmp_path)
    found = read_checkpoint(tmp_path)
    assert [tensor.name for tensor in found.tensors] == ["x.weight", "y.weight"]
    assert found.described_by == index.name
    assert found.warnings == ()


def test_an_index_of_a_variant_names_safetensors_only(tmp_path: Path):
    index = variant(tmp_path)
    index.write_text(index.read_text().replace("fp16-00002-of-00002.safetensors", "fp16-00002-of-00002.bin"))
    with pytest.raises(InputError, match=r"is not a \.safetensors file"):
        read_checkpoint(tmp_path)


def test_the_whole_variant_beside_its_index_is_refused(tmp_path: Path):
    index = variant(tmp_path)
    float_file(tmp_path / "diffusion_pytorch_model.fp16.safetensors", "x.weight")
    with pytest.raises(InputError, match=r"fp16\.safetensors beside the index contains the same model"):
        read_checkpoint(index)


def test_hidden_files_are_carried_along(tmp_path: Path):
    float_file(tmp_path / "in" / "model.safetensors", "w")
    (tmp_path / "in" / "._model.safetensors").write_bytes(bytes.fromhex("0005160700020000") + bytes(100))
    initctl.apply(tmp_path / "in", tmp_path / "out", rules=["w=zeros"])
    assert (tmp_path / "out" / "._model.safetensors").read_bytes()[:4] == bytes.fromhex("00051607")


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    (problem,) = raised.value.problems
    return str(problem).removeprefix(f"{path}: ")


def model(folder: Path, name: str = "model.safetensors") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".safetensors"):
        save_file({"w": torch.ones(2)}, folder / name)
    else:
        torch.save({"w": torch.ones(2)}, folder / name)
    return folder


class TestADirectoryOfCheckpointsSaysWhichFoldersHoldThem:
    def named(self, path: Path, words: str, folder: str) -> None:
        hint = f"name a folder, such as {path}/{folder}, or add --component {folder} to write the whole directory"
        assert refusal(path) == f"{words}; {hint}"

    def test_a_diffusers_pipeline(self, tmp_path: Path):
        for folder in ("vae", "unet"):
            model(tmp_path / folder, "diffusion_pytorch_model.safetensors")
        model(tmp_path / "text_encoder")
        (tmp_path / "scheduler").mkdir()
        (tmp_path / "model_index.json").write_text("{}")
        words = "is a diffusers pipeline; its weights are in text_encoder/, unet/, vae/"
        self.named(tmp_path, words, "text_encoder")

    def test_a_trainers_output_the_newest_first(self, tmp_path: Path):
        for step in (500, 1000, 90):
            model(tmp_path / f"checkpoint-{step}")
        words = "contains no weights itself; the weights are in checkpoint-1000/, checkpoint-500/, checkpoint-90/"
        self.named(tmp_path, f"{words}, newest first", "checkpoint-1000")

    def test_a_repository_in_the_hub_cache(self, tmp_path: Path):
        for revision in ("aaaa", "bbbb"):
            model(tmp_path / "snapshots" / revision)
        (tmp_path / "refs").mkdir()
        (tmp_path / "refs" / "main").write_text("bbbb")
        words = "is a repository in Hugging Face's cache; its weights are in snapshots/bbbb/, snapshots/aaaa/"
        self.named(tmp_path, f"{words}, newest first", "snapshots/bbbb")

    def test_a_pipeline_in_the_hub_cache_is_named_as_a_whole(self, tmp_path: Path):
        model(tmp_path / "snapshots" / "aaaa" / "unet")
        (tmp_path / "snapshots" / "aaaa" / "model_index.json").write_text("{}")
        words = "is a repository in Hugging Face's cache; its weights are in snapshots/aaaa/"
        self.named(tmp_path, words, "snapshots/aaaa")

    def test_megatron(self, tmp_path: Path):
        for step in (100, 200):
            model(tmp_path / f"iter_{step:07d}" / "mp_rank_00", "model_optim_rng.pt")
        (tmp_path / "latest_checkpointed_iteration.txt").write_text("100\n")
        words = "is a directory of Megatron checkpoints; its weights are in "
        words += "iter_0000100/mp_rank_00/, iter_0000200/mp_rank_00/, newest first"
        self.named(tmp_path, words, "iter_0000100/mp_rank_00")

    def test_deepspeed(self, tmp_path: Path):
        for step in (9, 10):
            model(tmp_path / f"global_step{step}", "mp_rank_00_model_states.pt")
        (tmp_path / "latest").write_text("global_step10")
        words = "is a directory of DeepSpeed checkpoints; its weights are in global_step10/, global_step9/"
        self.named(tmp_path, f"{words}, newest first", "global_step10")

    @pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
    def test_nemo(self, tmp_path: Path):
        from torch.distributed.checkpoint import save

        save({"w": torch.ones(2)}, checkpoint_id=tmp_path / "weights", no_dist=True)
        self.named(tmp_path, "contains no weights itself; the weights are in weights/", "weights")

    def test_orbax_is_not_read(self, tmp_path: Path):
        for step in (1000, 2000):
            (tmp_path / str(step)).mkdir()
            (tmp_path / str(step) / "_CHECKPOINT_METADATA").write_text("{}")
        words = "contains orbax checkpoints, which initctl cannot read: 2000, 1000"
        assert refusal(tmp_path) == f"{words}; save the parameters as safetensors"

    def test_a_file_that_names_the_newest_may_hold_anything(self, tmp_path: Path):
        model(tmp_path / "global_step1", "mp_rank_00_model_states.pt")
        for content in (b"", b"\xff\xfe", b"../../..", b"x" * 5000, b"::error::"):
            (tmp_path / "latest").write_bytes(content)
            self.named(
                tmp_path, "is a directory of DeepSpeed checkpoints; its weights are in global_step1/", "global_step1"
            )


def test_data_called_bin_is_not_taken_for_weights(tmp_path: Path):
    model(tmp_path / "data", "train.bin")
    assert refusal(tmp_path).startswith("contains only folders, and no weights were found in them;")


def test_a_file_of_weights_that_is_a_link_out_of_the_directory_is_refused(tmp_path: Path):
    model(tmp_path / "elsewhere")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").symlink_to("../elsewhere/model.safetensors")
    words = "model.safetensors: not a regular file, or a link to a file in the directory"
    assert (
        refusal(tmp_path / "model") == f"{words}; if it is a link to weights elsewhere, name the file that it leads to"
    )


def test_a_link_that_the_system_cannot_follow_is_named(tmp_path: Path):
    """It is not taken for one that leads nowhere, which a copy leaves out."""
    model(tmp_path)
    (tmp_path / "notes").symlink_to("x" * 300)
    assert refusal(tmp_path) == f"{tmp_path}/notes: cannot be read: File name too long"


def unreadable(folder: Path) -> None:
    """A folder that nobody can list: its path is longer than the system takes, which root cannot get round either."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 255, dir_fd=place)
        inner = os.open("d" * 255, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)


class TestAFolderBelowThatCannotBeRead:
    def test_does_not_keep_a_checkpoint_from_being_read_and_planned_for(self, tmp_path: Path):
        unreadable(sharded(tmp_path, {"a.safetensors": ("w",)}).parent)
        assert initctl.inspect(tmp_path).warnings == ()
        plan = initctl.plan(tmp_path, rules=["w=zeros"])
        plan.save(tmp_path.parent / f"{tmp_path.name}.json")
        assert initctl.verify(tmp_path, rules=["w=zeros"]).holds

    def test_does_not_hide_those_beside_it(self, strict_folder: Path):
        (strict_folder / "locked").mkdir(mode=0)
        model(strict_folder / "open")
        assert nested.folders_with_weights(str(strict_folder)) == ["open"]
        with pytest.raises(PermissionError):
            os.listdir(strict_folder / "locked")

    def test_does_not_keep_it_from_being_changed_in_place(self, tmp_path: Path):
        unreadable(sharded(tmp_path, {"a.safetensors": ("w",)}).parent)
        initctl.apply(tmp_path, in_place=True, rules=["w=ones"])
        assert initctl.verify(tmp_path, rules=["w=ones"]).holds

    def test_fails_a_copy_which_would_lose_it(self, tmp_path: Path):
        unreadable(sharded(tmp_path / "model", {"a.safetensors": ("w",)}).parent)
        with pytest.raises(InputError, match="cannot be read: File name too long"):
            initctl.apply(tmp_path / "model", tmp_path / "out", rules=["w=zeros"])
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_below_is_opened_to_read_a_checkpoint_and_few_folders_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    float_file(tmp_path / "model.safetensors", "w")
    for number in range(30):
        (tmp_path / "data" / str(number)).mkdir(parents=True)
        for file in range(10):
            (tmp_path / "data" / str(number) / str(file)).touch()
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    monkeypatch.setattr(nested, "LOOKED_AT", 50)
    read_checkpoint(tmp_path)
    assert 2 < len(listed) < 10


class TestComponent:
    def refused(self, folder: Path, component: str) -> str:
        with pytest.raises(UsageError) as raised:
            read_checkpoint(folder, component=component)
        (problem,) = raised.value.problems
        assert problem.code == "usage.component"
        return str(problem)

    def test_its_tensors_are_read_and_its_files_are_named_from_the_whole_directory(self, tmp_path: Path):
        float_file(tmp_path / "vae" / "model.safetensors", "v")
        sharded(tmp_path / "unet", {"a.safetensors": ("w",), "b.safetensors": ("x",)})
        found = read_checkpoint(tmp_path, component="unet/")
        assert [tensor.name for tensor in found.tensors] == ["w", "x"]
        assert [file.name for file in found.files] == ["unet/a.safetensors", "unet/b.safetensors"]
        assert (found.directory, found.home, found.component) == (str(tmp_path), str(tmp_path / "unet"), "unet")
        assert [file.name for file in found.other_files] == [
            "unet/model.safetensors.index.json",
            "vae/model.safetensors",
        ]
        assert not found.warnings

    @pytest.mark.parametrize("component", ["", ".", "..", "../x", "/", "a/../b", "unet/../vae", "a\0b"])
    def test_it_is_a_folder_below(self, tmp_path: Path, component: str):
        float_file(tmp_path / "unet" / "model.safetensors", "w")
        assert "has no folder" in self.refused(tmp_path, component)

    def test_a_misspelled_one_is_proposed(self, tmp_path: Path):
        float_file(tmp_path / "unet" / "model.safetensors", "w")
        assert self.refused(tmp_path, "unte") == (f"component: {tmp_path} has no folder unte; did you mean unet?")

    def test_it_is_no_link(self, tmp_path: Path):
        float_file(tmp_path / "other" / "model.safetensors", "w")
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "unet").symlink_to("../other")
        assert "has no folder unet" in self.refused(tmp_path / "model", "unet")

    def test_a_file_has_none(self, tmp_path: Path):
        path = float_file(tmp_path / "model.safetensors", "w")
        assert self.refused(path, "unet") == (
            f"component: {path} is a file; only a directory has components; remove --component"
        )
